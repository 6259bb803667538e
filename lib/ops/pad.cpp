// SPDX-License-Identifier: Apache-2.0
// Pad (2: attributes, 11: inputs, 18: axes, 19: wrap).
#include <algorithm>
#include <cstring>
#include <numeric>

#include "kernels/host/copy.h"
#include "ops/families.h"
#include "ops/gradients/gradients.h"
#include "ops/lowering.h"
#include "ops/shapes.h"
#include "ops/slice.h"
#include "support/text.h"

namespace qtool {

namespace {

Padding spread(const std::vector<int64_t>& pads, std::vector<int64_t> axes, size_t rank) {
  if (axes.empty()) {
    axes.resize(rank);
    std::iota(axes.begin(), axes.end(), int64_t{0});
  }
  if (pads.size() != 2 * axes.size()) {
    throw input_error(
        fmt::format("{} pads for {} axes, expected twice as many", pads.size(), axes.size()));
  }
  for (const int64_t count : pads) {
    if (count < -kMostExtent || count > kMostExtent)
      throw input_error(fmt::format("a padding of {}", count));
  }
  Padding padding{std::vector<int64_t>(rank, 0), std::vector<int64_t>(rank, 0)};
  for (size_t i = 0; i < axes.size(); ++i) {
    const auto axis = static_cast<size_t>(normalized_axis(axes[i], static_cast<int64_t>(rank)));
    padding.begin[axis] = pads[i];
    padding.end[axis] = pads[axes.size() + i];
  }
  return padding;
}

template <bool from_attributes>
std::optional<Padding> constant_padding(const NodeView& node, size_t rank) {
  if constexpr (from_attributes) return spread(node.attributes().integers("pads"), {}, rank);
  const auto pads = constant_integers(node, 1);
  std::vector<int64_t> axes;
  if (node.has_input(3)) {
    const auto listed = constant_integers(node, 3);
    if (!listed) return std::nullopt;
    axes = *listed;
  }
  if (!pads) return std::nullopt;
  return spread(*pads, std::move(axes), rank);
}

}  // namespace

std::optional<Padding> known_padding(const NodeView& node, size_t rank) {
  return node.opset() < 11 ? constant_padding<true>(node, rank)
                           : constant_padding<false>(node, rank);
}

namespace {

int64_t padded_extent(const std::string& mode, int64_t extent, int64_t begin, int64_t end) {
  if (extent == 0 && mode != "constant" && (begin > 0 || end > 0)) {
    throw input_error("an axis of extent 0 has nothing to repeat");
  }
  const int64_t result = extent + begin + end;
  if (result < 0)
    throw input_error(fmt::format("padding {} and {} removes more than {}", begin, end, extent));
  return result;
}

void check_mode(const std::string& mode) {
  if (mode != "constant" && mode != "edge" && mode != "reflect" && mode != "wrap") {
    throw input_error("Pad has the mode \"" + mode + '"');
  }
}

/// The constant to pad with is one number of the input's type.
void check_value(const NodeView& node) {
  const TensorType& value = node.input_type(2);
  const auto shape = value.concrete_shape();
  if ((shape && element_count(*shape) != 1) ||
      (node.has_input(2) && value.dtype != DType::undefined &&
       node.input_type(0).dtype != DType::undefined && value.dtype != node.input_type(0).dtype)) {
    throw input_error(fmt::format("the value to pad with is {}, not one number of type {}",
                                  to_string(value), name(node.input_type(0).dtype)));
  }
}

template <bool from_attributes>
void infer_pad(InferContext& context) {
  const NodeView& node = context.node;
  const std::string mode = node.attributes().text("mode", "constant");
  check_mode(mode);
  if (!from_attributes) check_value(node);
  TensorType type{node.input_type(0).dtype, std::nullopt};
  if (const auto& shape = node.input_type(0).shape) {
    type.shape.emplace(shape->size());
    if (const auto padding = constant_padding<from_attributes>(node, shape->size())) {
      for (size_t d = 0; d < shape->size(); ++d) {
        const bool kept = padding->begin[d] == 0 && padding->end[d] == 0;
        if (kept) {
          (*type.shape)[d] = (*shape)[d];
        } else if ((*shape)[d].value) {
          (*type.shape)[d] = {
              padded_extent(mode, *(*shape)[d].value, padding->begin[d], padding->end[d]), {}};
        }
      }
    }
  }
  context.set_output(0, std::move(type));
}

/// The source index that an output index shows, or -1 for the constant.
int64_t padded_source(const std::string& mode, int64_t at, int64_t extent) {
  if (at >= 0 && at < extent) return at;
  if (mode == "constant") return -1;
  if (mode == "edge") return at < 0 ? 0 : extent - 1;
  if (mode == "wrap") return (at % extent + extent) % extent;
  // reflect: without repeating the edge
  const int64_t period = std::max<int64_t>(2 * (extent - 1), 1);
  const int64_t folded = (at % period + period) % period;
  return folded < extent ? folded : period - folded;
}

template <bool from_attributes>
std::vector<Tensor> pad_reference(const ReferenceCall& call) {
  const Tensor& x = call.input(0);
  const auto rank = static_cast<size_t>(x.rank());
  const std::string mode = call.node.attributes().text("mode", "constant");
  const size_t width = moved_bytes(x.dtype());
  Padding padding;
  Tensor value(x.dtype(), {});
  if constexpr (from_attributes) {
    padding = spread(call.node.attributes().integers("pads"), {}, rank);
    value = cast(Tensor::scalar(call.node.attributes().real("value", 0)), x.dtype());
  } else {
    padding = spread(to_int64s(call.input(1)),
                     call.has(3) ? to_int64s(call.input(3)) : std::vector<int64_t>{}, rank);
    if (call.has(2)) value = call.input(2).clone();
  }
  Shape shape = x.shape();
  for (size_t d = 0; d < rank; ++d) {
    shape[d] = padded_extent(mode, shape[d], padding.begin[d], padding.end[d]);
  }
  Tensor y(x.dtype(), shape);
  const std::vector<int64_t> own = row_major_strides(x.shape());
  for (int64_t i = 0; i < y.size(); ++i) {
    int64_t rest = i;
    int64_t from = 0;
    bool constant = false;
    for (size_t d = rank; d-- > 0;) {
      const int64_t source = padded_source(mode, rest % shape[d] - padding.begin[d], x.shape()[d]);
      rest /= shape[d];
      constant = constant || source < 0;
      from += source * own[d];
    }
    const std::byte* element = constant ? value.raw() : x.raw() + static_cast<size_t>(from) * width;
    std::memcpy(y.raw() + static_cast<size_t>(i) * width, element, width);
  }
  return one_result(std::move(y));
}

/// The constant's bits as stored in the output, or nothing where it is not known.
template <bool from_attributes>
std::optional<uint64_t> fill_bits(const LowerContext& context) {
  Tensor value =
      Tensor::scalar(from_attributes ? context.node.attributes().real("value", 0) : 0.0F);
  if (!from_attributes && context.has(2)) {
    if (context.inputs[2].constant == nullptr || context.inputs[2].params != nullptr)
      return std::nullopt;
    value = context.inputs[2].constant->clone().reshaped({});
  }
  const QuantParams* params = context.outputs[0].params;
  const Tensor stored =
      params != nullptr ? quantize(value, *params) : cast(value, context.outputs[0].dtype);
  uint64_t fill = 0;
  std::memcpy(&fill, stored.raw(), stored.bytes());
  return fill;
}

template <bool from_attributes>
Lowering lower_pad(const LowerContext& context) {
  if (!context.post_ops.empty()) return Lowering::refuse("post-ops behind Pad");
  if (!moves_codes(context)) return Lowering::refuse("input and output have different scales");
  const std::string mode = context.node.attributes().text("mode", "constant");
  if (mode != "constant") return Lowering::refuse("mode \"" + mode + '"');
  const LowerInput& x = context.inputs[0];
  const auto padding = constant_padding<from_attributes>(context.node, x.shape.size());
  if (!padding) return Lowering::refuse("padding that is computed at run time");
  if (!movable(x.dtype)) return Lowering::refuse("elements of type " + std::string(name(x.dtype)));
  const auto fill = fill_bits<from_attributes>(context);
  if (!fill) return Lowering::refuse("a value that is computed at run time");
  const Shape& out = context.outputs[0].shape;
  const std::vector<int64_t> from = strides(x.shape, x.layout);
  const std::vector<int64_t> to = strides(out, x.layout);
  StridedCopy copy{x.shape, from, to, 0, 0, 0};
  bool any_left = true;
  for (size_t d = 0; d < out.size(); ++d) {
    copy.extents[d] +=
        std::min<int64_t>(0, padding->begin[d]) + std::min<int64_t>(0, padding->end[d]);
    any_left = any_left && copy.extents[d] > 0;
  }
  for (size_t d = 0; any_left && d < out.size(); ++d) {
    copy.from_offset += std::max<int64_t>(0, -padding->begin[d]) * from[d];
    copy.to_offset += std::max<int64_t>(0, padding->begin[d]) * to[d];
  }
  CopySpec spec{moved_bytes(x.dtype), {}, element_count(out), true, *fill};
  if (any_left) spec.copies.push_back(std::move(copy));
  std::vector<Layout> inputs(context.inputs.size(), Layout::plain);
  inputs[0] = x.layout;
  Lowering result = lowering(make_copy(std::move(spec)), inputs, {x.layout});
  for (size_t i = 1; i < context.inputs.size(); ++i) result.packed.push_back(static_cast<int>(i));
  return result;
}

}  // namespace

void register_pad(OpRegistry& ops) {
  OpDef pad2 = data_movement("Pad", 2, {1, 1});
  pad2.infer = infer_pad<true>;
  pad2.reference = pad_reference<true>;
  pad2.lower = lower_pad<true>;
  pad2.gradient = pad_gradient;
  ops.add(std::move(pad2));

  OpDef pad = data_movement("Pad", 11, {2, 4});
  pad.infer = infer_pad<false>;
  pad.reference = pad_reference<false>;
  pad.lower = lower_pad<false>;
  pad.gradient = pad_gradient;
  ops.add(std::move(pad));
}

}  // namespace qtool
