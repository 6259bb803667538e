// SPDX-License-Identifier: Apache-2.0
// before: initializers that are listed as graph inputs too, so that a caller may override them
// after:  constants
// when:   all initializers are listed, which is what exporters did that still followed IR 3; where
//         only some are, somebody chose them, and they stay
// maths:  none
#include <algorithm>

#include "passes/passes.h"

namespace qtool {

namespace {

class UnlistConstants final : public Pass {
 public:
  std::string_view name() const override { return "unlist_constants"; }

  int run(Graph& graph, const PassContext&) const override {
    if (graph.model.ir_version < 4) return 0;  // there it is the rule and means nothing
    std::vector<ValueId> listed;
    for (const ValueId id : graph.values()) {
      if (graph.value(id).constant == nullptr) continue;
      if (std::ranges::find(graph.inputs(), id) == graph.inputs().end()) return 0;
      listed.push_back(id);
    }
    for (const ValueId id : listed) graph.drop_input(id);
    return static_cast<int>(listed.size());
  }
};

}  // namespace

PassPtr unlist_constants() { return std::make_shared<UnlistConstants>(); }

}  // namespace qtool
