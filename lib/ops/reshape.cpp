// SPDX-License-Identifier: Apache-2.0
// The same elements under another shape: Reshape (5+), Flatten, Squeeze, Unsqueeze (attribute
// before 13, input since).
#include <algorithm>

#include "ops/families.h"
#include "ops/gradients/gradients.h"
#include "ops/lowering.h"
#include "ops/shapes.h"
#include "support/checked.h"
#include "support/text.h"

namespace qtool {

namespace {

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
  return one_result(call.input(0).clone().reshaped(*shape));
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
  return one_result(
      call.input(0).clone().reshaped({element_count({shape.begin(), shape.begin() + axis}),
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
  return one_result(call.input(0).clone().reshaped(*TensorType(type.dtype, dims).concrete_shape()));
}

std::vector<Tensor> unsqueeze_reference(const ReferenceCall& call) {
  const TensorType type(call.input(0).dtype(), call.input(0).shape());
  const auto dims = unsqueezed(*type.shape, actual_axes(call));
  return one_result(call.input(0).clone().reshaped(*TensorType(type.dtype, dims).concrete_shape()));
}

OpDef renaming(const char* type, int since, Arity inputs, void (*infer)(InferContext&),
               std::vector<Tensor> (*reference)(const ReferenceCall&)) {
  OpDef def = data_movement(type, since, inputs);
  def.infer = infer;
  def.reference = reference;
  def.taste = LayoutTaste::plain;
  def.lower = lower_alias;
  def.gradient = reshape_gradient;
  return def;
}

}  // namespace

void register_reshape(OpRegistry& ops) {
  ops.add(renaming("Reshape", 5, {2, 2}, infer_reshape, reshape_reference));
  ops.add(renaming("Flatten", 1, {1, 1}, infer_flatten, flatten_reference));
  ops.add(renaming("Squeeze", 1, {1, 2}, infer_squeeze, squeeze_reference));
  ops.add(renaming("Unsqueeze", 1, {1, 2}, infer_unsqueeze, unsqueeze_reference));
}

}  // namespace qtool
