// SPDX-License-Identifier: Apache-2.0
#include "quant/insert_qdq.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "quant/names.h"

namespace qtool {

namespace {

class Inserter {
 public:
  Inserter(Graph& graph, const QuantPlan& plan)
      : graph_(graph), plan_(plan), names_(graph), moved_(plan.moved.begin(), plan.moved.end()) {}

  void run() {
    for (const RemovedNode& removed : plan_.removed) remove(removed.node);
    for (const Placement& placement : plan_.placements) {
      if (placement.kind == Placement::Kind::activation) {
        place_activation(placement);
      } else {
        place_constant(placement);
      }
    }
    for (const BiasPlacement& bias : plan_.biases) place_bias(bias);
    erase_float_constants();
  }

 private:
  /// The producer makes the activation's result.
  void remove(NodeId id) {
    const ValueId input = graph_.node(id).inputs.at(0);
    const ValueId result = graph_.node(id).outputs.at(0);
    const NodeId producer = graph_.value(input).producer;
    const int slot = graph_.value(input).producer_slot;
    graph_.erase(id);
    graph_.set_output(producer, slot, result);
    graph_.erase(input);
  }

  /// The element type of codes. Constants of few bits are packed where the opset has 4-bit types;
  /// activations have 8 bits or more, as runtimes have no faster kernels for fewer.
  DType stored(const Placement& placement) const {
    QuantType wider = placement.params.type;
    const bool packed = placement.kind == Placement::Kind::constant && plan_.opset >= 21;
    wider.bits = packed && wider.bits <= 4 ? 4 : std::max(wider.bits, 8);
    return wider.storage();
  }

  /// A QuantizeLinear saturates where its type ends, which may be beyond the grid. What was moved
  /// lies on the grid already.
  bool must_clip(const Placement& placement) const {
    const NodeId producer = graph_.value(placement.value).producer;
    const bool moved = moved_.contains(producer);
    return placement.params.type.bits < bits(stored(placement)) && !moved;
  }

  ValueId add_clip(const std::string& name, const TensorType& type, ValueId source,
                   const QuantParams& params) {
    const Range range = params.representable();
    Node node;
    node.name = names_.take(name + "_clip");
    node.op = {"", "Clip"};
    node.inputs = {source, add_constant(name + "_lowest", Tensor::scalar(range.low)),
                   add_constant(name + "_highest", Tensor::scalar(range.high))};
    node.outputs = {graph_.add_value(names_.take(name + "_clipped"), type)};
    const ValueId result = node.outputs[0];
    graph_.add_node(std::move(node));
    return result;
  }

  struct ParamValues {
    ValueId scale;
    ValueId zero_point;
  };

  static Shape param_shape(const QuantParams& params, const TensorType& type) {
    if (params.per_tensor()) return {};
    if (params.block_size == 0) return {static_cast<int64_t>(params.scale.size())};
    Shape shape = *type.concrete_shape();
    int64_t& extent = shape.at(static_cast<size_t>(*params.axis));
    extent = (extent + params.block_size - 1) / params.block_size;
    return shape;
  }

  ParamValues add_params(const std::string& stem, const Placement& placement,
                         const TensorType& type) {
    const QuantParams& params = placement.params;
    const Shape shape = param_shape(params, type);
    Tensor zero_points = cast(Tensor::of<int32_t>(shape, params.zero_point), stored(placement));
    return {add_constant(stem + "_scale", Tensor::of<float>(shape, params.scale)),
            add_constant(stem + "_zero_point", std::move(zero_points))};
  }

  ValueId add_constant(const std::string& stem, Tensor tensor) {
    return graph_.add_constant(names_.take(stem), make_constant(std::move(tensor)));
  }

  void add_node(const char* op, const std::string& stem, std::vector<ValueId> inputs,
                ValueId output, const QuantParams& params) {
    Node node;
    node.name = names_.take(stem);
    node.op = {"", op};
    node.inputs = std::move(inputs);
    node.outputs = {output};
    if (params.axis) node.attributes.set("axis", static_cast<int64_t>(*params.axis));
    if (params.block_size > 0) node.attributes.set("block_size", params.block_size);
    graph_.add_node(std::move(node));
  }

  ValueId add_dequantized(const std::string& name, const TensorType& type) {
    return graph_.add_value(names_.take(name + "_dequantized"), type);
  }

  void place_activation(const Placement& placement) {
    const std::string name = graph_.value(placement.value).name;
    const TensorType type = graph_.value(placement.value).type;
    ValueId source = placement.value;
    ValueId result = placement.value;
    if (placement.output) {
      // The graph output keeps its id and name: its producer gets a value of its own.
      source = graph_.add_value(names_.take(name + "_float"), type);
      const NodeId producer = graph_.value(placement.value).producer;
      const int slot = graph_.value(placement.value).producer_slot;
      graph_.set_output(producer, slot, source);
    } else {
      result = add_dequantized(name, type);
      graph_.replace_uses(source, result, placement.uses);
    }
    const ValueId codes = graph_.add_value(names_.take(name + "_quantized"),
                                           TensorType(stored(placement), type.shape));
    if (must_clip(placement)) source = add_clip(name, type, source, placement.params);
    const ParamValues values = add_params(name, placement, type);
    add_node("QuantizeLinear", name + "_quantize", {source, values.scale, values.zero_point}, codes,
             placement.params);
    add_node("DequantizeLinear", name + "_dequantize", {codes, values.scale, values.zero_point},
             result, placement.params);
  }

  void place_constant(const Placement& placement) {
    const std::string name = graph_.value(placement.value).name;
    const TensorType type = graph_.value(placement.value).type;
    const Constant elements = graph_.value(placement.value).constant;
    const ValueId result = add_dequantized(name, type);
    graph_.replace_uses(placement.value, result, placement.uses);
    const ValueId codes = add_constant(
        name + "_quantized", cast(quantize(*elements, placement.params), stored(placement)));
    const ParamValues values = add_params(name, placement, type);
    add_node("DequantizeLinear", name + "_dequantize", {codes, values.scale, values.zero_point},
             result, placement.params);
  }

  /// A bias has no zero point: ONNX allows none other than 0 for 32-bit codes.
  void place_bias(const BiasPlacement& bias) {
    const std::string name = graph_.value(bias.value).name;
    const Constant elements = graph_.value(bias.value).constant;
    const auto from = elements->data<float>();
    if (plan_.float_biases) {
      shift_bias(bias, name, *elements);
      return;
    }
    Tensor codes(DType::int32, elements->shape());
    const auto to = codes.data<int32_t>();
    const bool per_channel = bias.scale.size() > 1;
    for (size_t i = 0; i < to.size(); ++i) {
      const float real = bias.shift.empty() ? from[i] : from[i] + bias.shift[i];
      to[i] = quantize_bias(real, bias.scale[per_channel ? i : 0]);
    }
    const Shape shape = per_channel ? Shape{static_cast<int64_t>(bias.scale.size())} : Shape{};
    const ValueId result = add_dequantized(name, graph_.value(bias.value).type);
    graph_.replace_uses(bias.value, result, std::span(&bias.use, 1));
    const ValueId stored = add_constant(name + "_quantized", std::move(codes));
    const ValueId scale = add_constant(name + "_scale", Tensor::of<float>(shape, bias.scale));
    QuantParams axis_only;
    if (per_channel) axis_only.axis = 0;
    add_node("DequantizeLinear", name + "_dequantize", {stored, scale}, result, axis_only);
  }

  void shift_bias(const BiasPlacement& bias, const std::string& name, const Tensor& elements) {
    if (bias.shift.empty()) return;
    Tensor shifted = elements.clone();
    const auto to = shifted.data<float>();
    for (size_t i = 0; i < to.size(); ++i) to[i] += bias.shift[i];
    const ValueId result = add_constant(name + "_corrected", std::move(shifted));
    graph_.replace_uses(bias.value, result, std::span(&bias.use, 1));
  }

  void erase_float_constants() {
    const auto drop = [&](ValueId id) {
      if (!graph_.has(id) || !graph_.value(id).uses.empty()) return;
      if (!graph_.is_output(id) && !graph_.is_input(id)) graph_.erase(id);
    };
    for (const Placement& placement : plan_.placements) {
      if (placement.kind == Placement::Kind::constant) drop(placement.value);
    }
    for (const BiasPlacement& bias : plan_.biases) drop(bias.value);
  }

  Graph& graph_;
  const QuantPlan& plan_;
  FreshNames names_;
  std::set<NodeId> moved_;
};

}  // namespace

void insert_qdq(Graph& graph, const QuantPlan& plan) {
  const int64_t opset = graph.model.opset();
  if (opset < plan.opset) {
    throw unsupported_error(
        fmt::format("the model imports opset {}, the plan needs {}", opset, plan.opset),
        "Run quantization_pipeline() with the target's opset first.");
  }
  Inserter(graph, plan).run();
}

}  // namespace qtool
