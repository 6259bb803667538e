// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "ir/graph.h"

namespace qtool {

/// The slice at `index` of an axis, which the result no longer has. Errors (unsupported): elements
/// that cannot be moved.
Tensor slice_at(const Tensor& x, int64_t axis, int64_t index);

/// The type without the dimension of an axis. Errors (input): the axis is outside.
TensorType without(const TensorType& type, int64_t axis);

/// What is known of the elements that are stacked to a result of this type: `declared` fills in.
TensorType element_type(const TensorType& result, int64_t axis, const TensorType& declared);

/// Collects the results of an op's iterations, all of one type and shape.
class Stack {
 public:
  /// `declared`: what the elements are said to be, for a stack that stays empty.
  explicit Stack(TensorType declared) : declared_(std::move(declared)) {}

  /// Errors (input): another type or shape than the first, more than 8 GB in all.
  void push(Tensor element);

  /// The elements along a new axis at `axis` (of the result's rank; checked), last first if
  /// `reversed`; padded with zeros to `length` where it is larger. Empty: unknown extents are 0.
  Tensor tensor(int64_t axis, bool reversed = false, int64_t length = 0) const;

 private:
  TensorType declared_;
  std::vector<Tensor> elements_;
  size_t bytes_ = 0;
};

}  // namespace qtool
