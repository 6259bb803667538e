// SPDX-License-Identifier: Apache-2.0
// before: %y = Transpose(%w) with the constant %w, %n = Gather(Shape(%x), 1) with a known extent
// after:  the initializers %y, %n
// when:   inference knows the elements; the result is small or no larger than what went in; not
//         for Q/DQ, whose codes integer kernels want, and not for graph outputs
// maths:  the ops' references
#include <algorithm>

#include "passes/passes.h"

namespace qtool {

namespace {

/// Elements that a result may have though its inputs are smaller (ConstantOfShape, Expand).
constexpr int64_t kGrowthLimit = 4096;

int64_t input_elements(const Node& node, const Facts& facts) {
  int64_t sum = 0;
  for (const ValueId input : node.inputs) {
    if (input != ValueId::none && facts[input].constant != nullptr) {
      sum += facts[input].constant->size();
    }
  }
  return sum;
}

bool foldable(const Graph& graph, NodeId id, const Facts& facts, const OpRegistry& ops) {
  const Node& node = graph.node(id);
  const OpDef* def = ops.find(node, graph.model);
  if (def == nullptr || def->qdq != QdqRole::none) return false;
  const int64_t limit = std::max(kGrowthLimit, input_elements(node, facts));
  bool any = false;
  for (const ValueId made : node.outputs) {
    if (made == ValueId::none) continue;
    const Constant& known = facts[made].constant;
    if (known == nullptr || known->size() > limit || graph.is_output(made)) return false;
    any = true;
  }
  return any;
}

class FoldConstants final : public Pass {
 public:
  std::string_view name() const override { return "fold_constants"; }

  int run(Graph& graph, const PassContext& context) const override {
    const Facts facts = infer_facts(graph, context.ops);
    int rewrites = 0;
    for (const NodeId id : graph.topological_order()) {
      if (!foldable(graph, id, facts, context.ops)) continue;
      const std::vector<ValueId> outputs = graph.node(id).outputs;
      graph.erase(id);
      for (const ValueId made : outputs) {
        if (made == ValueId::none) continue;
        graph.set_constant(made, facts[made].constant);
        graph.annotations(made).listed = false;
      }
      ++rewrites;
    }
    if (rewrites > 0) graph.erase_dead();  // constants that only fed folded nodes
    return rewrites;
  }
};

}  // namespace

PassPtr fold_constants() { return std::make_shared<FoldConstants>(); }

}  // namespace qtool
