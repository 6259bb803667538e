// SPDX-License-Identifier: Apache-2.0
#include "ops/stacking.h"

#include <algorithm>
#include <cstring>

#include "ops/along_axis.h"
#include "ops/shapes.h"

namespace qtool {

Tensor slice_at(const Tensor& x, int64_t axis, int64_t index) {
  const size_t width = moved_bytes(x.dtype());
  Shape shape = x.shape();
  shape.erase(shape.begin() + static_cast<std::ptrdiff_t>(axis));
  Tensor y(x.dtype(), shape);
  const AlongAxis view(x.shape(), axis);
  const size_t run = static_cast<size_t>(view.inner) * width;
  for (int64_t o = 0; o < view.outer && run > 0; ++o) {
    std::memcpy(y.raw() + static_cast<size_t>(o) * run, x.raw() + view.index(o, index, 0) * width,
                run);
  }
  return y;
}

TensorType without(const TensorType& type, int64_t axis) {
  TensorType result = type;
  if (!result.shape) return result;
  const int64_t at = normalized_axis(axis, static_cast<int64_t>(result.shape->size()));
  result.shape->erase(result.shape->begin() + static_cast<std::ptrdiff_t>(at));
  return result;
}

TensorType element_type(const TensorType& result, int64_t axis, const TensorType& declared) {
  TensorType type = result.shape ? without(result, axis) : declared;
  type.dtype = result.dtype == DType::undefined ? declared.dtype : result.dtype;
  return type;
}

void Stack::push(Tensor element) {
  constexpr size_t kMostBytes = size_t{1} << 33;
  if (!elements_.empty() &&
      (element.dtype() != elements_[0].dtype() || element.shape() != elements_[0].shape())) {
    throw input_error("an iteration's result is " +
                      to_string(TensorType(element.dtype(), element.shape())) + " after " +
                      to_string(TensorType(elements_[0].dtype(), elements_[0].shape())));
  }
  bytes_ += element.bytes();
  if (bytes_ > kMostBytes) throw input_error("the iterations' results take more than 8 GB");
  elements_.push_back(std::move(element));
}

Tensor Stack::tensor(int64_t axis, bool reversed, int64_t length) const {
  Shape shape;
  if (!elements_.empty()) {
    shape = elements_[0].shape();
  } else if (declared_.shape) {
    for (const Dim& dim : *declared_.shape) shape.push_back(dim.value.value_or(0));
  }
  const DType dtype = elements_.empty() ? declared_.dtype : elements_[0].dtype();
  if (dtype == DType::undefined) {
    throw unsupported_error("a result of no iterations whose type the model does not declare");
  }
  const size_t width = moved_bytes(dtype);
  const int64_t at = normalized_axis(axis, static_cast<int64_t>(shape.size()) + 1);
  const auto count = static_cast<int64_t>(elements_.size());
  shape.insert(shape.begin() + static_cast<std::ptrdiff_t>(at), std::max(count, length));
  Tensor all(dtype, shape);
  const AlongAxis view(shape, at);
  const size_t run = static_cast<size_t>(view.inner) * width;
  for (int64_t k = 0; k < count && run > 0; ++k) {
    const Tensor& element = elements_[static_cast<size_t>(reversed ? count - 1 - k : k)];
    for (int64_t o = 0; o < view.outer; ++o) {
      std::memcpy(all.raw() + view.index(o, k, 0) * width,
                  element.raw() + static_cast<size_t>(o) * run, run);
    }
  }
  return all;
}

}  // namespace qtool
