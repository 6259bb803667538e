// SPDX-License-Identifier: Apache-2.0
// Changes of ai.onnx between opsets, read from its changelog
// (https://github.com/onnx/onnx/blob/main/docs/Changelog.md).
#include "passes/opset_rules.h"

#include <algorithm>
#include <array>
#include <limits>

#include "passes/edit_constant.h"

namespace qtool {

namespace {

const Attributes& attributes(const OpsetEdit& edit) {
  return edit.graph.node(edit.node).attributes;
}

Tensor integers(const std::vector<int64_t>& elements) {
  return Tensor::of<int64_t>({static_cast<int64_t>(elements.size())}, elements);
}

void append_input(OpsetEdit& edit, int slot, Tensor elements, std::string_view what) {
  const std::string stem = stem_of(edit.graph, edit.node) + '/' + std::string(what);
  edit_constant(edit.graph, {edit.node, slot}, std::move(elements), stem);
}

void integers_to_input(OpsetEdit& edit, const char* name, int slot) {
  if (!attributes(edit).has(name)) return;
  const auto elements = attributes(edit).integers(name);
  edit.graph.attributes(edit.node).erase(name);
  append_input(edit, slot, integers(elements), name);
}

void axes_to_input(OpsetEdit& edit) { integers_to_input(edit, "axes", 1); }
void split_to_input(OpsetEdit& edit) { integers_to_input(edit, "split", 1); }

void drop_spatial(OpsetEdit& edit) {
  if (attributes(edit).integer("spatial", 1) == 0) {
    throw unsupported_error("BatchNormalization with spatial=0 has no form in newer opsets");
  }
  edit.graph.attributes(edit.node).erase("spatial");
}

void one_norm_output(OpsetEdit& edit) {
  if (edit.graph.node(edit.node).outputs.size() > 1) {
    throw unsupported_error("BatchNormalization in training form",
                            "Export the model for inference.");
  }
}

void scales_to_input(OpsetEdit& edit) {
  const auto scales = attributes(edit).reals("scales");
  edit.graph.attributes(edit.node).erase("scales");
  append_input(edit, 1, Tensor::of<float>({static_cast<int64_t>(scales.size())}, scales), "scales");
}

void upsample_to_resize(OpsetEdit& edit) { edit.graph.set_op(edit.node, {"", "Resize"}); }

/// Before 11 a pixel was where its index is, and nearest meant the one before for enlarging, the
/// one after for shrinking.
void resize_inputs(OpsetEdit& edit) {
  const ValueId scales = edit.graph.node(edit.node).inputs.at(1);
  const Constant factors = edit.graph.constant(scales);
  std::vector<double> known;
  if (factors != nullptr) known = to_doubles(*factors);
  const bool enlarges = std::ranges::all_of(known, [](double factor) { return factor >= 1; });
  const bool shrinks = std::ranges::all_of(known, [](double factor) { return factor <= 1; });
  Attributes& edited = edit.graph.attributes(edit.node);
  if (edited.text("mode", "nearest") == "nearest") {
    if (factors == nullptr || (!enlarges && !shrinks)) {
      throw unsupported_error("Resize by factors that are not constant, or on both sides of 1");
    }
    edited.set("nearest_mode", std::string(enlarges ? "floor" : "ceil"));
  }
  edited.set("coordinate_transformation_mode", std::string("asymmetric"));
  edit.graph.set_input(edit.node, 1, ValueId::none);
  edit.graph.set_input(edit.node, 2, scales);
}

void slice_inputs(OpsetEdit& edit) {
  integers_to_input(edit, "starts", 1);
  integers_to_input(edit, "ends", 2);
  integers_to_input(edit, "axes", 3);
}

void top_k_input(OpsetEdit& edit) {
  const int64_t k = attributes(edit).integer("k", 1);
  edit.graph.attributes(edit.node).erase("k");
  append_input(edit, 1, integers({k}), "k");
}

Tensor bound(const OpsetEdit& edit, float value) {
  const DType dtype = edit.type.dtype;
  if (!is_floating(dtype)) throw unsupported_error("its input's element type is not known");
  return cast(Tensor::scalar(value), dtype);
}

void clip_inputs(OpsetEdit& edit) {
  constexpr float kLargest = std::numeric_limits<float>::max();
  const float low = attributes(edit).real("min", -kLargest);
  const float high = attributes(edit).real("max", kLargest);
  edit.graph.attributes(edit.node).erase("min");
  edit.graph.attributes(edit.node).erase("max");
  if (low > -kLargest) append_input(edit, 1, bound(edit, low), "min");
  if (high < kLargest) append_input(edit, 2, bound(edit, high), "max");
}

void pad_inputs(OpsetEdit& edit) {
  const float value = attributes(edit).real("value", 0);
  edit.graph.attributes(edit.node).erase("value");
  integers_to_input(edit, "pads", 1);
  if (value != 0) append_input(edit, 2, bound(edit, value), "value");
}

void scatter_elements(OpsetEdit& edit) { edit.graph.set_op(edit.node, {"", "ScatterElements"}); }
void drop_ratio(OpsetEdit& edit) { edit.graph.attributes(edit.node).erase("ratio"); }

/// Before 13 all axes from `axis` on counted as one. y = Reshape(Softmax(Flatten(x)), Shape(x)),
/// unless all but one of those axes are single.
void softmax_axis(OpsetEdit& edit) {
  Graph& graph = edit.graph;
  int64_t axis = attributes(edit).integer("axis", 1);
  if (edit.type.shape) {
    const auto rank = static_cast<int64_t>(edit.type.shape->size());
    if (axis < 0) axis += rank;
    const auto behind = std::span(*edit.type.shape)
                            .subspan(static_cast<size_t>(std::clamp<int64_t>(axis + 1, 0, rank)));
    if (std::ranges::all_of(behind, [](const Dim& dim) { return dim.value == 1; })) {
      graph.attributes(edit.node).set("axis", axis);
      return;
    }
  }
  const ValueId x = graph.node(edit.node).inputs.at(0);
  const ValueId y = graph.node(edit.node).outputs.at(0);
  const std::string stem = stem_of(graph, edit.node);
  const auto add = [&](const char* what, const char* op, std::vector<ValueId> inputs,
                       ValueId output) {
    Node node;
    node.name = graph.unique_name(stem + '/' + what);
    node.op = {"", op};
    node.inputs = std::move(inputs);
    node.outputs = {output};
    return graph.add_node(std::move(node));
  };
  const ValueId flat = graph.add_value(graph.unique_name(stem + "/flat"));
  const ValueId result = graph.add_value(graph.unique_name(stem + "/flat_result"));
  const ValueId shape = graph.add_value(graph.unique_name(stem + "/shape"));
  const NodeId flatten = add("flatten", "Flatten", {x}, flat);
  graph.attributes(flatten).set("axis", axis);
  graph.set_input(edit.node, 0, flat);
  graph.set_output(edit.node, 0, result);
  graph.attributes(edit.node).set("axis", int64_t{-1});
  add("extents", "Shape", {x}, shape);
  add("reshape", "Reshape", {result, shape}, y);
}

void count_outputs(OpsetEdit& edit) {
  const Node& node = edit.graph.node(edit.node);
  if (has_input(node, 1)) return;
  const auto count = static_cast<int64_t>(node.outputs.size());
  edit.graph.attributes(edit.node).set("num_outputs", count);
}

void sampling_modes(OpsetEdit& edit) {
  const std::string mode = attributes(edit).text("mode", "bilinear");
  const char* renamed = mode == "bilinear" ? "linear" : mode == "bicubic" ? "cubic" : "nearest";
  edit.graph.attributes(edit.node).set("mode", std::string(renamed));
}

constexpr std::array kRules = {
    OpsetRule{"BatchNormalization", 9, drop_spatial},
    OpsetRule{"Scan", 9, nullptr},
    OpsetRule{"Upsample", 9, scales_to_input},
    OpsetRule{"Affine", 10, nullptr},
    OpsetRule{"Crop", 10, nullptr},
    OpsetRule{"ImageScaler", 10, nullptr},
    OpsetRule{"ParametricSoftplus", 10, nullptr},
    OpsetRule{"ScaledTanh", 10, nullptr},
    OpsetRule{"Slice", 10, slice_inputs},
    OpsetRule{"TopK", 10, top_k_input},
    OpsetRule{"Upsample", 10, upsample_to_resize},
    OpsetRule{"Clip", 11, clip_inputs},
    OpsetRule{"Pad", 11, pad_inputs},
    OpsetRule{"Resize", 11, resize_inputs},
    OpsetRule{"Scatter", 11, scatter_elements},
    OpsetRule{"Dropout", 12, drop_ratio},
    OpsetRule{"Hardmax", 13, softmax_axis},
    OpsetRule{"LogSoftmax", 13, softmax_axis},
    OpsetRule{"ReduceSum", 13, axes_to_input},
    OpsetRule{"Softmax", 13, softmax_axis},
    OpsetRule{"Split", 13, split_to_input},
    OpsetRule{"Squeeze", 13, axes_to_input},
    OpsetRule{"Unsqueeze", 13, axes_to_input},
    OpsetRule{"BatchNormalization", 14, one_norm_output},
    OpsetRule{"ReduceL1", 18, axes_to_input},
    OpsetRule{"ReduceL2", 18, axes_to_input},
    OpsetRule{"ReduceLogSum", 18, axes_to_input},
    OpsetRule{"ReduceLogSumExp", 18, axes_to_input},
    OpsetRule{"ReduceMax", 18, axes_to_input},
    OpsetRule{"ReduceMean", 18, axes_to_input},
    OpsetRule{"ReduceMin", 18, axes_to_input},
    OpsetRule{"ReduceProd", 18, axes_to_input},
    OpsetRule{"ReduceSumSquare", 18, axes_to_input},
    OpsetRule{"Split", 18, count_outputs},
    OpsetRule{"DFT", 20, nullptr},
    OpsetRule{"GridSample", 20, sampling_modes},
    OpsetRule{"GroupNormalization", 21, nullptr},
};

}  // namespace

std::span<const OpsetRule> opset_rules() { return kRules; }

}  // namespace qtool
