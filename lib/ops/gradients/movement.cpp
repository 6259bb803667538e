// SPDX-License-Identifier: Apache-2.0
// Gradients of ops that move elements: Reshape and its kin, Transpose, Concat, Split, Slice, Pad;
// with ReshapeLike, CropLike and SliceGradient.
#include <algorithm>
#include <cstring>

#include "kernels/host/copy.h"
#include "ops/gradients/gradients.h"
#include "ops/lowering.h"
#include "ops/reals.h"
#include "ops/shapes.h"
#include "ops/slice.h"
#include "support/text.h"

namespace qtool {

namespace {

std::vector<Tensor> reshape_like_reference(const ReferenceCall& call) {
  return one_result(call.input(0).clone().reshaped(call.input(1).shape()));
}

Lowering lower_reshape_like(const LowerContext&) {
  Lowering result;
  result.alias = true;
  result.input_layouts = {Layout::plain, Layout::plain};
  result.packed = {1};
  return result;
}

// ---- CropLike: y[i] = x[i + begins], 0 outside of x -------------------------------------------
// Of inputs behind the second only the extents along `axis` count: begins is so much further there.

/// The part of y that lies in x.
struct Overlap {
  std::vector<int64_t> from;  ///< first element in x
  std::vector<int64_t> to;    ///< in y
  Shape shape;
};

Overlap overlap(const std::vector<int64_t>& begins, const Shape& x, const Shape& y) {
  if (begins.size() != y.size() || x.size() != y.size()) throw input_error("begins of other rank");
  Overlap part;
  for (size_t d = 0; d < y.size(); ++d) {
    part.to.push_back(std::max<int64_t>(0, -begins[d]));
    part.from.push_back(part.to[d] + begins[d]);
    part.shape.push_back(std::max<int64_t>(0, std::min(y[d] - part.to[d], x[d] - part.from[d])));
  }
  return part;
}

/// `shape_of(slot)` for slots 0 to count - 1.
template <class ShapeOf>
std::vector<int64_t> crop_begins(const NodeView& node, size_t count, ShapeOf&& shape_of) {
  std::vector<int64_t> begins = node.attributes().integers("begins");
  const auto axis = static_cast<size_t>(node.attributes().integer("axis", 0));
  for (size_t slot = 2; slot < count; ++slot) begins.at(axis) += shape_of(slot).at(axis);
  return begins;
}

StridedCopy part_copy(const Overlap& part, const std::vector<int64_t>& from,
                      const std::vector<int64_t>& to) {
  StridedCopy copy{part.shape, from, to};
  for (size_t d = 0; d < from.size(); ++d) {
    copy.from_offset += part.from[d] * from[d];
    copy.to_offset += part.to[d] * to[d];
  }
  return copy;
}

/// The reference of a copy of part of x into zeros.
Tensor copied(const Tensor& x, const StridedCopy& copy, const Shape& shape) {
  Tensor y(x.dtype(), shape);
  const size_t width = moved_bytes(x.dtype());
  const int64_t count = element_count(copy.extents);
  for (int64_t i = 0; i < count; ++i) {
    int64_t rest = i;
    int64_t from = copy.from_offset;
    int64_t to = copy.to_offset;
    for (size_t d = copy.extents.size(); d-- > 0;) {
      from += rest % copy.extents[d] * copy.from_strides[d];
      to += rest % copy.extents[d] * copy.to_strides[d];
      rest /= copy.extents[d];
    }
    std::memcpy(y.raw() + static_cast<size_t>(to) * width,
                x.raw() + static_cast<size_t>(from) * width, width);
  }
  return y;
}

/// A kernel that copies part of input 0 into zeros, both in one layout.
Lowering lower_copy(const LowerContext& context, StridedCopy copy, Layout layout) {
  if (!movable(context.inputs[0].dtype)) return Lowering::refuse("elements that are not moved");
  CopySpec spec;
  spec.element_bytes = moved_bytes(context.inputs[0].dtype);
  spec.output_elements = element_count(context.outputs[0].shape);
  spec.fill_first = element_count(copy.extents) != spec.output_elements;
  if (element_count(copy.extents) > 0) spec.copies.push_back(std::move(copy));
  Lowering result = lowering(make_copy(std::move(spec)), {layout, Layout::plain}, {layout});
  result.packed = {1};
  return result;
}

std::vector<Tensor> crop_like_reference(const ReferenceCall& call) {
  const Shape& x = call.input(0).shape();
  const Shape& y = call.input(1).shape();
  const auto begins = crop_begins(call.node, call.inputs.size(),
                                  [&](size_t slot) { return call.input(slot).shape(); });
  const Overlap part = overlap(begins, x, y);
  return one_result(
      copied(call.input(0), part_copy(part, row_major_strides(x), row_major_strides(y)), y));
}

Lowering lower_crop_like(const LowerContext& context) {
  const LowerInput& x = context.inputs[0];
  const Shape& y = context.outputs[0].shape;
  const auto begins = crop_begins(context.node, context.inputs.size(),
                                  [&](size_t slot) { return context.inputs[slot].shape; });
  const Overlap part = overlap(begins, x.shape, y);
  Lowering result = lower_copy(
      context, part_copy(part, strides(x.shape, x.layout), strides(y, x.layout)), x.layout);
  for (size_t slot = 2; slot < context.inputs.size(); ++slot) {
    result.input_layouts.push_back(Layout::plain);
    result.packed.push_back(static_cast<int>(slot));
  }
  return result;
}

// ---- SliceGradient: the elements of x where the Slice took them from --------------------------

/// Where it reads the Slice's own inputs, which are computed at run time.
constexpr size_t kSliceInputs = 2;

SliceLists slice_attributes(const NodeView& node) {
  const Attributes& attributes = node.attributes();
  return {attributes.integers("starts"), attributes.integers("ends"), attributes.integers("axes"),
          attributes.integers("steps")};
}

/// From their values, or from what is known of them before the run; nothing where that is not all.
template <class Values>
std::optional<SliceLists> slice_inputs(const Values& values) {
  SliceLists lists;
  std::vector<int64_t>* const targets[] = {&lists.starts, &lists.ends, &lists.axes, &lists.steps};
  for (size_t i = 0; i < 4; ++i) {
    if (!values.has(kSliceInputs + i)) continue;
    const Tensor* known = values.tensor(kSliceInputs + i);
    if (known == nullptr) return std::nullopt;
    *targets[i] = to_int64s(*known);
  }
  return lists;
}

struct RunValues {
  const ReferenceCall& call;
  bool has(size_t slot) const { return call.has(slot); }
  const Tensor* tensor(size_t slot) const { return &call.input(slot); }
};

struct KnownValues {
  const LowerContext& context;
  bool has(size_t slot) const { return context.node.has_input(slot); }
  const Tensor* tensor(size_t slot) const { return context.inputs[slot].constant.get(); }
};

StridedCopy slice_copy(const Sliced& slice, const std::vector<int64_t>& from,
                       const std::vector<int64_t>& to) {
  StridedCopy copy{slice.shape, from, to};
  for (size_t d = 0; d < to.size(); ++d) {
    copy.to_offset += slice.start[d] * to[d];
    copy.to_strides[d] = slice.step[d] * to[d];
  }
  return copy;
}

std::vector<Tensor> slice_gradient_reference(const ReferenceCall& call) {
  const Shape& whole = call.input(1).shape();
  const bool at_run_time = call.has(kSliceInputs);
  const Sliced slice = sliced(
      whole, at_run_time ? slice_inputs(RunValues{call}).value() : slice_attributes(call.node));
  if (slice.shape != call.input(0).shape()) throw input_error("a gradient of another shape");
  return one_result(
      copied(call.input(0),
             slice_copy(slice, row_major_strides(slice.shape), row_major_strides(whole)), whole));
}

Lowering lower_slice_gradient(const LowerContext& context) {
  const LowerInput& part = context.inputs[0];
  const Shape& whole = context.outputs[0].shape;
  const auto lists = context.node.has_input(kSliceInputs) ? slice_inputs(KnownValues{context})
                                                          : slice_attributes(context.node);
  if (!lists) return Lowering::refuse("its bounds are computed at run time");
  const Sliced slice = sliced(whole, *lists);
  Lowering result = lower_copy(
      context, slice_copy(slice, strides(part.shape, part.layout), strides(whole, part.layout)),
      part.layout);
  for (size_t slot = kSliceInputs; slot < context.inputs.size(); ++slot) {
    result.input_layouts.push_back(Layout::plain);
    result.packed.push_back(static_cast<int>(slot));
  }
  return result;
}

std::vector<Tensor> zeros_like_reference(const ReferenceCall& call) {
  return one_result(Tensor(call.input(0).dtype(), call.input(0).shape()));
}

Lowering lower_zeros_like(const LowerContext& context) {
  if (!movable(context.inputs[0].dtype)) return Lowering::refuse("elements that are not moved");
  CopySpec spec;
  spec.element_bytes = moved_bytes(context.inputs[0].dtype);
  spec.output_elements = element_count(context.outputs[0].shape);
  spec.fill_first = true;
  Lowering result = lowering(make_copy(std::move(spec)), {Layout::plain});
  result.packed = {0};
  return result;
}

const std::vector<Dim>& known_rank(const TensorType& type) {
  if (!type.shape) throw unsupported_error("the rank of its input is not known");
  return *type.shape;
}

/// Where an element that Pad makes comes from, for `at` counted from the input's first one.
int64_t padded_from(int64_t at, int64_t extent, const std::string& mode) {
  if (mode == "edge") return std::clamp<int64_t>(at, 0, extent - 1);
  const int64_t period = mode == "wrap" ? extent : std::max<int64_t>(1, 2 * (extent - 1));
  const int64_t place = (at % period + period) % period;
  return place < extent ? place : period - place;
}

/// Pad that repeats elements of its input: along each axis the product with a matrix of ones where
/// an element went.
void give_mirrored(GradContext& context, const std::string& mode) {
  const std::vector<Dim>& dims = known_rank(context.node.input_type(0));
  const auto padding = known_padding(context.node, dims.size());
  if (!padding) throw unsupported_error("its padding is computed at run time");
  ValueId gradient = context.upstream();
  for (size_t d = 0; d < dims.size(); ++d) {
    const int64_t begin = padding->begin[d];
    if (begin == 0 && padding->end[d] == 0) continue;
    if (d + 2 < dims.size()) throw unsupported_error("it pads another than the last two axes");
    const int64_t extent = dims[d].value.value_or(0);
    const int64_t made = begin + extent + padding->end[d];
    if (extent < 1 || made < 1) throw unsupported_error("the shape of its input is not known");
    const bool rows = d + 2 == dims.size();  // [extent, made] in front, else [made, extent] behind
    Tensor matrix(DType::float32, rows ? Shape{extent, made} : Shape{made, extent});
    for (int64_t k = 0; k < made; ++k) {
      const int64_t from = padded_from(k - begin, extent, mode);
      const int64_t place = rows ? from * made + k : k * extent + from;
      matrix.data<float>()[static_cast<size_t>(place)] = 1;
    }
    const ValueId ones = context.constant(cast(matrix, context.node.input_type(0).dtype));
    gradient = rows ? context.emit_onnx("MatMul", {ones, gradient})
                    : context.emit_onnx("MatMul", {gradient, ones});
  }
  context.give(0, gradient);
}

}  // namespace

void reshape_gradient(GradContext& context) {
  context.give(0, context.emit("ReshapeLike", {context.upstream(), context.input(0)}));
}

void transpose_gradient(GradContext& context) {
  auto perm = context.node.attributes().integers("perm");
  Attributes attributes;
  if (!perm.empty()) {
    std::vector<int64_t> inverse(perm.size());
    for (size_t i = 0; i < perm.size(); ++i) {
      inverse.at(static_cast<size_t>(perm[i])) = static_cast<int64_t>(i);
    }
    attributes.set("perm", std::move(inverse));
  }
  context.give(0, context.emit_onnx("Transpose", {context.upstream()}, std::move(attributes)));
}

void concat_gradient(GradContext& context) {
  const auto rank = static_cast<int64_t>(known_rank(context.node.input_type(0)).size());
  const int64_t axis = normalized_axis(context.node.attributes().integer("axis", 0), rank);
  std::vector<int64_t> begins(static_cast<size_t>(rank), 0);
  std::vector<ValueId> of_unknown_extent;
  for (size_t i = 0; i < context.input_count(); ++i) {
    if (context.wants(i)) {
      Attributes attributes;
      attributes.set("begins", begins);
      attributes.set("axis", axis);
      std::vector<ValueId> inputs{context.upstream(), context.input(i)};
      inputs.insert(inputs.end(), of_unknown_extent.begin(), of_unknown_extent.end());
      context.give(i, context.emit("CropLike", std::move(inputs), std::move(attributes)));
    }
    const Dim& extent = known_rank(context.node.input_type(i)).at(static_cast<size_t>(axis));
    if (!extent.value) of_unknown_extent.push_back(context.input(i));
    begins[static_cast<size_t>(axis)] += extent.value.value_or(0);
  }
}

void split_gradient(GradContext& context) {
  const auto rank = static_cast<int64_t>(known_rank(context.node.input_type(0)).size());
  Attributes attributes;
  attributes.set("axis", normalized_axis(context.node.attributes().integer("axis", 0), rank));
  std::vector<ValueId> parts;
  for (size_t i = 0; i < context.output_count(); ++i) {
    const bool reached = context.upstream(i) != ValueId::none;
    parts.push_back(reached ? context.upstream(i) : context.emit("ZerosLike", {context.output(i)}));
  }
  context.give(0, context.emit_onnx("Concat", std::move(parts), std::move(attributes)));
}

void slice_gradient(GradContext& context) {
  const auto lists = slice_lists(context.node);
  if (!lists) {
    std::vector<ValueId> inputs{context.upstream(), context.input(0)};
    for (size_t slot = 1; slot < context.input_count(); ++slot)
      inputs.push_back(context.input(slot));
    context.give(0, context.emit("SliceGradient", std::move(inputs)));
    return;
  }
  Attributes attributes;
  attributes.set("starts", lists->starts);
  attributes.set("ends", lists->ends);
  attributes.set("axes", lists->axes);
  attributes.set("steps", lists->steps);
  context.give(0, context.emit("SliceGradient", {context.upstream(), context.input(0)},
                               std::move(attributes)));
}

void pad_gradient(GradContext& context) {
  const std::string mode = context.node.attributes().text("mode", "constant");
  if (mode != "constant") return give_mirrored(context, mode);
  if (context.wants(2)) throw unsupported_error("the value to pad with is computed");
  const auto padding = known_padding(context.node, known_rank(context.node.input_type(0)).size());
  if (!padding) throw unsupported_error("its padding is computed at run time");
  Attributes attributes;
  attributes.set("begins", padding->begin);
  context.give(
      0, context.emit("CropLike", {context.upstream(), context.input(0)}, std::move(attributes)));
}

void identity_gradient(GradContext& context) { context.give(0, context.upstream()); }

/// Where SpaceToDepth, which puts the position in a block first, puts each channel of mode CRD,
/// which puts it last.
std::vector<int64_t> channels_first(int64_t channels, int64_t block) {
  const int64_t positions = block * block;
  std::vector<int64_t> from;
  const int64_t results = channels / positions;
  for (int64_t c = 0; c < results; ++c) {
    for (int64_t p = 0; p < positions; ++p) from.push_back(p * results + c);
  }
  return from;
}

void depth_to_space_gradient(GradContext& context) {
  const int64_t block = context.node.attributes().integer("blocksize", 1);
  Attributes attributes;
  attributes.set("blocksize", block);
  ValueId gradient = context.emit_onnx("SpaceToDepth", {context.upstream()}, std::move(attributes));
  if (context.node.attributes().text("mode", "DCR") != "DCR") {
    const auto& channels = known_rank(context.node.input_type(0)).at(1).value;
    if (!channels) throw unsupported_error("its number of channels is not known");
    const std::vector<int64_t> from = channels_first(*channels, block);
    Attributes axis;
    axis.set("axis", int64_t{1});
    gradient = context.emit_onnx(
        "Gather", {gradient, context.constant(Tensor::of<int64_t>({*channels}, from))},
        std::move(axis));
  }
  context.give(0, gradient);
}

void space_to_depth_gradient(GradContext& context) {
  Attributes attributes;
  attributes.set("blocksize", context.node.attributes().integer("blocksize", 1));
  context.give(0, context.emit_onnx("DepthToSpace", {context.upstream()}, std::move(attributes)));
}

void register_training_movement(OpRegistry& ops) {
  OpDef reshape =
      training_record("ReshapeLike", {2, 2}, {1, 1}, infer_like<1>, reshape_like_reference);
  reshape.lower = lower_reshape_like;
  ops.add(std::move(reshape));
  OpDef crop = training_record("CropLike", {2, -1}, {1, 1}, infer_like<1>, crop_like_reference);
  crop.taste = LayoutTaste::any;
  crop.lower = lower_crop_like;
  ops.add(std::move(crop));
  OpDef slice =
      training_record("SliceGradient", {2, 6}, {1, 1}, infer_like<1>, slice_gradient_reference);
  slice.taste = LayoutTaste::any;
  slice.lower = lower_slice_gradient;
  ops.add(std::move(slice));
  OpDef zeros = training_record("ZerosLike", {1, 1}, {1, 1}, infer_like<0>, zeros_like_reference);
  zeros.lower = lower_zeros_like;
  ops.add(std::move(zeros));
}

}  // namespace qtool
