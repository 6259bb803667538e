// SPDX-License-Identifier: Apache-2.0
#include "exec/split_codes.h"

#include <algorithm>

namespace qtool {

namespace {

bool has_role(const Graph& graph, const OpRegistry& ops, NodeId id, QdqRole role) {
  if (id == NodeId::none) return false;
  const OpDef* def = ops.find(graph.node(id), graph.model);
  return def != nullptr && def->qdq == role;
}

/// The DequantizeLinear by one constant scale that feeds the node's data, or none.
NodeId dequantizer(const Graph& graph, const OpRegistry& ops, NodeId id) {
  const Node& node = graph.node(id);
  const OpDef* def = ops.find(node, graph.model);
  // Any number of results are results of one kind; MaxPool's second one are indices.
  const bool moves = def != nullptr && def->quant.behaviour == Behaviour::move_data &&
                     def->quant.shares_params && def->quant.only_if == nullptr &&
                     def->outputs.most < 0;
  if (!moves || node.outputs.size() < 2 || node.inputs.empty()) return NodeId::none;
  if (node.inputs[0] == ValueId::none) return NodeId::none;
  const NodeId producer = graph.value(node.inputs[0]).producer;
  if (!has_role(graph, ops, producer, QdqRole::dequantize)) return NodeId::none;
  const std::vector<ValueId>& params = graph.node(producer).inputs;
  const Constant scale = graph.constant(params.at(1));
  const bool one_scale = scale != nullptr && scale->rank() == 0;
  const bool known =
      params.size() < 3 || params[2] == ValueId::none || graph.constant(params[2]) != nullptr;
  return one_scale && known ? producer : NodeId::none;
}

/// Scales and zero points are equal constants; a zero point that is left out equals none.
bool equal_params(const Graph& graph, const Node& a, const Node& b) {
  for (size_t slot = 1; slot < 3; ++slot) {
    const auto constant = [&](const Node& node) {
      const bool present = slot < node.inputs.size() && node.inputs[slot] != ValueId::none;
      return present ? graph.constant(node.inputs[slot]) : nullptr;
    };
    const Constant x = constant(a);
    const Constant y = constant(b);
    if (x == nullptr || y == nullptr || !x->equals(*y)) return false;
  }
  return true;
}

/// The QuantizeLinear that alone reads a result and only undoes the DequantizeLinear, or none.
NodeId undone_by(const Graph& graph, const OpRegistry& ops, ValueId result, NodeId dequantize,
                 const std::set<ValueId>& kept) {
  const std::vector<Use>& uses = graph.value(result).uses;
  if (uses.size() != 1 || uses[0].slot != 0 || graph.is_output(result) || kept.contains(result) ||
      !has_role(graph, ops, uses[0].node, QdqRole::quantize)) {
    return NodeId::none;
  }
  const bool equal = equal_params(graph, graph.node(dequantize), graph.node(uses[0].node));
  return equal ? uses[0].node : NodeId::none;
}

void move_codes(Graph& graph, const OpRegistry& ops, NodeId id, NodeId dequantize,
                const std::set<ValueId>& kept) {
  const std::vector<ValueId> results = graph.node(id).outputs;
  graph.set_input(id, 0, graph.node(dequantize).inputs.at(0));
  for (size_t i = 0; i < results.size(); ++i) {
    if (results[i] == ValueId::none) continue;
    const NodeId quantize = undone_by(graph, ops, results[i], dequantize, kept);
    if (quantize != NodeId::none) {
      const ValueId codes = graph.node(quantize).outputs.at(0);
      graph.erase(quantize);
      graph.set_output(id, static_cast<int>(i), codes);
      graph.erase(results[i]);
      continue;
    }
    Node after = graph.node(dequantize);
    const ValueId codes = graph.add_value(graph.unique_name(graph.value(results[i]).name));
    graph.set_output(id, static_cast<int>(i), codes);
    after.name = graph.unique_name(graph.node(dequantize).name);
    after.inputs[0] = codes;
    after.outputs = {results[i]};
    graph.add_node(std::move(after));
  }
}

}  // namespace

std::optional<Graph> with_split_codes(const Graph& graph, const OpRegistry& ops,
                                      const std::set<ValueId>& kept) {
  std::optional<Graph> edited;
  for (const NodeId id : graph.topological_order()) {
    const Graph& current = edited ? *edited : graph;
    if (!current.has(id)) continue;  // a QuantizeLinear that an earlier edit took away
    const NodeId dequantize = dequantizer(current, ops, id);
    if (dequantize == NodeId::none) continue;
    if (!edited) edited = graph;
    move_codes(*edited, ops, id, dequantize, kept);
  }
  return edited;
}

}  // namespace qtool
