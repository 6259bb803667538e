// SPDX-License-Identifier: Apache-2.0
// The pipelines over real models: structure only; the executors' tests compare their outputs.
#include "catch.h"
#include "onnx_io/onnx_io.h"
#include "passes/passes.h"
#include "passes/pipelines.h"

namespace qtool {
namespace {

size_t count(const Graph& graph, std::string_view op) {
  size_t found = 0;
  for (const NodeId id : graph.nodes()) found += graph.node(id).op.type == op ? 1 : 0;
  return found;
}

TEST_CASE("real models: prepared and sound, outputs kept, batch norms behind convolutions folded",
          "[assets]") {
  QTOOL_NEED_ASSETS();
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(QTOOL_ASSETS) / "models")) {
    const std::string name = entry.path().filename().string();
    if (!name.ends_with(".onnx") || name.starts_with("silero")) continue;
    INFO(name);
    const Graph before = load_model(entry.path());
    Graph graph = before;
    run_pipeline(graph, quantization_pipeline(), {builtin_ops(), nullptr});
    CHECK(graph.model.opset() >= 13);
    CHECK(count(graph, "Constant") == 0);
    CHECK(count(graph, "BatchNormalization") == 0);
    REQUIRE(graph.outputs().size() == before.outputs().size());
    for (size_t i = 0; i < graph.outputs().size(); ++i) {
      CHECK(graph.value(graph.outputs()[i]).name == before.value(before.outputs()[i]).name);
    }
    CHECK(graph.required_inputs().size() == before.required_inputs().size());
  }
}

}  // namespace
}  // namespace qtool
