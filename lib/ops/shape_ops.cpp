// SPDX-License-Identifier: Apache-2.0
// Transpose, Identity, Dropout (7+, inference), Constant, Shape.
#include <algorithm>
#include <numeric>

#include "kernels/host/copy.h"
#include "kernels/reference/reference.h"
#include "ops/families.h"
#include "ops/gradients/gradients.h"
#include "ops/lowering.h"
#include "ops/shapes.h"
#include "support/text.h"

namespace qtool {

namespace {

/// A value that goes through unchanged, in whatever layout it has.
Lowering lower_pass_through(const LowerContext& context) {
  Lowering result = lower_alias(context);
  if (!result.alias) return result;
  result.input_layouts[0] = context.inputs[0].layout;
  result.output_layouts = {context.inputs[0].layout};
  return result;
}

std::vector<int64_t> permutation(const NodeView& node, size_t rank) {
  auto perm = node.attributes().integers("perm");
  if (perm.empty()) {
    perm.resize(rank);
    std::iota(perm.rbegin(), perm.rend(), int64_t{0});
  }
  std::vector<int64_t> sorted = perm;
  std::ranges::sort(sorted);
  for (size_t i = 0; i < sorted.size(); ++i) {
    if (sorted.size() != rank || sorted[i] != static_cast<int64_t>(i)) {
      throw input_error(fmt::format("perm {} is no permutation of {} axes", to_string(perm), rank));
    }
  }
  return perm;
}

void infer_transpose(InferContext& context) {
  const NodeView& node = context.node;
  TensorType type{node.input_type(0).dtype, std::nullopt};
  if (const auto& shape = node.input_type(0).shape) {
    type.shape.emplace();
    for (const int64_t axis : permutation(node, shape->size())) {
      type.shape->push_back((*shape)[static_cast<size_t>(axis)]);
    }
  }
  context.set_output(0, std::move(type));
}

struct PermutedView {
  Shape shape;
  std::vector<int64_t> strides;
};

PermutedView permuted(const NodeView& node, const Shape& shape, const std::vector<int64_t>& own) {
  PermutedView view;
  for (const int64_t axis : permutation(node, shape.size())) {
    view.shape.push_back(shape[static_cast<size_t>(axis)]);
    view.strides.push_back(own[static_cast<size_t>(axis)]);
  }
  return view;
}

std::vector<Tensor> transpose_reference(const ReferenceCall& call) {
  const Tensor& x = call.input(0);
  const PermutedView view = permuted(call.node, x.shape(), row_major_strides(x.shape()));
  moved_bytes(x.dtype());
  return one_result(reference::gather_strided(x, view.shape, 0, view.strides));
}

Lowering lower_transpose(const LowerContext& context) {
  if (!context.post_ops.empty()) return Lowering::refuse("post-ops behind a transposition");
  if (!moves_codes(context)) return Lowering::refuse("input and output have different scales");
  const LowerInput& x = context.inputs[0];
  if (!movable(x.dtype)) return Lowering::refuse("elements of type " + std::string(name(x.dtype)));
  const PermutedView view = permuted(context.node, x.shape, strides(x.shape, x.layout));
  CopySpec spec;
  spec.element_bytes = static_cast<size_t>(bits(x.dtype) / 8);
  spec.output_elements = element_count(view.shape);
  spec.copies.push_back({view.shape, view.strides, row_major_strides(view.shape), 0, 0, 0});
  return lowering(make_copy(std::move(spec)), {x.layout}, {Layout::plain});
}

std::vector<Tensor> identity_reference(const ReferenceCall& call) {
  return one_result(call.input(0).clone());
}

/// Before opset 10 the mask had the input's type.
DType mask_dtype(const NodeView& node) {
  return node.opset() < 10 ? node.input_type(0).dtype : DType::boolean;
}

void infer_dropout(InferContext& context) {
  context.set_output(0, context.node.input_type(0));
  context.set_output(1, {mask_dtype(context.node), context.node.input_type(0).shape});
}

bool trains(const Tensor& flag) {
  const auto values = to_int64s(flag);
  return std::ranges::any_of(values, [](int64_t value) { return value != 0; });
}

std::vector<Tensor> dropout_reference(const ReferenceCall& call) {
  if (call.has(2) && trains(call.input(2))) {
    throw unsupported_error("Dropout in training mode", "Export the model for inference.");
  }
  std::vector<Tensor> results = one_result(call.input(0).clone());
  if (call.node.has_output(1)) {
    Tensor mask(DType::boolean, call.input(0).shape());
    std::ranges::fill(mask.data<bool>(), true);
    results.push_back(cast(mask, mask_dtype(call.node)));
  }
  return results;
}

Lowering lower_dropout(const LowerContext& context) {
  if (context.outputs.size() > 1 && context.outputs[1].present) {
    return Lowering::refuse("a mask as second output");
  }
  if (context.has(2) &&
      (context.inputs[2].constant == nullptr || trains(*context.inputs[2].constant))) {
    return Lowering::refuse("training mode, or one that is decided at run time");
  }
  return lower_pass_through(context);
}

Tensor constant_value(const NodeView& node) {
  const Attributes& attributes = node.attributes();
  if (const Constant tensor = attributes.tensor("value")) return tensor->clone();
  if (attributes.has("value_float")) return Tensor::scalar(attributes.real("value_float", 0));
  if (attributes.has("value_int")) return Tensor::scalar(attributes.integer("value_int", 0));
  if (attributes.has("value_floats")) {
    const auto values = attributes.reals("value_floats");
    return Tensor::of<float>({static_cast<int64_t>(values.size())}, values);
  }
  if (attributes.has("value_ints")) {
    const auto values = attributes.integers("value_ints");
    return Tensor::of<int64_t>({static_cast<int64_t>(values.size())}, values);
  }
  if (attributes.has("value_string")) {
    return Tensor::of_strings({}, {attributes.text("value_string", "")});
  }
  if (const Attribute* list = attributes.find("value_strings")) {
    const auto* strings = std::get_if<std::vector<std::string>>(list);
    if (strings == nullptr) throw input_error("\"value_strings\" is no list of strings");
    return Tensor::of_strings({static_cast<int64_t>(strings->size())}, *strings);
  }
  if (attributes.has("sparse_value")) {
    throw unsupported_error("a sparse Constant", "Export the model with dense constants.");
  }
  throw input_error("a Constant without a value");
}

void infer_constant(InferContext& context) {
  if (context.node.attributes().has("sparse_value")) return;
  Tensor value = constant_value(context.node);
  context.set_output(0, {value.dtype(), value.shape()});
}

std::vector<Tensor> constant_reference(const ReferenceCall& call) {
  return one_result(constant_value(call.node));
}

/// Shape's slice [start, end) of the extents (opset 15).
std::pair<size_t, size_t> shape_slice(const NodeView& node, size_t rank) {
  const auto clamp = [&](int64_t at) {
    const auto signed_rank = static_cast<int64_t>(rank);
    return static_cast<size_t>(std::clamp<int64_t>(at < 0 ? at + signed_rank : at, 0, signed_rank));
  };
  const size_t begin = clamp(node.attributes().integer("start", 0));
  const size_t end = clamp(node.attributes().integer("end", static_cast<int64_t>(rank)));
  return {begin, std::max(begin, end)};
}

void infer_shape(InferContext& context) {
  const auto& shape = context.node.input_type(0).shape;
  if (!shape) {
    context.set_output(0, {DType::int64, std::vector<Dim>(1)});
    return;
  }
  const auto [begin, end] = shape_slice(context.node, shape->size());
  context.set_output(0, {DType::int64, Shape{static_cast<int64_t>(end - begin)}});
  std::vector<int64_t> extents;
  for (size_t i = begin; i < end; ++i) {
    if (!(*shape)[i].value) return;
    extents.push_back(*(*shape)[i].value);
  }
  context.set_constant(0, Tensor::of<int64_t>({static_cast<int64_t>(extents.size())}, extents));
}

std::vector<Tensor> shape_reference(const ReferenceCall& call) {
  const Shape& shape = call.input(0).shape();
  const auto [begin, end] = shape_slice(call.node, shape.size());
  const std::span<const int64_t> part(shape.data() + begin, end - begin);
  return one_result(Tensor::of<int64_t>({static_cast<int64_t>(part.size())}, part));
}

}  // namespace

void register_shape_ops(OpRegistry& ops) {
  OpDef transpose = data_movement("Transpose", 1, {1, 1});
  transpose.infer = infer_transpose;
  transpose.reference = transpose_reference;
  transpose.taste = LayoutTaste::plain;
  transpose.lower = lower_transpose;
  transpose.gradient = transpose_gradient;
  ops.add(std::move(transpose));

  OpDef identity = data_movement("Identity", 1, {1, 1});
  identity.infer = infer_same_type;
  identity.reference = identity_reference;
  identity.lower = lower_pass_through;
  identity.gradient = identity_gradient;
  ops.add(std::move(identity));

  OpDef dropout = data_movement("Dropout", 7, {1, 3});
  dropout.infer = infer_dropout;
  dropout.reference = dropout_reference;
  dropout.outputs = {1, 2};
  dropout.lower = lower_dropout;
  dropout.gradient = identity_gradient;
  ops.add(std::move(dropout));

  ops.add({.key = {"", "Constant"},
           .since_version = 1,
           .inputs = {0, 0},
           .outputs = {1, 1},
           .infer = infer_constant,
           .reference = constant_reference});
  ops.add({.key = {"", "Shape"},
           .since_version = 1,
           .inputs = {1, 1},
           .outputs = {1, 1},
           .infer = infer_shape,
           .reference = shape_reference});
}

}  // namespace qtool
