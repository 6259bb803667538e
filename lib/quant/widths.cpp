// SPDX-License-Identifier: Apache-2.0
#include "quant/widths.h"

#include <algorithm>

#include "quant/algorithms/weight_only.h"

namespace qtool {

namespace {

size_t at(NodeId id) { return static_cast<size_t>(id); }
size_t at(ValueId id) { return static_cast<size_t>(id); }

bool is_layer(const PlanContext& context, const Selection& selection, NodeId id) {
  if (!selection.computes[at(id)]) return false;
  return context.target.computes.at(context.graph.node(id).op).when == Eagerness::always;
}

}  // namespace

Target with_bits(Target target, const Recipe& recipe) {
  const bool wide = recipe.activation_bits.value_or(8) > 8;
  if (wide) target.activation_type.bits = *recipe.activation_bits;
  if (wide || recipe.pack || needs_packed_weights(recipe))
    target.opset = std::max<int64_t>(target.opset, 21);
  return target;
}

Widths::Widths(const PlanContext& context, const Selection& selection)
    : rules_(context), weights_(context.target.weight_type),
      activations_(context.target.activation_type), weight_bits_(context.recipe.weight_bits),
      activation_bits_(context.recipe.activation_bits), edge_(context.graph.node_id_bound()),
      read_by_edge_(context.graph.value_id_bound()), read_(context.graph.value_id_bound()) {
  if (!weight_bits_ && !activation_bits_) return;
  if (!context.recipe.edges_too) find_edges(context, selection);
  for (const NodeId id : context.graph.nodes()) {
    if (!is_layer(context, selection, id)) continue;
    for (const ValueId input : data_inputs(context, id)) {
      read_[at(input)] = true;
      if (edge_[at(id)]) read_by_edge_[at(input)] = true;
    }
  }
}

void Widths::find_edges(const PlanContext& context, const Selection& selection) {
  const Graph& graph = context.graph;
  const std::vector<NodeId> order = graph.topological_order();
  std::vector<bool> behind(graph.value_id_bound());    // a layer stands before the value
  std::vector<bool> in_front(graph.value_id_bound());  // a layer stands behind it
  const auto any = [](const std::vector<ValueId>& values, const std::vector<bool>& marks) {
    return std::ranges::any_of(
        values, [&](ValueId value) { return value != ValueId::none && marks[at(value)]; });
  };
  const auto mark = [](const std::vector<ValueId>& values, std::vector<bool>& marks) {
    for (const ValueId value : values) {
      if (value != ValueId::none) marks[at(value)] = true;
    }
  };
  for (const NodeId id : order) {
    const bool layer = is_layer(context, selection, id);
    const bool later = any(graph.node(id).inputs, behind);
    if (layer && !later) edge_[at(id)] = true;
    if (layer || later) mark(graph.node(id).outputs, behind);
  }
  for (auto it = order.rbegin(); it != order.rend(); ++it) {
    const bool layer = is_layer(context, selection, *it);
    const bool earlier = any(graph.node(*it).outputs, in_front);
    if (layer && !earlier) edge_[at(*it)] = true;
    if (layer || earlier) mark(graph.node(*it).inputs, in_front);
  }
}

QuantType Widths::weight_type(NodeId layer) const {
  QuantType type = weights_;
  if (weight_bits_ && !edge_[at(layer)]) type.bits = *weight_bits_;
  if (const auto bits = rules_.of(layer).weight_bits) type.bits = *bits;
  return type;
}

QuantType Widths::activation_type(std::span<const ValueId> values) const {
  QuantType type = activations_;
  const auto any = [&](const std::vector<bool>& marks) {
    return std::ranges::any_of(values, [&](ValueId value) { return marks[at(value)]; });
  };
  if (activation_bits_ && any(read_) && !any(read_by_edge_)) type.bits = *activation_bits_;
  if (const auto bits = rules_.reading(values).activation_bits) type.bits = *bits;
  return type;
}

}  // namespace qtool
