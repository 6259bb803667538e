// SPDX-License-Identifier: Apache-2.0
// Ops that only rename or rearrange: Reshape (5+), Flatten, Squeeze, Unsqueeze (attribute before
// 13, input since), Transpose, Identity, Dropout (inference), Constant, Shape.
#include <algorithm>
#include <numeric>

#include "kernels/host/copy.h"
#include "kernels/reference/reference.h"
#include "ops/families.h"
#include "ops/lowering.h"
#include "ops/shapes.h"
#include "support/checked.h"
#include "support/text.h"

namespace qtool {

namespace {

std::vector<Tensor> one(Tensor tensor) {
  std::vector<Tensor> results;
  results.push_back(std::move(tensor));
  return results;
}

/// The same bytes under another shape: nothing to compute where the order of storage allows it.
Lowering lower_alias(const LowerContext& context) {
  if (!context.post_ops.empty()) return Lowering::refuse("post-ops behind a renaming");
  if (!moves_codes(context)) return Lowering::refuse("input and output have different scales");
  for (size_t i = 1; i < context.inputs.size(); ++i) {
    // What the file declares of the result may be wrong; the reference finds out.
    if (context.has(i) && context.inputs[i].constant == nullptr) {
      return Lowering::refuse("a shape that is computed at run time");
    }
  }
  Lowering result;
  result.alias = true;
  result.input_layouts.assign(context.inputs.size(), Layout::plain);
  for (size_t i = 1; i < context.inputs.size(); ++i) result.packed.push_back(static_cast<int>(i));
  return result;
}

/// A value that goes through unchanged, in whatever layout it has.
Lowering lower_pass_through(const LowerContext& context) {
  Lowering result = lower_alias(context);
  if (!result.alias) return result;
  result.input_layouts[0] = context.inputs[0].layout;
  result.output_layouts = {context.inputs[0].layout};
  return result;
}

/// What the input has beside the copied extents: the product of those that are known, and the
/// others.
struct Left {
  int64_t known = 1;
  std::vector<Dim> open;
};

/// Gives the extent of -1, if there is one, what the given extents leave of the input's. Nothing
/// where unknown extents do not let it.
bool settle_rest(std::vector<Dim>& dims, std::optional<size_t> rest, const Left& left,
                 int64_t given) {
  if (!left.open.empty()) {
    if (rest && left.open.size() == 1 && left.known == given) dims[*rest] = left.open[0];
    return true;
  }
  if (!rest) return left.known == given;
  if (given == 0 || left.known % given != 0) return false;
  dims[*rest].value = left.known / given;
  return true;
}

// Reshape: 0 copies the input's extent (unless allowzero), -1 takes the rest. What is copied is
// left out of the count, so that an open batch dimension decides nothing and stays what it is.
std::vector<Dim> reshaped_dims(const NodeView& node, const std::vector<int64_t>& wanted) {
  const auto& input = node.input_type(0).shape;
  const bool allow_zero = node.attributes().integer("allowzero", 0) != 0;
  std::vector<Dim> dims(wanted.size());
  std::optional<size_t> rest;
  std::optional<int64_t> given = 1;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] == -1) {
      if (rest) throw input_error("the new shape has two extents of -1");
      rest = i;
    } else if (wanted[i] < 0) {
      throw input_error(fmt::format("the new shape has the extent {}", wanted[i]));
    } else if (wanted[i] == 0 && !allow_zero) {
      if (input && i >= input->size())
        throw input_error("the new shape copies an extent that is not there");
      if (input) dims[i] = (*input)[i];
    } else {
      dims[i].value = wanted[i];
      given = given ? checked_multiply(*given, wanted[i]) : given;
    }
  }
  if (!input) return dims;
  Left left;
  std::vector<Dim> counted;
  for (size_t i = 0; i < input->size(); ++i) {
    if (i < wanted.size() && wanted[i] == 0 && !allow_zero) continue;
    ((*input)[i].value ? counted : left.open).push_back((*input)[i]);
  }
  left.known = *product_of(counted, 0, counted.size()).value;
  if (!given || !settle_rest(dims, rest, left, *given)) {
    throw input_error(fmt::format("{} does not fit the shape {}", to_string(node.input_type(0)),
                                  to_string(wanted)));
  }
  return dims;
}

/// The new shape is a list; a rank beyond all reason would only cost memory.
void check_shape_input(const NodeView& node) {
  constexpr int64_t kMostRank = 1024;
  const auto& shape = node.input_type(1).shape;
  const DType dtype = node.input_type(1).dtype;
  if (dtype != DType::undefined && !is_integer(dtype)) {
    throw input_error(fmt::format("input 1 must hold integers, not {}", name(dtype)));
  }
  if (shape && (shape->size() != 1 || (*shape)[0].value.value_or(0) > kMostRank)) {
    throw input_error(
        fmt::format("the new shape is {}, not a list of numbers", to_string(node.input_type(1))));
  }
}

void infer_reshape(InferContext& context) {
  const NodeView& node = context.node;
  check_shape_input(node);
  TensorType type{node.input_type(0).dtype, std::nullopt};
  if (const auto wanted = constant_integers(node, 1)) {
    type.shape = reshaped_dims(node, *wanted);
  } else if (const auto shape = node.input_type(1).concrete_shape()) {
    type.shape.emplace(static_cast<size_t>((*shape)[0]));
  }
  context.set_output(0, std::move(type));
}

std::vector<Tensor> reshape_reference(const ReferenceCall& call) {
  const auto dims = reshaped_dims(call.node, to_int64s(call.input(1)));
  const auto shape = TensorType(call.input(0).dtype(), dims).concrete_shape();
  QTOOL_CHECK(shape.has_value(), "actual inputs have actual shapes");
  return one(call.input(0).clone().reshaped(*shape));
}

void infer_flatten(InferContext& context) {
  const NodeView& node = context.node;
  TensorType type{node.input_type(0).dtype, std::vector<Dim>(2)};
  if (const auto& shape = node.input_type(0).shape) {
    const auto axis = static_cast<size_t>(normalized_axis(
        node.attributes().integer("axis", 1), static_cast<int64_t>(shape->size()), true));
    type.shape = {{product_of(*shape, 0, axis), product_of(*shape, axis, shape->size())}};
  }
  context.set_output(0, std::move(type));
}

std::vector<Tensor> flatten_reference(const ReferenceCall& call) {
  const Shape& shape = call.input(0).shape();
  const auto axis = static_cast<std::ptrdiff_t>(normalized_axis(
      call.node.attributes().integer("axis", 1), static_cast<int64_t>(shape.size()), true));
  return one(call.input(0).clone().reshaped({element_count({shape.begin(), shape.begin() + axis}),
                                             element_count({shape.begin() + axis, shape.end()})}));
}

/// Axes from input 1 (opset 13) or the attribute; nothing where an input is not known.
std::optional<std::vector<int64_t>> axes_of(const NodeView& node) {
  if (node.has_input(1)) return constant_integers(node, 1);
  return node.attributes().integers("axes");
}

std::vector<Dim> squeezed(const std::vector<Dim>& shape, std::vector<int64_t> axes, bool all_ones) {
  for (int64_t& axis : axes) axis = normalized_axis(axis, static_cast<int64_t>(shape.size()));
  std::vector<Dim> result;
  for (size_t i = 0; i < shape.size(); ++i) {
    const bool listed = std::ranges::find(axes, static_cast<int64_t>(i)) != axes.end();
    const bool drop = all_ones ? shape[i].value == 1 : listed;
    if (listed && shape[i].value && *shape[i].value != 1) {
      throw input_error(fmt::format("axis {} of extent {} cannot be squeezed", i, *shape[i].value));
    }
    if (!drop) result.push_back(shape[i]);
  }
  return result;
}

std::vector<Dim> unsqueezed(const std::vector<Dim>& shape, std::vector<int64_t> axes) {
  const auto rank = static_cast<int64_t>(shape.size() + axes.size());
  std::vector<bool> fresh(static_cast<size_t>(rank), false);
  for (const int64_t axis : axes) {
    const auto at = static_cast<size_t>(normalized_axis(axis, rank));
    if (fresh[at]) throw input_error(fmt::format("axis {} is listed twice", axis));
    fresh[at] = true;
  }
  std::vector<Dim> result;
  size_t next = 0;
  for (const bool inserted : fresh) result.push_back(inserted ? Dim{1, {}} : shape[next++]);
  return result;
}

void infer_squeeze(InferContext& context) {
  const NodeView& node = context.node;
  TensorType type{node.input_type(0).dtype, std::nullopt};
  const auto axes = axes_of(node);
  const auto& shape = node.input_type(0).shape;
  const bool all_ones = axes && axes->empty() && !node.has_input(1);
  const bool decidable = !all_ones || node.input_type(0).concrete_shape().has_value();
  if (axes && shape && decidable) type.shape = squeezed(*shape, *axes, all_ones);
  context.set_output(0, std::move(type));
}

void infer_unsqueeze(InferContext& context) {
  const NodeView& node = context.node;
  TensorType type{node.input_type(0).dtype, std::nullopt};
  const auto axes = axes_of(node);
  if (axes && node.input_type(0).shape) type.shape = unsqueezed(*node.input_type(0).shape, *axes);
  context.set_output(0, std::move(type));
}

std::vector<int64_t> actual_axes(const ReferenceCall& call) {
  return call.has(1) ? to_int64s(call.input(1)) : call.node.attributes().integers("axes");
}

std::vector<Tensor> squeeze_reference(const ReferenceCall& call) {
  const TensorType type(call.input(0).dtype(), call.input(0).shape());
  const auto axes = actual_axes(call);
  const auto dims = squeezed(*type.shape, axes, axes.empty() && !call.has(1));
  return one(call.input(0).clone().reshaped(*TensorType(type.dtype, dims).concrete_shape()));
}

std::vector<Tensor> unsqueeze_reference(const ReferenceCall& call) {
  const TensorType type(call.input(0).dtype(), call.input(0).shape());
  const auto dims = unsqueezed(*type.shape, actual_axes(call));
  return one(call.input(0).clone().reshaped(*TensorType(type.dtype, dims).concrete_shape()));
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
  return one(reference::gather_strided(x, view.shape, 0, view.strides));
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
  return one(call.input(0).clone());
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
  std::vector<Tensor> results = one(call.input(0).clone());
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
  throw unsupported_error("a Constant that is sparse or a list of strings");
}

void infer_constant(InferContext& context) {
  if (context.node.attributes().has("sparse_value") ||
      context.node.attributes().has("value_strings")) {
    return;
  }
  Tensor value = constant_value(context.node);
  context.set_output(0, {value.dtype(), value.shape()});
}

std::vector<Tensor> constant_reference(const ReferenceCall& call) {
  return one(constant_value(call.node));
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
  return one(Tensor::of<int64_t>({static_cast<int64_t>(part.size())}, part));
}

OpDef renaming(const char* type, int since, Arity inputs, void (*infer)(InferContext&),
               std::vector<Tensor> (*reference)(const ReferenceCall&)) {
  return {.key = {"", type},
          .since_version = since,
          .inputs = inputs,
          .outputs = {1, 1},
          .infer = infer,
          .reference = reference,
          .lower = lower_alias,
          .quant = {.behaviour = Behaviour::move_data,
                    .inputs = {{OperandRole::activation}, {OperandRole::none}},
                    .shares_params = true}};
}

}  // namespace

void register_shape_ops(OpRegistry& ops) {
  ops.add(renaming("Reshape", 5, {2, 2}, infer_reshape, reshape_reference));
  ops.add(renaming("Flatten", 1, {1, 1}, infer_flatten, flatten_reference));
  ops.add(renaming("Squeeze", 1, {1, 2}, infer_squeeze, squeeze_reference));
  ops.add(renaming("Unsqueeze", 1, {1, 2}, infer_unsqueeze, unsqueeze_reference));

  OpDef transpose = renaming("Transpose", 1, {1, 1}, infer_transpose, transpose_reference);
  transpose.lower = lower_transpose;
  ops.add(std::move(transpose));

  OpDef identity = renaming("Identity", 1, {1, 1}, infer_same_type, identity_reference);
  identity.taste = LayoutTaste::any;
  identity.lower = lower_pass_through;
  ops.add(std::move(identity));

  OpDef dropout = renaming("Dropout", 7, {1, 3}, infer_dropout, dropout_reference);
  dropout.outputs = {1, 2};
  dropout.taste = LayoutTaste::any;
  dropout.lower = lower_dropout;
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
