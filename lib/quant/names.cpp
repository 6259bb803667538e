// SPDX-License-Identifier: Apache-2.0
#include "quant/names.h"

#include "support/text.h"

namespace qtool {

namespace {

std::string first_output(const Graph& graph, NodeId id) {
  for (const ValueId output : graph.node(id).outputs) {
    if (output != ValueId::none) return graph.value(output).name;
  }
  return {};
}

}  // namespace

std::string own_name(const Graph& graph, NodeId id) {
  const std::string& name = graph.node(id).name;
  return name.empty() ? first_output(graph, id) : name;
}

NodeKeys::NodeKeys(const Graph& graph) {
  std::map<std::string, int> holders;
  for (const NodeId id : graph.nodes()) ++holders[graph.node(id).name];
  for (const NodeId id : graph.nodes()) {
    const std::string& name = graph.node(id).name;
    const auto same = graph.find_value(name);
    const bool taken = same && graph.value(*same).producer != id;
    const bool usable = !name.empty() && holders[name] == 1 && !taken;
    std::string key = usable ? name : first_output(graph, id);
    if (key.empty()) key = "#" + std::to_string(static_cast<uint32_t>(id));  // makes nothing
    nodes_.emplace(key, id);
    keys_.emplace(id, std::move(key));
  }
}

NodeId NodeKeys::find(const std::string& key) const {
  const auto found = nodes_.find(key);
  if (found != nodes_.end()) return found->second;
  std::vector<std::string> candidates;
  for (const auto& [name, id] : nodes_) candidates.push_back(name);
  throw input_error("the model has no node \"" + key + '"',
                    "Was the plan made for another model?" + or_did_you_mean(key, candidates));
}

}  // namespace qtool
