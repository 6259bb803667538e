// SPDX-License-Identifier: Apache-2.0
#include "quant/settle.h"

#include <algorithm>
#include <cmath>

namespace qtool {

namespace {

constexpr double kBiasLimit = 0x1p30;

std::optional<size_t> placement_of(const QuantPlan& plan, const Use& use) {
  for (size_t i = 0; i < plan.placements.size(); ++i) {
    const std::vector<Use>& uses = plan.placements[i].uses;
    if (std::ranges::find(uses, use) != uses.end()) return i;
  }
  return std::nullopt;
}

double largest(std::span<const float> bias, size_t channel, bool per_tensor) {
  double most = 0;
  for (size_t i = 0; i < bias.size(); ++i) {
    if (per_tensor || i == channel) most = std::max(most, std::abs(static_cast<double>(bias[i])));
  }
  return most;
}

bool is_power_of_two(float scale) {
  int exponent = 0;
  return std::frexp(scale, &exponent) == 0.5F;
}

}  // namespace

float raised_scale(double wanted, bool power_of_two) {
  const double bounded = std::clamp(wanted, static_cast<double>(kMinScale), 0x1p120);
  if (power_of_two) return static_cast<float>(std::exp2(std::ceil(std::log2(bounded))));
  return std::nextafter(static_cast<float>(bounded), 0x1p127F);
}

BiasOperands bias_operands(const Graph& graph, const OpRegistry& ops, const QuantPlan& plan,
                           const BiasPlacement& bias) {
  const NodeId id = bias.use.node;
  const auto& rules = ops.find(graph.node(id), graph.model)->quant.inputs;
  std::optional<size_t> data;
  std::optional<size_t> weights;
  for (size_t slot = 0; slot < graph.node(id).inputs.size(); ++slot) {
    const OperandRole role = rules[std::min(slot, rules.size() - 1)].role;
    const auto placement = placement_of(plan, {id, static_cast<int>(slot)});
    if (role == OperandRole::activation && !data) data = placement;
    if (role == OperandRole::weight) weights = placement;
  }
  QTOOL_CHECK(data && weights, graph.describe(id) + " has a bias without operands");
  return {*data, *weights};
}

void settle_biases(const Graph& graph, const OpRegistry& ops, QuantPlan& plan) {
  for (BiasPlacement& bias : plan.biases) {
    const BiasOperands operands = bias_operands(graph, ops, plan, bias);
    const auto input_scale = static_cast<double>(plan.placements[operands.data].params.scale[0]);
    QuantParams& weights = plan.placements[operands.weights].params;
    const auto values = graph.constant(bias.value)->data<float>();
    const bool power_of_two = std::ranges::all_of(weights.scale, is_power_of_two);
    bias.scale.clear();
    for (size_t c = 0; c < weights.scale.size(); ++c) {
      const double least = largest(values, c, weights.per_tensor()) / kBiasLimit / input_scale;
      if (!plan.float_biases && least > static_cast<double>(weights.scale[c])) {
        weights.scale[c] = raised_scale(least, power_of_two);
      }
      const double product = input_scale * static_cast<double>(weights.scale[c]);
      bias.scale.push_back(std::max(static_cast<float>(product), kMinScale));
    }
  }
}

}  // namespace qtool
