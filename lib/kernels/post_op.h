// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "numerics/affine.h"

namespace qtool {

/// A step that a producer applies to each of its results in real (not code) units before storing
/// it. The unary ones are functions of the result y; `add` adds an operand of the same shape.
struct PostOp {
  enum class Kind {
    relu,        ///< max(y, 0)
    leaky_relu,  ///< y < 0 ? alpha * y : y
    clip,        ///< min(max(y, alpha), beta)
    sigmoid,
    tanh,
    hard_swish,  ///< y * min(max(y / 6 + 0.5, 0), 1)
    add,         ///< y + operand
    linear,      ///< alpha * y + beta
    abs,
    negate,
    reciprocal,
    sqrt,
    exp,
    log,
    erf,
    floor,
    ceil,
    round,  ///< half to even
    sign,
    sin,
    cos,
    tan,
    asin,
    acos,
    atan,
    sinh,
    cosh,
    asinh,
    acosh,
    atanh,
    softplus,          ///< log(1 + e^y)
    softsign,          ///< y / (1 + |y|)
    elu,               ///< y < 0 ? alpha * (e^y - 1) : y
    selu,              ///< beta * elu(y)
    celu,              ///< y < 0 ? alpha * (e^(y / alpha) - 1) : y, alpha > 0
    thresholded_relu,  ///< y > alpha ? y : 0
    hard_sigmoid,      ///< min(max(alpha * y + beta, 0), 1)
    shrink,            ///< y < -alpha ? y + beta : y > alpha ? y - beta : 0
    mish,              ///< y * tanh(softplus(y))
    gelu,              ///< y * (1 + erf(y / sqrt(2))) / 2
    gelu_tanh,         ///< gelu with its error function approximated by tanh
  };
  Kind kind = Kind::relu;
  float alpha = 0;
  float beta = 0;
};

}  // namespace qtool
