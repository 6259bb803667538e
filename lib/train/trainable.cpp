// SPDX-License-Identifier: Apache-2.0
// Into training and back: constants that become parameters, parameters that become constants.
#include <algorithm>
#include <cmath>
#include <map>

#include "ops/along_axis.h"
#include "ops/gradients/grids.h"
#include "quant/settle.h"
#include "train/fake_quantize.h"

namespace qtool {

namespace {

OperandRole role_of(const OpDef& def, size_t slot) {
  const auto& rules = def.quant.inputs;
  return rules.empty() ? OperandRole::none : rules[std::min(slot, rules.size() - 1)].role;
}

}  // namespace

TrainableGraph trainable(const Graph& graph, const OpRegistry& ops,
                         const std::function<bool(NodeId)>& frozen) {
  TrainableGraph result{graph, {}};
  std::map<ValueId, Parameter::Kind> kinds;
  for (const NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    const OpDef* def = ops.find(node, graph.model);
    if (def == nullptr || (frozen && frozen(id))) continue;
    for (size_t slot = 0; slot < node.inputs.size(); ++slot) {
      const ValueId input = node.inputs[slot];
      const OperandRole role = role_of(*def, slot);
      if (input == ValueId::none || (role != OperandRole::weight && role != OperandRole::bias)) {
        continue;
      }
      const Constant constant = graph.constant(input);
      if (constant == nullptr || constant->dtype() != DType::float32) continue;
      kinds.emplace(input,
                    role == OperandRole::weight ? Parameter::Kind::weight : Parameter::Kind::bias);
    }
  }
  for (const auto& [id, kind] : kinds) {
    Parameter parameter;
    parameter.kind = kind;
    parameter.id = id;
    parameter.name = graph.value(id).name;
    parameter.value = graph.constant(id)->clone();
    result.graph.set_constant(id, nullptr);
    result.graph.set_type(id, TensorType(DType::float32, parameter.value.shape()));
    if (!result.graph.is_input(id)) result.graph.add_input(id);
    result.parameters.push_back(std::move(parameter));
  }
  return result;
}

QuantPlan learned_plan(const Graph& graph, const OpRegistry& ops, const QuantPlan& plan,
                       const QuantizedTraining& learned) {
  QuantPlan result = plan;
  for (const LearnedGrid& grid : learned.grids) {
    Placement& placement = result.placements.at(grid.placement);
    const auto learned_scales = learned.trainable.parameters[grid.scale].value.data<float>();
    std::vector<float> scales(learned_scales.begin(), learned_scales.end());
    if (grid.power_of_two) std::ranges::transform(scales, scales.begin(), nearest_power_of_two);
    std::vector<int32_t> zeros = placement.params.zero_point;
    if (grid.zero_point) {
      const float zero = learned.trainable.parameters[*grid.zero_point].value.data<float>()[0];
      zeros = {static_cast<int32_t>(std::nearbyint(zero))};
    }
    placement.params = checked_params(placement.params.type, std::move(scales), std::move(zeros),
                                      placement.params.axis, placement.params.block_size);
    placement.reason = "learned, from " + placement.reason;
  }
  for (BiasPlacement& bias : result.biases) bias.shift.clear();
  settle_biases(graph, ops, result);
  return result;
}

namespace {

Tensor standing_for(const Parameter& parameter) {
  if (parameter.bound.empty()) return parameter.value.clone();
  int64_t inner = parameter.value.size();
  if (parameter.axis) inner = AlongAxis(parameter.value.shape(), *parameter.axis).inner;
  const std::vector<double> bound(parameter.bound.begin(), parameter.bound.end());
  const std::vector<double> made = bounded_weights(to_doubles(parameter.value), bound, inner);
  Tensor weights(DType::float32, parameter.value.shape());
  std::ranges::transform(made, weights.data<float>().begin(),
                         [](double w) { return static_cast<float>(w); });
  return weights;
}

}  // namespace

Graph with_learned_constants(const Graph& graph, const std::vector<Parameter>& parameters,
                             const std::vector<TrainedNorm>& norms) {
  Graph result = graph;
  for (const Parameter& parameter : parameters) {
    if (parameter.kind != Parameter::Kind::weight && parameter.kind != Parameter::Kind::bias) {
      continue;
    }
    result.set_constant(parameter.id, make_constant(standing_for(parameter)));
  }
  for (const TrainedNorm& norm : norms) {
    FoldedNorm layer = folded(norm, parameters);
    result.set_constant(parameters[norm.weight].id, make_constant(std::move(layer.weight)));
    result.set_constant(parameters[norm.bias].id, make_constant(std::move(layer.bias)));
  }
  return result;
}

}  // namespace qtool
