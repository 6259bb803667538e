// SPDX-License-Identifier: Apache-2.0
// Resize (10: scales; 11: roi, scales, sizes; antialias, axes and keep_aspect_ratio_policy since
// 18, half_pixel_symmetric since 19), Upsample (7: scales are an attribute, 9: an input). Extents
// are floor(extent * scale) with the product in float, as ONNX Runtime has it.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "ops/elements.h"
#include "ops/families.h"
#include "ops/gradients/gradients.h"
#include "ops/lowering.h"
#include "ops/resize_axis.h"
#include "support/text.h"

namespace qtool {

namespace {

/// Where the numbers that say how to resize come from: constants before the run, tensors in it.
struct Wishes {
  std::vector<float> roi = {};  ///< starts, then ends, of the listed axes
  std::vector<float> scales = {};
  std::vector<int64_t> sizes = {};
};

/// One axis as wished: output elements, and output over input.
struct Wish {
  int64_t output = 0;
  float scale = 1;
  Crop crop = {};
};

bool is_upsample(const NodeView& node) { return node.op().type == "Upsample"; }
bool has_roi_input(const NodeView& node) { return !is_upsample(node) && node.opset() >= 11; }
size_t scales_slot(const NodeView& node) { return has_roi_input(node) ? 2 : 1; }

std::vector<size_t> listed_axes(const NodeView& node, size_t rank) {
  std::vector<size_t> axes(rank);
  std::iota(axes.begin(), axes.end(), size_t{0});
  if (!has_roi_input(node) || !node.attributes().has("axes")) return axes;
  axes.clear();
  for (const int64_t axis : node.attributes().integers("axes")) {
    const auto at = static_cast<size_t>(normalized_axis(axis, static_cast<int64_t>(rank)));
    if (std::ranges::find(axes, at) != axes.end())
      throw input_error(fmt::format("axis {} is listed twice", axis));
    axes.push_back(at);
  }
  return axes;
}

int64_t checked_size(double size) {
  if (!(size >= 0 && size <= static_cast<double>(kMostExtent)))
    throw input_error(fmt::format("an extent of {}", size));
  return static_cast<int64_t>(size);
}

/// sizes under a policy that keeps the aspect ratio: one scale for all listed axes.
void keep_ratio(const std::string& policy, const Shape& x, const std::vector<size_t>& axes,
                std::vector<Wish>& wishes) {
  if (policy == "stretch") return;
  if (policy != "not_larger" && policy != "not_smaller")
    throw input_error("keep_aspect_ratio_policy is \"" + policy + '"');
  std::optional<float> scale;
  for (const size_t axis : axes) {
    const float own = wishes[axis].scale;
    if (!scale || (policy == "not_larger" ? own < *scale : own > *scale)) scale = own;
  }
  for (const size_t axis : axes) {
    const double size = static_cast<double>(*scale) * static_cast<double>(x[axis]);
    wishes[axis].output = checked_size(std::floor(size + 0.5));
    wishes[axis].scale = *scale;
  }
}

void check_count(const char* what, size_t has, size_t wants) {
  if (has != wants) throw input_error(fmt::format("{} {} for {} axes", has, what, wants));
}

void apply_roi(const std::vector<float>& roi, const std::vector<size_t>& axes,
               std::vector<Wish>& wishes) {
  if (roi.size() != 2 * axes.size()) {
    throw input_error(fmt::format("a roi of {} numbers for {} axes, expected twice as many",
                                  roi.size(), axes.size()));
  }
  for (size_t i = 0; i < axes.size(); ++i) {
    const Crop crop{roi[i], roi[axes.size() + i]};
    if (!std::isfinite(crop.start) || !std::isfinite(crop.end))
      throw input_error("a roi that is not finite");
    wishes[axes[i]].crop = crop;
  }
}

/// What becomes of each axis of a tensor of shape x.
std::vector<Wish> wishes_for(const NodeView& node, const Wishes& given, const Shape& x) {
  const std::vector<size_t> axes = listed_axes(node, x.size());
  const bool crops = resize_style(node).placing == Placing::tf_crop_and_resize;
  std::vector<Wish> wishes(x.size());
  for (size_t d = 0; d < x.size(); ++d) wishes[d].output = x[d];
  if (crops) apply_roi(given.roi, axes, wishes);
  if (given.sizes.empty() == given.scales.empty() && !axes.empty()) {
    throw input_error(given.sizes.empty() ? "neither scales nor sizes" : "both scales and sizes",
                      "Resize takes one of them.");
  }
  if (!given.sizes.empty()) {
    check_count("sizes", given.sizes.size(), axes.size());
    for (size_t i = 0; i < axes.size(); ++i) {
      Wish& wish = wishes[axes[i]];
      wish.output = checked_size(static_cast<double>(given.sizes[i]));
      wish.scale = static_cast<float>(wish.output) / static_cast<float>(x[axes[i]]);
    }
    keep_ratio(node.attributes().text("keep_aspect_ratio_policy", "stretch"), x, axes, wishes);
  } else {
    check_count("scales", given.scales.size(), axes.size());
    for (size_t i = 0; i < axes.size(); ++i) {
      Wish& wish = wishes[axes[i]];
      wish.scale = given.scales[i];
      if (!(wish.scale > 0) || !std::isfinite(wish.scale))
        throw input_error(fmt::format("a scale of {}", wish.scale));
      float size = static_cast<float>(x[axes[i]]);
      if (crops) size *= wish.crop.end - wish.crop.start;
      wish.output = checked_size(static_cast<double>(std::floor(size * wish.scale)));
    }
  }
  for (size_t d = 0; d < x.size(); ++d) {
    if (x[d] == 0 && wishes[d].output > 0)
      throw input_error(fmt::format("axis {} has nothing to resize to {}", d, wishes[d].output));
  }
  return wishes;
}

/// An input that is absent, or a list without elements as exporters write for "absent".
bool left_out(const NodeView& node, size_t slot) {
  if (!node.has_input(slot)) return true;
  const auto shape = node.input_type(slot).concrete_shape();
  return shape && element_count(*shape) == 0;
}

/// Nothing where an input is computed at run time.
std::optional<Wishes> known_wishes(const NodeView& node) {
  Wishes wishes;
  if (is_upsample(node) && node.opset() < 9) {
    wishes.scales = node.attributes().reals("scales");
    return wishes;
  }
  const auto known = [&](size_t slot) {
    return left_out(node, slot) || node.input_constant(slot) != nullptr;
  };
  const size_t scales = scales_slot(node);
  const bool crops = resize_style(node).placing == Placing::tf_crop_and_resize;
  const size_t sizes = 3;
  if (!known(scales) || (has_roi_input(node) && !known(sizes)) || (crops && !known(1))) {
    return std::nullopt;
  }
  if (!left_out(node, scales)) wishes.scales = to_floats(*node.input_constant(scales));
  if (crops && !left_out(node, 1)) wishes.roi = to_floats(*node.input_constant(1));
  if (has_roi_input(node) && !left_out(node, sizes)) {
    wishes.sizes = to_int64s(*node.input_constant(sizes));
  }
  return wishes;
}

void infer_resize(InferContext& context) {
  const NodeView& node = context.node;
  TensorType type = node.input_type(0);
  resize_style(node);
  if (type.shape) {
    listed_axes(node, type.shape->size());
    const auto known = known_wishes(node);
    if (const auto x = type.concrete_shape(); x && known) {
      const auto wishes = wishes_for(node, *known, *x);
      for (size_t d = 0; d < wishes.size(); ++d) (*type.shape)[d] = {wishes[d].output, {}};
    } else {
      // An open extent stays what it is where the scale is 1.
      const bool scaled = known && known->sizes.empty();
      for (size_t d = 0; d < type.shape->size(); ++d) {
        const bool plain = scaled && known->scales.size() == type.shape->size();
        if (!plain || known->scales[d] != 1 || !known->roi.empty()) (*type.shape)[d] = {};
      }
    }
  }
  context.set_output(0, std::move(type));
}

std::vector<ResizeAxis> resize_axes(const NodeView& node, const Wishes& wishes, const Shape& x) {
  const ResizeStyle style = resize_style(node);
  std::vector<size_t> listed = listed_axes(node, x.size());
  std::vector<ResizeAxis> axes;
  const auto all = wishes_for(node, wishes, x);
  const bool empty = std::ranges::any_of(all, [](const Wish& wish) { return wish.output == 0; });
  for (size_t d = 0; d < x.size(); ++d) {
    const bool moves = !empty && std::ranges::find(listed, d) != listed.end();
    axes.push_back(moves ? resize_axis(style, x[d], all[d].output, all[d].scale, all[d].crop)
                         : ResizeAxis{x[d], all[d].output});
  }
  return axes;
}

// ---- reference --------------------------------------------------------------------------------

/// One axis of [outer, input, inner] after the other, in double.
std::vector<double> interpolated(std::vector<double> x, const std::vector<ResizeAxis>& axes) {
  for (size_t d = 0; d < axes.size(); ++d) {
    const ResizeAxis& axis = axes[d];
    if (axis.kept()) continue;
    size_t inner = 1;
    for (size_t i = d + 1; i < axes.size(); ++i) inner *= static_cast<size_t>(axes[i].input);
    const auto input = static_cast<size_t>(axis.input);
    const auto output = static_cast<size_t>(axis.output);
    const auto taps = static_cast<size_t>(axis.taps);
    const size_t outer = x.size() / (input * inner);
    std::vector<double> y(outer * output * inner, 0.0);
    for (size_t i = 0; i < y.size(); ++i) {
      const size_t k = i / inner % output;
      const size_t base = i / (inner * output) * input * inner + i % inner;
      for (size_t t = k * taps; t < (k + 1) * taps; ++t) {
        y[i] += axis.weight[t] * x[base + static_cast<size_t>(axis.index[t]) * inner];
      }
    }
    x = std::move(y);
  }
  return x;
}

/// Elements that some axis takes from outside of the input.
template <class F>
void for_outside(const Shape& shape, const std::vector<ResizeAxis>& axes, F&& visit) {
  for (int64_t i = 0; i < element_count(shape); ++i) {
    int64_t rest = i;
    bool outside = false;
    for (size_t d = shape.size(); d-- > 0;) {
      const auto k = static_cast<size_t>(rest % shape[d]);
      rest /= shape[d];
      outside = outside || (!axes[d].outside.empty() && axes[d].outside[k]);
    }
    if (outside) visit(static_cast<size_t>(i));
  }
}

Tensor nearest(const Tensor& x, const Shape& shape, const std::vector<ResizeAxis>& axes) {
  const size_t width = moved_bytes(x.dtype());
  const std::vector<int64_t> own = row_major_strides(x.shape());
  Tensor y(x.dtype(), shape);
  for (int64_t i = 0; i < y.size(); ++i) {
    int64_t rest = i;
    int64_t from = 0;
    for (size_t d = shape.size(); d-- > 0;) {
      const int64_t k = rest % shape[d];
      rest /= shape[d];
      from += own[d] * (axes[d].kept() ? k : axes[d].index[static_cast<size_t>(k)]);
    }
    std::memcpy(y.raw() + static_cast<size_t>(i) * width,
                x.raw() + static_cast<size_t>(from) * width, width);
  }
  return y;
}

Tensor weighted(const Tensor& x, const Shape& shape, const std::vector<ResizeAxis>& axes) {
  return visit_kinds<kNumbers>(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    Tensor y(x.dtype(), shape);
    const std::vector<double> values = interpolated(to_doubles(x), axes);
    std::ranges::transform(values, y.data<T>().begin(), converted<T, double>);
    return y;
  });
}

std::vector<Tensor> resize_reference(const ReferenceCall& call) {
  const Tensor& x = call.input(0);
  const NodeView& node = call.node;
  Wishes wishes;
  if (is_upsample(node) && node.opset() < 9) {
    wishes = *known_wishes(node);
  } else {
    const size_t scales = scales_slot(node);
    if (call.has(scales)) wishes.scales = to_floats(call.input(scales));
    if (has_roi_input(node) && call.has(1)) wishes.roi = to_floats(call.input(1));
    if (has_roi_input(node) && call.has(3)) wishes.sizes = to_int64s(call.input(3));
  }
  const std::vector<ResizeAxis> axes = resize_axes(node, wishes, x.shape());
  Shape shape;
  for (const ResizeAxis& axis : axes) shape.push_back(axis.output);
  if (element_count(shape) == 0) return one_result(Tensor(x.dtype(), shape));
  const bool near = resize_style(node).interpolation == Interpolation::nearest;
  Tensor y = near ? nearest(x, shape, axes) : weighted(x, shape, axes);
  const float beyond = node.attributes().real("extrapolation_value", 0);
  const Tensor fill = cast(Tensor::scalar(beyond), x.dtype());
  const size_t width = fill.bytes();
  for_outside(shape, axes, [&](size_t i) { std::memcpy(y.raw() + i * width, fill.raw(), width); });
  return one_result(std::move(y));
}

// ---- lowering ---------------------------------------------------------------------------------

bool is_nearest(const NodeView& node) {
  return resize_style(node).interpolation == Interpolation::nearest;
}

Lowering lower_resize(const LowerContext& context) {
  if (auto why = move_problem(context); !why.empty()) return Lowering::refuse(std::move(why));
  const LowerInput& x = context.inputs[0];
  const auto wishes = known_wishes(context.node);
  if (!wishes) return Lowering::refuse("scales or sizes that are computed at run time");
  const bool near = is_nearest(context.node);
  if (!near && (x.params != nullptr || x.dtype != DType::float32)) {
    return Lowering::refuse("interpolation runs in float");
  }
  const auto axes = resize_axes(context.node, *wishes, x.shape);
  MadeKernel made = near ? make_nearest_resize(axes, moved_bytes(x.dtype), x.layout)
                         : make_weighted_resize(axes, x.layout);
  std::vector<Layout> inputs(context.inputs.size(), Layout::plain);
  inputs[0] = x.layout;
  Lowering result = lowering(std::move(made), inputs, {x.layout});
  for (size_t i = 1; i < context.inputs.size(); ++i) result.packed.push_back(static_cast<int>(i));
  return result;
}

OpDef record(const char* type, int since, Arity inputs) {
  OpDef def = data_movement(type, since, inputs);
  def.infer = infer_resize;
  def.reference = resize_reference;
  def.tolerance = kAccumulated;
  def.lower = lower_resize;
  def.gradient = resize_gradient;
  def.quant.only_if = is_nearest;
  return def;
}

// ---- gradient ---------------------------------------------------------------------------------

/// An axis as the matrix [input, output] that takes gradients of the result to the input's.
Tensor transposed_taps(const ResizeAxis& axis, DType dtype) {
  Tensor matrix(DType::float32, {axis.input, axis.output});
  const auto elements = matrix.data<float>();
  for (int64_t k = 0; k < axis.output; ++k) {
    if (!axis.outside.empty() && axis.outside[static_cast<size_t>(k)]) continue;
    for (int64_t t = k * axis.taps; t < (k + 1) * axis.taps; ++t) {
      const int64_t place = axis.index[static_cast<size_t>(t)] * axis.output + k;
      elements[static_cast<size_t>(place)] +=
          axis.weight.empty() ? 1.0F : static_cast<float>(axis.weight[static_cast<size_t>(t)]);
    }
  }
  return cast(matrix, dtype);
}

}  // namespace

/// Every axis is a matrix, so the gradient is the product with its transpose.
void resize_gradient(GradContext& context) {
  const NodeView& node = context.node;
  const auto wishes = known_wishes(node);
  TensorType type = node.input_type(0);
  if (!wishes || !type.shape || type.shape->empty()) {
    throw unsupported_error("its sizes are computed at run time");
  }
  const bool sized = !wishes->sizes.empty() && wishes->sizes.size() == type.shape->size();
  if (!(*type.shape)[0].value) (*type.shape)[0] = {sized ? wishes->sizes[0] : 1, {}};
  const auto shape = type.concrete_shape();
  if (!shape) throw unsupported_error("the shape of its input is not known");
  const std::vector<ResizeAxis> axes = resize_axes(node, *wishes, *shape);
  const size_t rank = axes.size();
  ValueId gradient = context.upstream();
  for (size_t d = 0; d < rank; ++d) {
    if (axes[d].kept()) continue;
    if (d + 2 < rank) throw unsupported_error("it resizes another than the last two axes");
    Tensor matrix = transposed_taps(axes[d], type.dtype);
    if (d + 2 == rank) {
      gradient = context.emit_onnx("MatMul", {context.constant(std::move(matrix)), gradient});
      continue;
    }
    Attributes swap;
    swap.set("perm", std::vector<int64_t>{1, 0});
    const ValueId taps =
        context.emit_onnx("Transpose", {context.constant(std::move(matrix))}, std::move(swap));
    gradient = context.emit_onnx("MatMul", {gradient, taps});
  }
  context.give(0, gradient);
}

void register_resize(OpRegistry& ops) {
  ops.add(record("Upsample", 7, {1, 1}));
  ops.add(record("Upsample", 9, {2, 2}));
  ops.add(record("Resize", 10, {2, 2}));
  ops.add(record("Resize", 11, {1, 4}));
}

}  // namespace qtool
