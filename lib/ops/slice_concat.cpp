// SPDX-License-Identifier: Apache-2.0
// Concat (4+), Slice (1: attributes, 10: inputs).
#include <algorithm>
#include <cstring>
#include <numeric>

#include "kernels/host/copy.h"
#include "kernels/reference/reference.h"
#include "ops/families.h"
#include "ops/gradients/gradients.h"
#include "ops/lowering.h"
#include "ops/shapes.h"
#include "ops/slice.h"
#include "support/text.h"

namespace qtool {

namespace {

// ---- Concat -----------------------------------------------------------------------------------

size_t concat_axis(const NodeView& node, size_t rank) {
  if (!node.attributes().has("axis")) throw input_error("\"axis\" is missing");
  return static_cast<size_t>(
      normalized_axis(node.attributes().integer("axis", 0), static_cast<int64_t>(rank)));
}

void infer_concat(InferContext& context) {
  const NodeView& node = context.node;
  check_same_dtype(node, node.input_count());
  TensorType type = node.input_type(0);
  if (type.shape) concat_axis(node, type.shape->size());
  for (size_t i = 1; i < node.input_count() && type.shape; ++i) {
    const auto& shape = node.input_type(i).shape;
    if (!shape) {
      type.shape.reset();
      break;
    }
    if (shape->size() != type.shape->size()) {
      throw input_error(fmt::format("inputs of rank {} and {}", type.shape->size(), shape->size()));
    }
    const size_t axis = concat_axis(node, shape->size());
    for (size_t d = 0; d < shape->size(); ++d) {
      Dim& dim = (*type.shape)[d];
      const Dim& other = (*shape)[d];
      if (d == axis) {
        dim = dim.value && other.value ? Dim{*dim.value + *other.value, {}} : Dim{};
      } else if (dim.value && other.value && *dim.value != *other.value) {
        throw input_error(fmt::format("extent {} of axis {} against {} in input {}", *dim.value, d,
                                      *other.value, i));
      } else if (!dim.value && (other.value || dim.symbol.empty())) {
        dim = other;
      }
    }
  }
  context.set_output(0, std::move(type));
}

std::vector<Tensor> concat_reference(const ReferenceCall& call) {
  Shape shape = call.input(0).shape();
  const size_t axis = concat_axis(call.node, shape.size());
  shape[axis] = 0;
  for (size_t i = 0; i < call.inputs.size(); ++i) shape[axis] += call.input(i).shape().at(axis);
  Tensor y(call.input(0).dtype(), shape);
  const size_t width = moved_bytes(y.dtype());
  const auto rows = static_cast<size_t>(
      element_count({shape.begin(), shape.begin() + static_cast<std::ptrdiff_t>(axis)}));
  const auto inner = static_cast<size_t>(
      element_count({shape.begin() + static_cast<std::ptrdiff_t>(axis) + 1, shape.end()}));
  std::byte* to = y.raw();
  for (size_t row = 0; row < rows; ++row) {
    for (size_t i = 0; i < call.inputs.size(); ++i) {
      const Tensor& part = call.input(i);
      const size_t bytes = static_cast<size_t>(part.shape()[axis]) * inner * width;
      if (bytes == 0) continue;
      std::memcpy(to, part.raw() + row * bytes, bytes);
      to += bytes;
    }
  }
  return one_result(std::move(y));
}

Lowering lower_concat(const LowerContext& context) {
  if (!context.post_ops.empty()) return Lowering::refuse("post-ops behind Concat");
  const LowerOutput& out = context.outputs[0];
  if (!movable(out.dtype))
    return Lowering::refuse("elements of type " + std::string(name(out.dtype)));
  for (const LowerInput& input : context.inputs) {
    if (input.dtype != out.dtype) return Lowering::refuse("floats among codes");
  }
  if (!moves_codes(context, SIZE_MAX)) return Lowering::refuse("inputs of different scales");
  const Layout layout = out.shape.size() >= 3 ? common_layout(context) : Layout::plain;
  const size_t axis = concat_axis(context.node, out.shape.size());
  CopySpec spec;
  spec.element_bytes = moved_bytes(out.dtype);
  spec.output_elements = element_count(out.shape);
  const std::vector<int64_t> to = strides(out.shape, layout);
  std::vector<Layout> inputs;
  int64_t offset = 0;
  for (size_t i = 0; i < context.inputs.size(); ++i) {
    const LowerInput& input = context.inputs[i];
    const Layout stored = input.constant != nullptr ? Layout::plain : layout;
    spec.copies.push_back(
        {input.shape, strides(input.shape, stored), to, 0, offset * to[axis], static_cast<int>(i)});
    offset += input.shape[axis];
    inputs.push_back(stored);
  }
  return lowering(make_copy(std::move(spec)), inputs, {layout});
}

// ---- Slice ------------------------------------------------------------------------------------

}  // namespace

Sliced sliced(const Shape& shape, SliceLists lists) {
  const size_t count = lists.starts.size();
  if (lists.axes.empty()) {
    lists.axes.resize(count);
    std::iota(lists.axes.begin(), lists.axes.end(), int64_t{0});
  }
  if (lists.steps.empty()) lists.steps.assign(count, 1);
  if (lists.ends.size() != count || lists.axes.size() != count || lists.steps.size() != count) {
    throw input_error("starts, ends, axes and steps have different lengths");
  }
  Sliced result{std::vector<int64_t>(shape.size(), 0), std::vector<int64_t>(shape.size(), 1),
                shape};
  std::vector<bool> listed(shape.size(), false);
  for (size_t i = 0; i < count; ++i) {
    const auto axis =
        static_cast<size_t>(normalized_axis(lists.axes[i], static_cast<int64_t>(shape.size())));
    const int64_t extent = shape[axis];
    const int64_t step = lists.steps[i];
    if (step == 0) throw input_error("a step of 0");
    if (listed[axis]) throw input_error(fmt::format("axis {} is listed twice", axis));
    listed[axis] = true;
    if (extent == 0) continue;
    // Beyond the ends saturates, to the last or first element where a backward slice starts.
    const auto place = [&](int64_t at, int64_t low, int64_t high) {
      if (at < 0) at = at < -extent ? low : at + extent;
      return std::clamp(at, low, high);
    };
    const int64_t start =
        step > 0 ? place(lists.starts[i], 0, extent) : place(lists.starts[i], 0, extent - 1);
    const int64_t end =
        step > 0 ? place(lists.ends[i], 0, extent) : place(lists.ends[i], -1, extent - 1);
    const int64_t distance = step > 0 ? end - start : start - end;
    const uint64_t stride =
        step > 0 ? static_cast<uint64_t>(step) : 0 - static_cast<uint64_t>(step);
    result.start[axis] = start;
    result.shape[axis] =
        distance <= 0 ? 0
                      : static_cast<int64_t>((static_cast<uint64_t>(distance) - 1) / stride) + 1;
    // A step that is never taken may be as large as it likes; it must not be multiplied.
    if (result.shape[axis] > 1) result.step[axis] = step;
  }
  return result;
}

namespace {

template <bool from_attributes>
std::optional<SliceLists> constant_lists(const NodeView& node) {
  SliceLists lists;
  if constexpr (from_attributes) {
    lists.starts = node.attributes().integers("starts");
    lists.ends = node.attributes().integers("ends");
    lists.axes = node.attributes().integers("axes");
    return lists;
  }
  std::vector<int64_t>* const targets[] = {&lists.starts, &lists.ends, &lists.axes, &lists.steps};
  for (size_t i = 0; i < 4; ++i) {
    if (!node.has_input(i + 1)) continue;
    const auto values = constant_integers(node, i + 1);
    if (!values) return std::nullopt;
    *targets[i] = *values;
  }
  return lists;
}

}  // namespace

std::optional<SliceLists> slice_lists(const NodeView& node) {
  return node.opset() < 10 ? constant_lists<true>(node) : constant_lists<false>(node);
}

namespace {

template <bool from_attributes>
void infer_slice(InferContext& context) {
  const NodeView& node = context.node;
  TensorType type{node.input_type(0).dtype, std::nullopt};
  const auto& shape = node.input_type(0).shape;
  const auto lists = constant_lists<from_attributes>(node);
  if (shape && !lists) type.shape.emplace(shape->size());
  if (shape && lists) {
    // An unknown extent stays unknown where it is sliced, itself where it is not.
    Shape stand_in;
    for (const Dim& dim : *shape) stand_in.push_back(dim.value.value_or(1));
    const Sliced result = sliced(stand_in, *lists);
    type.shape = *shape;
    for (size_t d = 0; d < shape->size(); ++d) {
      const bool whole =
          result.start[d] == 0 && result.step[d] == 1 && result.shape[d] == stand_in[d];
      const auto touched = [&] {
        if (lists->axes.empty()) return d < lists->starts.size();
        return std::ranges::any_of(lists->axes, [&](int64_t axis) {
          return normalized_axis(axis, static_cast<int64_t>(shape->size())) ==
                 static_cast<int64_t>(d);
        });
      };
      if ((*shape)[d].value) {
        (*type.shape)[d] = Dim{result.shape[d], {}};
      } else if (!whole || touched()) {
        (*type.shape)[d] = Dim{};
      }
    }
  }
  context.set_output(0, std::move(type));
}

/// Where a slice starts and how far it steps in a tensor of these strides.
struct SlicedView {
  int64_t offset = 0;
  std::vector<int64_t> steps;
};

SlicedView view_of(const Sliced& slice, const std::vector<int64_t>& own) {
  SlicedView view;
  for (size_t d = 0; d < own.size(); ++d) {
    view.offset += slice.start[d] * own[d];
    view.steps.push_back(slice.step[d] * own[d]);
  }
  return view;
}

template <bool from_attributes>
std::vector<Tensor> slice_reference(const ReferenceCall& call) {
  SliceLists lists;
  if constexpr (from_attributes) {
    lists = *constant_lists<true>(call.node);
  } else {
    lists.starts = to_int64s(call.input(1));
    lists.ends = to_int64s(call.input(2));
    if (call.has(3)) lists.axes = to_int64s(call.input(3));
    if (call.has(4)) lists.steps = to_int64s(call.input(4));
  }
  const Tensor& x = call.input(0);
  const Sliced slice = sliced(x.shape(), lists);
  const SlicedView view = view_of(slice, row_major_strides(x.shape()));
  moved_bytes(x.dtype());
  return one_result(reference::gather_strided(x, slice.shape, view.offset, view.steps));
}

template <bool from_attributes>
Lowering lower_slice(const LowerContext& context) {
  if (!context.post_ops.empty()) return Lowering::refuse("post-ops behind Slice");
  if (!moves_codes(context)) return Lowering::refuse("input and output have different scales");
  const LowerInput& x = context.inputs[0];
  if (!movable(x.dtype)) return Lowering::refuse("elements of type " + std::string(name(x.dtype)));
  const auto lists = constant_lists<from_attributes>(context.node);
  if (!lists) return Lowering::refuse("bounds that are computed at run time");
  const Sliced slice = sliced(x.shape, *lists);
  const SlicedView view = view_of(slice, strides(x.shape, x.layout));
  CopySpec spec;
  spec.element_bytes = moved_bytes(x.dtype);
  spec.output_elements = element_count(slice.shape);
  spec.copies.push_back(
      {slice.shape, view.steps, strides(slice.shape, x.layout), view.offset, 0, 0});
  std::vector<Layout> inputs(context.inputs.size(), Layout::plain);
  inputs[0] = x.layout;
  Lowering result = lowering(make_copy(std::move(spec)), inputs, {x.layout});
  for (size_t i = 1; i < context.inputs.size(); ++i) result.packed.push_back(static_cast<int>(i));
  return result;
}

}  // namespace

void register_slice_concat(OpRegistry& ops) {
  OpDef concat = data_movement("Concat", 4, {1, -1});
  concat.infer = infer_concat;
  concat.reference = concat_reference;
  concat.lower = lower_concat;
  concat.gradient = concat_gradient;
  concat.quant.inputs = {{OperandRole::activation}};
  ops.add(std::move(concat));

  OpDef slice1 = data_movement("Slice", 1, {1, 1});
  slice1.infer = infer_slice<true>;
  slice1.reference = slice_reference<true>;
  slice1.lower = lower_slice<true>;
  slice1.gradient = slice_gradient;
  ops.add(std::move(slice1));

  OpDef slice = data_movement("Slice", 10, {3, 5});
  slice.infer = infer_slice<false>;
  slice.reference = slice_reference<false>;
  slice.lower = lower_slice<false>;
  slice.gradient = slice_gradient;
  ops.add(std::move(slice));
}

}  // namespace qtool
