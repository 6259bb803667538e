// SPDX-License-Identifier: Apache-2.0
// before: several nodes of one name, as exporters that build a model from parts leave them
// after:  the first keeps it, each other has one of its own
// when:   always; nodes without a name stay without
// maths:  none
#include <set>
#include <string_view>

#include "ir/fresh_names.h"
#include "passes/passes.h"

namespace qtool {

namespace {

class DistinctNames final : public Pass {
 public:
  std::string_view name() const override { return "distinct_names"; }

  int run(Graph& graph, const PassContext&) const override {
    std::set<std::string_view> seen;
    std::vector<NodeId> again;
    for (const NodeId id : graph.nodes()) {
      const std::string& name = graph.node(id).name;
      if (!name.empty() && !seen.insert(name).second) again.push_back(id);
    }
    if (again.empty()) return 0;
    FreshNames names(graph);
    for (const NodeId id : again) graph.set_node_name(id, names.take(graph.node(id).name));
    return static_cast<int>(again.size());
  }
};

}  // namespace

PassPtr distinct_names() { return std::make_shared<DistinctNames>(); }

}  // namespace qtool
