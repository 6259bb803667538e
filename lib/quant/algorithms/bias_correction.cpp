// SPDX-License-Identifier: Apache-2.0
#include "quant/algorithms/bias_correction.h"

#include <algorithm>
#include <map>

#include "exec/session.h"

namespace qtool {

namespace {

/// The input's shape with one sample, or nothing where an extent behind the batch is open.
std::optional<Shape> one_sample(const TensorType& type) {
  if (!type.shape || type.shape->size() < 3) return std::nullopt;
  Shape shape{1};
  for (size_t d = 1; d < type.shape->size(); ++d) {
    if (!(*type.shape)[d].value) return std::nullopt;
    shape.push_back(*(*type.shape)[d].value);
  }
  return shape;
}

Tensor constant_channels(const Shape& shape, std::span<const double> means) {
  Tensor x(DType::float32, shape);
  const int64_t positions = x.size() / shape[1];
  auto next = x.data<float>().begin();
  for (const double mean : means) next = std::fill_n(next, positions, static_cast<float>(mean));
  return x;
}

/// What quantizing adds to the weights.
Tensor weight_error(const Tensor& weights, const QuantParams& params) {
  Tensor error = fake_quantize(weights, params);
  const auto before = weights.data<float>();
  const auto after = error.data<float>();
  for (size_t i = 0; i < after.size(); ++i) after[i] -= before[i];
  return error;
}

/// The node alone, with these weights and without a bias.
Graph lone_node(const PlanContext& context, NodeId id, int data_slot, const Shape& shape,
                int weight_slot, Tensor weights) {
  Graph graph;
  graph.model.ir_version = context.graph.model.ir_version;
  graph.model.opsets = context.graph.model.opsets;
  const ValueId x = graph.add_value("x", TensorType(DType::float32, shape));
  graph.add_input(x);
  const ValueId w = graph.add_constant("w", make_constant(std::move(weights)));
  const ValueId y = graph.add_value("y");
  Node node = context.graph.node(id);
  node.inputs.assign(2, ValueId::none);
  node.inputs.at(static_cast<size_t>(data_slot)) = x;
  node.inputs.at(static_cast<size_t>(weight_slot)) = w;
  node.outputs = {y};
  graph.add_node(std::move(node));
  graph.add_output(y);
  return graph;
}

/// Mean over the positions of each channel of y [1, M, ...].
std::vector<double> channel_means(const Tensor& y) {
  const int64_t channels = y.shape().at(1);
  const int64_t positions = y.size() / std::max<int64_t>(channels, 1);
  std::vector<double> means;
  const auto values = y.data<float>();
  for (int64_t c = 0; c < channels; ++c) {
    double sum = 0;
    for (int64_t p = 0; p < positions; ++p) {
      sum += static_cast<double>(values[static_cast<size_t>(c * positions + p)]);
    }
    means.push_back(positions > 0 ? sum / static_cast<double>(positions) : 0);
  }
  return means;
}

/// The data and the weights of a node that is linear in its data: what correction applies to.
struct LinearNode {
  Operand data;
  Operand weights;
};

std::optional<LinearNode> linear_node(const PlanContext& context, NodeId id) {
  LinearNode result;
  for (const Operand& operand : operands(context, id)) {
    if (operand.role == OperandRole::activation && operand.constant == nullptr)
      result.data = operand;
    if (operand.role == OperandRole::weight && operand.constant != nullptr)
      result.weights = operand;
  }
  const bool both = result.data.value != ValueId::none && result.weights.value != ValueId::none;
  return both && result.data.slot < 2 && result.weights.slot < 2 ? std::optional(result)
                                                                 : std::nullopt;
}

/// By node and slot: the parameters of constants.
using ConstantParams = std::map<std::pair<NodeId, int>, const QuantParams*>;

ConstantParams constant_params(const QuantPlan& plan) {
  ConstantParams params;
  for (const Placement& placement : plan.placements) {
    if (placement.kind != Placement::Kind::constant) continue;
    for (const Use& use : placement.uses) params[{use.node, use.slot}] = &placement.params;
  }
  return params;
}

}  // namespace

void correct_biases(const PlanContext& context, const CalibrationTable& table, QuantPlan& plan) {
  const ConstantParams constants = constant_params(plan);
  for (BiasPlacement& bias : plan.biases) {
    const NodeId id = bias.use.node;
    const auto node = linear_node(context, id);
    if (!node) continue;
    const auto entry = table.tensors.find(context.graph.value(node->data.value).name);
    const auto shape = one_sample(context.facts[node->data.value].type);
    const auto params = constants.find({id, node->weights.slot});
    if (entry == table.tensors.end() || !shape || params == constants.end()) continue;
    if (entry->second.stats.channel_axis.value_or(1) != 1) continue;
    const std::vector<double> means = entry->second.stats.channel_means();
    if (static_cast<int64_t>(means.size()) != (*shape)[1]) continue;
    const Graph alone = lone_node(context, id, node->data.slot, *shape, node->weights.slot,
                                  weight_error(*node->weights.constant, *params->second));
    TensorMap feeds;
    feeds.emplace("x", constant_channels(*shape, means));
    Session session(alone, context.ops, {});
    const TensorMap results = session.run(feeds);
    const std::vector<double> errors = channel_means(results.at("y"));
    if (static_cast<int64_t>(errors.size()) != context.graph.value(bias.value).constant->size())
      continue;
    for (const double error : errors) bias.shift.push_back(static_cast<float>(-error));
  }
}

std::vector<ValueId> bias_correction_inputs(const PlanContext& context,
                                            const Selection& selection) {
  std::vector<ValueId> inputs;
  for (const NodeId id : context.graph.nodes()) {
    if (!selection.computes[static_cast<size_t>(id)]) continue;
    if (const auto node = linear_node(context, id)) inputs.push_back(node->data.value);
  }
  return inputs;
}

}  // namespace qtool
