// SPDX-License-Identifier: Apache-2.0
// MaxUnpool (9). Indices address the output tensor, also where output_shape is given (as ONNX
// Runtime and PyTorch have it).
#include <cstring>

#include "ops/elements.h"
#include "ops/families.h"
#include "ops/indices.h"
#include "support/checked.h"
#include "support/text.h"

namespace qtool {

namespace {

/// (extent - 1) * stride + kernel - pads for each spatial axis.
Shape unpooled_extents(const NodeView& node, const Shape& x) {
  const auto kernel = node.attributes().integers("kernel_shape");
  auto strides = node.attributes().integers("strides");
  auto pads = node.attributes().integers("pads");
  const size_t rank = kernel.size();
  if (strides.empty()) strides.assign(rank, 1);
  if (pads.empty()) pads.assign(2 * rank, 0);
  if (rank == 0 || strides.size() != rank || pads.size() != 2 * rank)
    throw input_error("kernel_shape, strides and pads do not fit");
  if (x.size() != rank + 2)
    throw input_error(fmt::format("an input of rank {} for a window of rank {}", x.size(), rank));
  Shape shape{x[0], x[1]};
  for (size_t d = 0; d < rank; ++d) {
    for (const int64_t number : {kernel[d], strides[d], pads[d], pads[rank + d]}) {
      if (number < 0 || number > (int64_t{1} << 31))
        throw input_error(fmt::format("a window with the number {}", number));
    }
    const auto span = checked_multiply(x[d + 2] - 1, strides[d]);
    const auto extent = span ? checked_add(*span, kernel[d] - pads[d] - pads[rank + d]) : span;
    if (!extent || *extent < 0) throw input_error(fmt::format("an axis of {}", x[d + 2]));
    shape.push_back(*extent);
  }
  return shape;
}

Shape given_shape(const Shape& shape, const Shape& x) {
  bool fits = shape.size() == x.size();
  for (size_t d = 0; fits && d < shape.size(); ++d) {
    fits = shape[d] >= (d < 2 ? x[d] : 0) && shape[d] <= (d < 2 ? x[d] : kMostExtent);
  }
  if (!fits) {
    throw input_error(fmt::format("an output_shape of {} for {}", to_string(shape), to_string(x)));
  }
  return shape;
}

void infer_max_unpool(InferContext& context) {
  const NodeView& node = context.node;
  TensorType type{node.input_type(0).dtype, std::nullopt};
  const auto x = node.input_type(0).concrete_shape();
  const auto indices = node.input_type(1).concrete_shape();
  if (x && indices && *x != *indices)
    throw input_error("indices are " + to_string(node.input_type(1)) + ", not one an element");
  if (const auto wanted = constant_integers(node, 2); wanted && x) {
    type.shape = TensorType(type.dtype, given_shape(*wanted, *x)).shape;
  } else if (x && !node.has_input(2)) {
    type.shape = TensorType(type.dtype, unpooled_extents(node, *x)).shape;
  } else if (x) {
    type.shape.emplace(x->size());
  }
  context.set_output(0, std::move(type));
}

std::vector<Tensor> max_unpool_reference(const ReferenceCall& call) {
  const Tensor& x = call.input(0);
  Tensor y(x.dtype(), call.has(2) ? given_shape(to_int64s(call.input(2)), x.shape())
                                  : unpooled_extents(call.node, x.shape()));
  const size_t width = moved_bytes(x.dtype());
  const std::vector<int64_t> places = wrapped_indices(call.input(1), y.size());
  for (size_t i = 0; i < places.size(); ++i) {
    std::memcpy(y.raw() + static_cast<size_t>(places[i]) * width, x.raw() + i * width, width);
  }
  return one_result(std::move(y));
}

}  // namespace

void register_unpool(OpRegistry& ops) {
  ops.add({.key = {"", "MaxUnpool"},
           .since_version = 9,
           .inputs = {2, 3},
           .outputs = {1, 1},
           .infer = infer_max_unpool,
           .reference = max_unpool_reference});
}

}  // namespace qtool
