// SPDX-License-Identifier: Apache-2.0
#include "exec/group.h"

namespace qtool {

NodeView view(const Graph& graph, const Facts& facts, NodeId id) {
  return {graph, id, facts, graph.model.opset(graph.node(id).op.domain)};
}

std::optional<Dequantized> dequantized(const Graph& graph, const OpRegistry& ops,
                                       const Facts& facts, ValueId value) {
  if (value == ValueId::none) return std::nullopt;
  const NodeId producer = graph.value(value).producer;
  if (producer == NodeId::none) return std::nullopt;
  const OpDef* def = ops.find(graph.node(producer), graph.model);
  if (def == nullptr || def->qdq != QdqRole::dequantize) return std::nullopt;
  auto params = constant_params(view(graph, facts, producer));
  if (!params) return std::nullopt;
  return Dequantized{graph.node(producer).inputs[0], std::move(*params)};
}

namespace {

/// The slot of the operand that an addition of equal shapes adds to `value`, or -1.
int residual_slot(const Graph& graph, const Facts& facts, const Node& node, ValueId value) {
  if (node.inputs.size() != 2 || node.inputs[0] == node.inputs[1]) return -1;
  const int other = node.inputs[0] == value ? 1 : 0;
  const ValueId operand = node.inputs[static_cast<size_t>(other)];
  if (operand == ValueId::none || graph.value(operand).constant != nullptr) return -1;
  const auto a = facts[value].type.concrete_shape();
  const auto b = facts[operand].type.concrete_shape();
  return a && b && *a == *b && facts[operand].constant == nullptr ? other : -1;
}

/// Known before the run.
bool constant_or_dequantized(const Graph& graph, const OpRegistry& ops, const Facts& facts,
                             ValueId value) {
  if (facts[value].constant != nullptr) return true;
  const auto found = dequantized(graph, ops, facts, value);
  return found && facts[found->codes].constant != nullptr;
}

/// The slot of the constant that an addition right behind a product without a bias of its own
/// (MatMul) adds to each column of `value`, or -1.
int column_bias_slot(const Graph& graph, const OpRegistry& ops, const Facts& facts, NodeId anchor,
                     const Node& node, ValueId value) {
  const Node& product = graph.node(anchor);
  const bool takes_bias = ops.find(product, graph.model)->inputs.most > 2;
  if (takes_bias || product.inputs.size() != 2 || node.inputs.size() != 2) return -1;
  const int other = node.inputs[0] == value ? 1 : 0;
  const ValueId operand = node.inputs[static_cast<size_t>(other)];
  if (operand == ValueId::none || !constant_or_dequantized(graph, ops, facts, operand)) return -1;
  const auto y = facts[value].type.concrete_shape();
  const auto sum = facts[node.outputs[0]].type.concrete_shape();
  const auto bias = facts[operand].type.concrete_shape();
  const auto weights = facts[product.inputs[1]].type.concrete_shape();
  if (!y || !sum || !bias || !weights || weights->size() < 2 || y->size() < 2 || bias->empty())
    return -1;
  const bool by_column = bias->back() == y->back() && element_count(*bias) == y->back();
  return by_column && *sum == *y ? other : -1;
}

}  // namespace

Chain longest_chain(const Graph& graph, const OpRegistry& ops, const Facts& facts, NodeId anchor,
                    const std::set<ValueId>& kept, const std::vector<bool>& taken) {
  Chain chain{{anchor}, {-1}, false};
  const OpDef* anchor_def = ops.find(graph.node(anchor), graph.model);
  if (anchor_def == nullptr || anchor_def->qdq != QdqRole::none) return chain;
  bool added = false;
  for (NodeId last = anchor;;) {
    const Node& node = graph.node(last);
    // Another output could be read before the chain's end, where the group runs.
    if (node.outputs.size() != 1 || node.outputs[0] == ValueId::none) return chain;
    const ValueId value = node.outputs[0];
    const auto& uses = graph.value(value).uses;
    if (uses.size() != 1 || graph.is_output(value) || kept.contains(value)) return chain;
    const NodeId next = uses[0].node;
    if (uses[0].slot >= kCaptureSlot || taken[static_cast<size_t>(next)]) return chain;
    const OpDef* def = ops.find(graph.node(next), graph.model);
    if (def == nullptr) return chain;
    if (def->qdq == QdqRole::quantize && uses[0].slot == 0) {
      const auto params = constant_params(view(graph, facts, next));
      if (!params || !params->per_tensor()) return chain;
      chain.members.push_back(next);
      chain.residual_slots.push_back(-1);
      chain.ends_in_quantize = true;
      return chain;
    }
    if (def->post_op == nullptr || anchor_def->fusion == Fusion::none) return chain;
    const auto op = def->post_op(view(graph, facts, next));
    if (!op) return chain;
    int slot = -1;
    if (op->kind == PostOp::Kind::add) {
      if (anchor_def->fusion != Fusion::residual) return chain;
      if (last == anchor)
        slot = column_bias_slot(graph, ops, facts, anchor, graph.node(next), value);
      if (slot < 0) {
        slot = residual_slot(graph, facts, graph.node(next), value);
        if (slot < 0 || added) return chain;
        added = true;
      }
    } else if (uses[0].slot != 0 && op->kind != PostOp::Kind::linear) {
      return chain;
    }
    chain.members.push_back(next);
    chain.residual_slots.push_back(slot);
    last = next;
  }
}

}  // namespace qtool
