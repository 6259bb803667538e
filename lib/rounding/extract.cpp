// SPDX-License-Identifier: Apache-2.0
#include "rounding/extract.h"

namespace qtool {

namespace {

/// As inferred, but for any number of samples.
TensorType open_batch(const TensorType& type) {
  TensorType result = type;
  if (result.shape && !result.shape->empty()) (*result.shape)[0] = Dim{std::nullopt, "N"};
  return result;
}

}  // namespace

Extract extract(const Graph& whole, const Facts& facts, std::span<const NodeId> nodes,
                std::span<const ValueId> inputs, std::span<const ValueId> outputs,
                const std::map<ValueId, Constant>& constants) {
  Extract result;
  Graph& graph = result.graph;
  graph.model.ir_version = whole.model.ir_version;
  graph.model.opsets = whole.model.opsets;
  for (const ValueId id : inputs) {
    const ValueId mine = graph.add_value(whole.value(id).name, open_batch(facts[id].type));
    graph.add_input(mine);
    result.id_of.emplace(id, mine);
  }
  const auto own = [&](ValueId id) {
    if (id == ValueId::none) return id;
    if (const auto found = result.id_of.find(id); found != result.id_of.end()) return found->second;
    const auto fixed = constants.find(id);
    const Constant constant = fixed != constants.end() ? fixed->second : whole.constant(id);
    const std::string& name = whole.value(id).name;
    const ValueId mine =
        constant != nullptr ? graph.add_constant(name, constant) : graph.add_value(name);
    result.id_of.emplace(id, mine);
    return mine;
  };
  for (const NodeId id : nodes) {
    const Node& node = whole.node(id);
    if (!node.captures.empty()) {
      throw unsupported_error(
          whole.describe(id) + " has a body, which samples cannot be led through",
          "Methods that need no samples for rounding can quantize the model.");
    }
    Node copy = node;
    for (ValueId& input : copy.inputs) input = own(input);
    for (ValueId& output : copy.outputs) output = own(output);
    graph.add_node(std::move(copy));
  }
  for (const ValueId id : outputs) graph.add_output(own(id));
  return result;
}

}  // namespace qtool
