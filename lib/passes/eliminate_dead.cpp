// SPDX-License-Identifier: Apache-2.0
// before: nodes whose results nobody reads, constants that nobody uses
// after:  neither
// when:   always; graph inputs stay, used or not, because callers feed them by name
// maths:  none
#include "passes/passes.h"

namespace qtool {

namespace {

class EliminateDead final : public Pass {
 public:
  std::string_view name() const override { return "eliminate_dead"; }
  int run(Graph& graph, const PassContext&) const override {
    return static_cast<int>(graph.erase_dead());
  }
};

}  // namespace

PassPtr eliminate_dead() { return std::make_shared<EliminateDead>(); }

}  // namespace qtool
