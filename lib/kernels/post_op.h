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
  };
  Kind kind = Kind::relu;
  float alpha = 0;
  float beta = 0;
};

}  // namespace qtool
