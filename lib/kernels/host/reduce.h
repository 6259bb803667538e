// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "kernels/kernel.h"
#include "kernels/post_op.h"
#include "tensor/tensor.h"

namespace qtool {

enum class ReduceOp {
  sum,
  mean,
  max,  ///< NaN where one is among the elements; of nothing: -infinity
  min,
  product,
  l1,           ///< sum of |x|
  l2,           ///< root of the sum of squares
  log_sum,      ///< logarithm of the sum
  log_sum_exp,  ///< logarithm of the sum of e^x, without overflow
  sum_square,
};

/// float32 reduction of some dimensions, accumulated in double in an order that does not depend on
/// threads. `extents` are the input's in storage order, the output is dense over those that are not
/// `reduced`, in the same order. Post-ops are unary.
MadeKernel make_reduce(ReduceOp op, const Shape& extents, const std::vector<bool>& reduced,
                       std::span<const PostOp> post_ops);

enum class ArgOp { max, min };

/// float32 [outer, along, inner] → int64 [outer, inner]: where along the middle dimension the
/// largest (smallest) is, the first or last of equals. NaN counts as larger (smaller) than all.
/// along > 0.
KernelPtr make_arg_reduce(ArgOp op, bool last_of_equals, int64_t outer, int64_t along,
                          int64_t inner);

/// Elements of one type as another, as cast() does it. Refuses types that have no arithmetic.
MadeKernel make_cast(DType from, DType to, int64_t count);

}  // namespace qtool
