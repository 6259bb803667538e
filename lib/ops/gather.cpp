// SPDX-License-Identifier: Apache-2.0
// Gather (1, negative indices since 11), GatherElements (11), GatherND (11, batch_dims since 12).
// Negative indices count from the end in every version.
#include <cstring>

#include "kernels/host/gather.h"
#include "ops/along_axis.h"
#include "ops/families.h"
#include "ops/gradients/gradients.h"
#include "ops/indices.h"
#include "ops/lowering.h"
#include "support/text.h"

namespace qtool {

namespace {

// ---- Gather -----------------------------------------------------------------------------------

int64_t gather_axis(const NodeView& node, size_t rank) {
  return normalized_axis(node.attributes().integer("axis", 0), static_cast<int64_t>(rank));
}

void infer_gather(InferContext& context) {
  const NodeView& node = context.node;
  check_indices(node, 1);
  TensorType type{node.input_type(0).dtype, std::nullopt};
  const auto& data = node.input_type(0).shape;
  const auto& indices = node.input_type(1).shape;
  if (data) {
    const auto axis = gather_axis(node, data->size());
    const Dim& extent = (*data)[static_cast<size_t>(axis)];
    const Constant known = node.input_constant(1);
    if (known != nullptr && extent.value) wrapped_indices(*known, *extent.value);
    if (indices) {
      type.shape.emplace(data->begin(), data->begin() + axis);
      type.shape->insert(type.shape->end(), indices->begin(), indices->end());
      type.shape->insert(type.shape->end(), data->begin() + axis + 1, data->end());
    }
  }
  context.set_output(0, std::move(type));
}

Shape gathered_shape(const Shape& data, int64_t axis, const Shape& indices) {
  Shape shape(data.begin(), data.begin() + axis);
  shape.insert(shape.end(), indices.begin(), indices.end());
  shape.insert(shape.end(), data.begin() + axis + 1, data.end());
  return shape;
}

std::vector<Tensor> gather_reference(const ReferenceCall& call) {
  const Tensor& x = call.input(0);
  const int64_t axis = gather_axis(call.node, x.shape().size());
  const AlongAxis span(x.shape(), axis);
  const std::vector<int64_t> indices = wrapped_indices(call.input(1), span.along);
  const size_t row = static_cast<size_t>(span.inner) * moved_bytes(x.dtype());
  Tensor y(x.dtype(), gathered_shape(x.shape(), axis, call.input(1).shape()));
  if (y.size() == 0) return one_result(std::move(y));
  std::byte* to = y.raw();
  for (int64_t o = 0; o < span.outer; ++o) {
    for (const int64_t index : indices) {
      std::memcpy(to, x.raw() + static_cast<size_t>(o * span.along + index) * row, row);
      to += row;
    }
  }
  return one_result(std::move(y));
}

Lowering lower_gather(const LowerContext& context) {
  if (auto why = move_problem(context); !why.empty()) return Lowering::refuse(std::move(why));
  const LowerInput& x = context.inputs[0];
  const LowerInput& indices = context.inputs[1];
  const int64_t axis = gather_axis(context.node, x.shape.size());
  const AlongAxis span(x.shape, axis);
  GatherSpec spec{span.outer,
                  span.along,
                  static_cast<size_t>(span.inner) * moved_bytes(x.dtype),
                  element_count(indices.shape),
                  indices.dtype,
                  {}};
  if (indices.constant != nullptr) spec.known = wrapped_indices(*indices.constant, span.along);
  Lowering result = lowering(make_gather(std::move(spec)), {Layout::plain, Layout::plain});
  if (indices.constant != nullptr) result.packed = {1};
  return result;
}

// ---- GatherElements ---------------------------------------------------------------------------

/// Along all axes but one the indices must not reach beyond the data.
void check_fits(const NodeView& node, int64_t axis) {
  const auto& data = node.input_type(0).shape;
  const auto& indices = node.input_type(1).shape;
  if (!data || !indices) return;
  if (data->size() != indices->size()) {
    throw input_error(
        fmt::format("data of rank {} with indices of rank {}", data->size(), indices->size()));
  }
  for (size_t d = 0; d < data->size(); ++d) {
    const auto has = (*data)[d].value;
    const auto wants = (*indices)[d].value;
    if (static_cast<int64_t>(d) != axis && has && wants && *wants > *has) {
      throw input_error(
          fmt::format("indices of extent {} along axis {} of data with {}", *wants, d, *has));
    }
  }
}

void infer_gather_elements(InferContext& context) {
  const NodeView& node = context.node;
  check_indices(node, 1);
  if (const auto& data = node.input_type(0).shape)
    check_fits(node, gather_axis(node, data->size()));
  context.set_output(0, {node.input_type(0).dtype, node.input_type(1).shape});
}

std::vector<Tensor> gather_elements_reference(const ReferenceCall& call) {
  const Tensor& x = call.input(0);
  const auto axis = static_cast<size_t>(gather_axis(call.node, x.shape().size()));
  const std::vector<int64_t> indices = wrapped_indices(call.input(1), x.shape()[axis]);
  const std::vector<int64_t> own = row_major_strides(x.shape());
  const size_t width = moved_bytes(x.dtype());
  Tensor y(x.dtype(), call.input(1).shape());
  for (int64_t i = 0; i < y.size(); ++i) {
    int64_t rest = i;
    int64_t from = 0;
    for (size_t d = own.size(); d-- > 0;) {
      const int64_t at = rest % y.shape()[d];
      rest /= y.shape()[d];
      from += (d == axis ? indices[static_cast<size_t>(i)] : at) * own[d];
    }
    std::memcpy(y.raw() + static_cast<size_t>(i) * width,
                x.raw() + static_cast<size_t>(from) * width, width);
  }
  return one_result(std::move(y));
}

// ---- GatherND ---------------------------------------------------------------------------------

void infer_gather_nd(InferContext& context) {
  const NodeView& node = context.node;
  check_indices(node, 1);
  TensorType type{node.input_type(0).dtype, std::nullopt};
  const auto& data = node.input_type(0).shape;
  const auto& indices = node.input_type(1).shape;
  if (data && indices) {
    const int64_t batch = batch_dims(node, *data, *indices);
    type.shape.emplace(indices->begin(), indices->end() - 1);
    if (const auto depth = tuple_length(*data, *indices, batch)) {
      type.shape->insert(type.shape->end(), data->begin() + batch + *depth, data->end());
    } else {
      type.shape.reset();
    }
  }
  context.set_output(0, std::move(type));
}

std::vector<Tensor> gather_nd_reference(const ReferenceCall& call) {
  const Tensor& x = call.input(0);
  const Tensor& indices = call.input(1);
  const int64_t batch = call.node.attributes().integer("batch_dims", 0);
  const TuplePlaces places(x.shape(), indices, batch);
  Shape shape(indices.shape().begin(), indices.shape().end() - 1);
  shape.insert(shape.end(), x.shape().begin() + batch + places.depth, x.shape().end());
  const size_t row = static_cast<size_t>(places.inner) * moved_bytes(x.dtype());
  Tensor y(x.dtype(), shape);
  for (size_t i = 0; y.size() > 0 && i < places.blocks.size(); ++i) {
    std::memcpy(y.raw() + i * row, x.raw() + static_cast<size_t>(places.blocks[i]) * row, row);
  }
  return one_result(std::move(y));
}

}  // namespace

void register_gather(OpRegistry& ops) {
  OpDef gather = data_movement("Gather", 1, {2, 2});
  gather.infer = infer_gather;
  gather.reference = gather_reference;
  gather.taste = LayoutTaste::plain;
  gather.lower = lower_gather;
  gather.gradient = gather_gradient;
  ops.add(std::move(gather));

  ops.add({.key = {"", "GatherElements"},
           .since_version = 11,
           .inputs = {2, 2},
           .outputs = {1, 1},
           .infer = infer_gather_elements,
           .reference = gather_elements_reference});
  ops.add({.key = {"", "GatherND"},
           .since_version = 11,
           .inputs = {2, 2},
           .outputs = {1, 1},
           .infer = infer_gather_nd,
           .reference = gather_nd_reference});
}

}  // namespace qtool
