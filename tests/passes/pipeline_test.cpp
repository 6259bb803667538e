// SPDX-License-Identifier: Apache-2.0
#include "passes/graphs.h"
#include "passes/passes.h"
#include "passes/pipelines.h"

namespace qtool {
namespace {

using test::Build;

/// Breaks the graph: an output that nothing makes.
class Vandal final : public Pass {
 public:
  std::string_view name() const override { return "vandal"; }
  int run(Graph& graph, const PassContext&) const override {
    graph.add_output(graph.add_value("from_nowhere"));
    return 1;
  }
};

Build simple() {
  Build b;
  b.input("x", {2});
  b.node("Identity", {"x"}, {"a"});
  b.node("Relu", {"a"}, {"y"});
  b.output("y");
  return b;
}

TEST_CASE("the runner counts rewrites and stops where it is told") {
  Build b = simple();
  const auto counts = run_pipeline(b.graph, preparation_pipeline(), {builtin_ops(), nullptr},
                                   {.stop_after = "eliminate_identity"});
  REQUIRE(counts.size() >= 2);
  CHECK(counts.front().rewrites == 0);
  CHECK(counts.back().name == "eliminate_identity");
  CHECK(counts.back().rewrites == 1);
}

TEST_CASE("a pass that breaks the graph is named with the defect") {
  Build b = simple();
  try {
    run_pipeline(b.graph, {{std::make_shared<Vandal>(), "to test"}}, {builtin_ops(), nullptr});
    FAIL("it must throw");
  } catch (const Error& error) {
    CHECK(error.kind() == Error::Kind::internal);
    CHECK(test::contains(error.what(), "pass vandal"));
    CHECK(test::contains(error.what(), "from_nowhere"));
  }
}

TEST_CASE("a debug option that names no pass is a usage error with the nearest") {
  Build b = simple();
  try {
    run_pipeline(b.graph, preparation_pipeline(), {builtin_ops(), nullptr},
                 {.dump_after = "fold_batchnorm"});
    FAIL("it must throw");
  } catch (const Error& error) {
    CHECK(error.kind() == Error::Kind::usage);
    CHECK(test::contains(error.what(), "fold_batch_norm"));
  }
}

TEST_CASE("every entry of the pipelines has a reason") {
  for (const auto& pipeline : {preparation_pipeline(), quantization_pipeline()}) {
    for (const PipelineEntry& entry : pipeline) {
      INFO(entry.pass->name());
      CHECK(entry.reason.size() > 20);
    }
  }
}

TEST_CASE("running the preparation twice changes nothing more") {
  Build b = simple();
  run_pipeline(b.graph, preparation_pipeline(), {builtin_ops(), nullptr});
  const std::string once = to_text(b.graph);
  for (const PassCount& count :
       run_pipeline(b.graph, preparation_pipeline(), {builtin_ops(), nullptr})) {
    INFO(count.name);
    CHECK(count.rewrites == 0);
  }
  CHECK(to_text(b.graph) == once);
}

}  // namespace
}  // namespace qtool
