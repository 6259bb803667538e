// SPDX-License-Identifier: Apache-2.0
// Models of thousands of nodes: the time grows with their number, not with its square. Measured in
// the process's own time, which other processes do not change.
#include <cstdlib>
#include <ctime>

#include "onnx_io/onnx_io.h"
#include "passes/pipelines.h"
#include "passes/qoperator_form.h"
#include "quant/quantized.h"

namespace qtool {
namespace {

/// Blocks of Conv, BatchNormalization, Relu, and every second time an Add: with so many nodes in
/// all.
Graph long_network(int nodes) {
  test::Build b;
  b.input("x", {1, 4, 2, 2});
  for (const char* name : {"gamma", "beta", "mean"}) b.constant(name, {4}, {0.9F, 1, 1.1F, 0.8F});
  b.constant("variance", {4}, {1, 1, 1, 1});
  std::string from = "x";
  std::string before = "x";
  for (int i = 0; static_cast<int>(b.graph.node_count()) + 4 <= nodes; ++i) {
    const std::string n = std::to_string(i);
    b.random("w" + n, {4, 4, 1, 1}, static_cast<uint64_t>(i));
    b.node("Conv", {from, "w" + n}, {"c" + n});
    b.node("BatchNormalization", {"c" + n, "gamma", "beta", "mean", "variance"}, {"n" + n});
    b.node("Relu", {"n" + n}, {"r" + n});
    from = "r" + n;
    if (i % 2 == 1) {
      b.node("Add", {from, before}, {"a" + n});
      from = "a" + n;
    }
    before = from;
  }
  b.output(from);
  return std::move(b.graph);
}

double seconds(const auto& body) {
  const std::clock_t start = std::clock();
  body();
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

double quantize(int nodes) {
  Graph graph = long_network(nodes);
  if (const char* file = std::getenv("QTOOL_LARGE_MODEL")) save_model(graph, file);
  const Target target = load_target("ort-cpu");
  return seconds([&] {
    run_pipeline(graph, quantization_pipeline(target.opset), {builtin_ops()});
    CalibrationTable table;
    for (const std::string& name : tensors_to_calibrate(graph, builtin_ops(), target))
      table.tensors.emplace(name, test::observed({-1, 3}));
    const QuantPlan plan = plan_quantization(graph, builtin_ops(), table, target);
    CHECK(static_cast<int>(plan.quantized.size()) > nodes / 4);
    insert_qdq(graph, plan);
    const QOperatorForm form = to_qoperator_form(graph);
    CHECK(static_cast<int>(form.computing) > nodes / 8);
  });
}

TEST_CASE("four times the nodes take about four times as long") {
  const double small = quantize(1000);
  const double large = quantize(4000);
  std::printf("1,000 nodes: %.3f s, 4,000 nodes: %.3f s\n", small, large);
  CHECK(large < 5);
  CHECK(large < 9 * small + 0.1);  // the square would be 16
}

}  // namespace
}  // namespace qtool
