// SPDX-License-Identifier: Apache-2.0
#include "ir/fresh_names.h"

namespace qtool {

FreshNames::FreshNames(const Graph& graph) { collect(graph); }

void FreshNames::collect(const Graph& graph) {
  for (const ValueId id : graph.values()) taken_.insert(graph.value(id).name);
  for (const NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    taken_.insert(node.name);
    for (const auto& entry : node.attributes.entries()) {
      if (const auto* one = std::get_if<SubgraphPtr>(&entry.value)) collect(**one);
      if (const auto* many = std::get_if<std::vector<SubgraphPtr>>(&entry.value)) {
        for (const SubgraphPtr& body : *many) collect(*body);
      }
    }
  }
}

std::string FreshNames::take(std::string_view stem) {
  std::string candidate(stem);
  for (int suffix = 1; !taken_.insert(candidate).second; ++suffix) {
    candidate = std::string(stem) + '_' + std::to_string(suffix);
  }
  return candidate;
}

}  // namespace qtool
