// SPDX-License-Identifier: Apache-2.0
#include "report/weight_facts.h"

#include <cmath>

#include "catch.h"

using namespace qtool;

namespace {

Graph with_weights(Tensor weights, const char* op = "Gemm") {
  Graph graph;
  graph.model.opsets[""] = 13;
  const ValueId x = graph.add_value("x", TensorType(DType::float32, Shape{1, weights.shape()[0]}));
  graph.add_input(x);
  Node node;
  node.name = "layer";
  node.op = {"", op};
  node.inputs = {x, graph.add_constant("w", make_constant(std::move(weights)))};
  node.outputs = {graph.add_value("y")};
  graph.add_output(node.outputs[0]);
  graph.add_node(std::move(node));
  return graph;
}

}  // namespace

TEST_CASE("weights: range, mean and spread of the channels") {
  // Gemm without transB: channels are columns, with magnitudes 2, 4, 127.
  const auto all =
      weight_facts(with_weights(Tensor::of<float>({2, 3}, {1, -4, 127, -2, 0, 3})), builtin_ops());
  REQUIRE(all.size() == 1);
  const WeightFacts& w = all[0];
  CHECK(w.tensor == "w");
  CHECK(w.node == "layer");
  CHECK(w.op == "Gemm");
  CHECK(w.type == "float[2,3]");
  CHECK(w.elements == 6);
  CHECK(w.zeros == 1);
  CHECK(w.low == -4);
  CHECK(w.high == 127);
  CHECK(w.mean == Approx(125.0 / 6));
  REQUIRE(w.channels);
  CHECK(w.channels->axis == 1);
  CHECK(w.channels->least == 2);
  CHECK(w.channels->median == 4);
  CHECK(w.channels->greatest == 127);
  CHECK(w.channels->ratio() == 127.0 / 4);
  // With one scale, 1, every element is a whole number of steps; with one a channel 1 and 3 are
  // not.
  CHECK(!w.sqnr_db);
  REQUIRE(w.channels->sqnr_db);
  const auto error = [](double x, double top) {
    const double step = top / 127;
    return std::pow(std::nearbyint(x / step) * step - x, 2);
  };
  const double noise = error(1, 2);
  const double signal = 1 + 16 + 127 * 127 + 4 + 9;
  CHECK(*w.channels->sqnr_db == Approx(10 * std::log10(signal / noise)).epsilon(1e-3));
}

TEST_CASE("weights: outliers lie further than six deviations from the mean") {
  std::vector<float> values(1000, 0.F);
  for (size_t i = 0; i < values.size(); ++i) values[i] = i % 2 == 0 ? 1.F : -1.F;
  values[10] = 50;
  values[11] = -50;
  values[12] = 5;
  const auto all = weight_facts(
      with_weights(Tensor::of<float>({1000, 1}, std::span<const float>(values)), "MatMul"),
      builtin_ops());
  CHECK(all.at(0).outliers == 2);
  CHECK(all.at(0).deviation == Approx(std::sqrt((997 + 5000 + 25) / 1000.0)).epsilon(1e-3));
}

TEST_CASE("weights: what is not finite is counted and left out") {
  const auto all =
      weight_facts(with_weights(Tensor::of<float>({4, 1}, {1, NAN, -INFINITY, 3})), builtin_ops());
  CHECK(all.at(0).nonfinite == 2);
  CHECK(all.at(0).low == 1);
  CHECK(all.at(0).high == 3);
  CHECK(!all.at(0).sqnr_db);
  CHECK(to_json(all.at(0)).at("nonfinite") == 2);
}
