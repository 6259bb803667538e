// SPDX-License-Identifier: Apache-2.0
#include "exec/prepare.h"

namespace qtool {

namespace {

void check_ops(const Graph& graph, const OpRegistry& ops, const ModelInfo& model) {
  for (const NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    for (const auto& entry : node.attributes.entries()) {
      if (const auto* body = std::get_if<SubgraphPtr>(&entry.value)) check_ops(**body, ops, model);
    }
    if (ops.find(node, model) != nullptr) continue;
    throw unsupported_error(
        graph.describe(id) + ": qtool does not know " + to_string(node.op) + " of opset " +
            std::to_string(model.opset(node.op.domain)),
        "Such a model can be inspected but not run. The README lists the ops that qtool runs.");
  }
}

}  // namespace

void check_ops(const Graph& graph, const OpRegistry& ops) { check_ops(graph, ops, graph.model); }

std::vector<bool> needed_nodes(const Graph& graph, const Facts& facts,
                               const std::set<ValueId>& kept) {
  std::vector<bool> needed(graph.node_id_bound(), false);
  std::vector<ValueId> work(graph.outputs().begin(), graph.outputs().end());
  work.insert(work.end(), kept.begin(), kept.end());
  while (!work.empty()) {
    const ValueId value = work.back();
    work.pop_back();
    const NodeId producer = graph.value(value).producer;
    if (producer == NodeId::none || needed[static_cast<size_t>(producer)]) continue;
    if (facts[value].constant != nullptr) continue;
    needed[static_cast<size_t>(producer)] = true;
    for (const ValueId input : graph.node(producer).inputs) {
      if (input != ValueId::none) work.push_back(input);
    }
    for (const Capture& capture : graph.node(producer).captures) work.push_back(capture.outer);
  }
  return needed;
}

std::vector<Layout> wanted_layouts(const Graph& graph, const OpRegistry& ops,
                                   const std::vector<NodeId>& order) {
  std::vector<Layout> wanted(graph.value_id_bound(), Layout::plain);
  for (auto it = order.rbegin(); it != order.rend(); ++it) {
    const Node& node = graph.node(*it);
    const LayoutTaste taste = ops.find(node, graph.model)->taste;
    const bool wants =
        taste == LayoutTaste::channels_last ||
        (taste == LayoutTaste::any && !node.outputs.empty() && node.outputs[0] != ValueId::none &&
         wanted[static_cast<size_t>(node.outputs[0])] == Layout::channels_last);
    if (!wants) continue;
    for (const ValueId input : node.inputs) {
      if (input != ValueId::none) wanted[static_cast<size_t>(input)] = Layout::channels_last;
    }
  }
  return wanted;
}

}  // namespace qtool
