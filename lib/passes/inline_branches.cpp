// SPDX-License-Identifier: Apache-2.0
// before: %y = If(%c) {then_branch: ... %t, else_branch: ...} with the constant true %c
// after:  the nodes of then_branch, of which the last makes %y
// when:   inference knows the condition; a branch's result that it did not make itself is copied by
//         an Identity; names that the graph has already get a number
// maths:  none
#include "ops/body.h"
#include "passes/passes.h"

namespace qtool {

namespace {

class InlineBranches final : public Pass {
 public:
  std::string_view name() const override { return "inline_branches"; }
  int run(Graph& graph, const PassContext& context) const override {
    const int inlined = inline_known_branches(graph, context.ops);
    if (inlined > 0) graph.erase_dead();  // what computed the conditions
    return inlined;
  }
};

}  // namespace

PassPtr inline_branches() { return std::make_shared<InlineBranches>(); }

}  // namespace qtool
