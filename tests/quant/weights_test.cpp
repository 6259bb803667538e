// SPDX-License-Identifier: Apache-2.0
// Weights, other constants and biases.
#include <cmath>

#include "quant/quantized.h"

namespace qtool {
namespace {

using test::Build;
using test::contains;
using test::message_of;
using test::Planned;
using test::ranges;

/// x [1,2,1,1] -> Conv -> y [1,3,1,1] with these weights and biases.
Build conv3(std::initializer_list<float> weights, std::initializer_list<float> bias) {
  Build b;
  b.input("x", {1, 2, 1, 1});
  b.constant("w", {3, 2, 1, 1}, weights);
  b.constant("b", {3}, bias);
  b.node("Conv", {"x", "w", "b"}, {"y"}, {}, "conv");
  b.output("y");
  return b;
}
const CalibrationTable kUnit = ranges({{"x", {0, 2.55F}}, {"y", {-1, 1}}});

TEST_CASE("weights: a symmetric scale for each output channel") {
  Build b = conv3({1.27F, -0.5F, -2.54F, 0.1F, 0.2F, 3.81F}, {0, 0, 0});
  const Planned p(b.graph, kUnit);
  const QuantParams& w = p.params("w");
  CHECK(w.axis == 0);
  CHECK(w.scale[0] == Approx(0.01));
  CHECK(w.scale[1] == Approx(0.02));  // -128 is not used
  CHECK(w.scale[2] == Approx(0.03));
  CHECK(w.zero_point == std::vector<int32_t>{0, 0, 0});
}

TEST_CASE("a bias has the product's scale, as floats multiply") {
  Build b = conv3({1.27F, -0.5F, -2.54F, 0.1F, 0.2F, 3.81F}, {1, 2, 3});
  const Planned p(b.graph, kUnit);
  const auto& scale = p.bias("b").scale;
  REQUIRE(scale.size() == 3);
  for (size_t c = 0; c < 3; ++c) CHECK(scale[c] == p.params("x").scale[0] * p.params("w").scale[c]);
}

TEST_CASE("one scale for all where the recipe asks") {
  Build b = conv3({1.27F, -0.5F, -2.54F, 0.1F, 0.2F, 3.81F}, {1, 2, 3});
  Recipe recipe;
  recipe.per_tensor_weights = true;
  const Planned p(b.graph, kUnit, recipe);
  CHECK(p.params("w").per_tensor());
  CHECK(p.params("w").scale[0] == Approx(0.03));
  CHECK(p.bias("b").scale.size() == 1);
}

TEST_CASE("powers of two stay powers of two, also where a bias raises them or a channel is zero") {
  Target target = load_target("tidl");
  target.per_channel = true;
  Build b = conv3({1, 1, 1e-9F, 1e-9F, 0, 0}, {0.5F, 100, 3});
  const Planned p(b.graph, kUnit, {}, target);
  for (const char* tensor : {"x", "w", "y"}) {
    if (!p.has(tensor)) continue;
    for (const float scale : p.params(tensor).scale) {
      int exponent = 0;
      CHECK(std::frexp(scale, &exponent) == 0.5F);
    }
  }
  CHECK(100.0 / static_cast<double>(p.bias("b").scale[1]) <= 0x1p30);
}

TEST_CASE("float biases: no weight is raised for them, the graph keeps them") {
  Build b = conv3({1, 1, 1e-9F, 1e-9F, 1, 1}, {0.5F, 100, 0.5F});
  Target target = load_target("ort-cpu");
  const float raised = Planned(b.graph, kUnit).params("w").scale[1];
  target.float_biases = true;
  const Planned p(b.graph, kUnit, {}, target);
  CHECK(p.params("w").scale[1] < raised);
  const QuantPlan again = plan_from_json(to_json(p.plan, b.graph), b.graph);
  CHECK(again.float_biases);
  Graph quantized = b.graph;
  insert_qdq(quantized, again);
  CHECK(verify(quantized).empty());
  for (const NodeId id : quantized.nodes()) {
    if (quantized.node(id).op.type != "Conv") continue;
    CHECK(to_floats(*quantized.constant(quantized.node(id).inputs[2])) ==
          std::vector<float>{0.5F, 100, 0.5F});
  }
}

TEST_CASE("a bias that would leave 32 bits raises its channel's scale") {
  // 0.01 * 1e-9 / 127 * 2^31 is about 1.7e-4, far below 100.
  Build b = conv3({1, 1, 1e-9F, 1e-9F, 1, 1}, {0.5F, 100, 0.5F});
  const Planned p(b.graph, kUnit);
  const double code = 100.0 / static_cast<double>(p.bias("b").scale[1]);
  CHECK(code <= 0x1p30);
  CHECK(code > 0x1p30 * 0.9999);
  CHECK(p.params("w").scale[0] == Approx(1.0 / 127));
  CHECK(p.noted("\"conv\": 1 weight scale was raised"));
  CHECK(contains(p.placements("w")[0]->reason, "1 raised for the bias"));
}

TEST_CASE("a channel of zero weights: a valid scale that still carries the bias") {
  Build b = conv3({1, 1, 0, 0, 0, 0}, {0.5F, 0.25F, 0});
  const Planned p(b.graph, kUnit);
  const QuantParams& w = p.params("w");
  CHECK(0.25 / static_cast<double>(p.bias("b").scale[1]) == Approx(0x1p20));
  CHECK(w.scale[2] == 1);
  CHECK(p.noted("\"conv\" has 2 channels of zero weights"));
  Graph result = b.graph;
  insert_qdq(result, p.plan);
  TensorMap feeds;
  feeds.emplace("x", Tensor::of<float>({1, 2, 1, 1}, {1, 1}));
  CHECK(to_floats(test::run_graph(result, feeds).at("b_dequantized"))[1] == Approx(0.25));
}

TEST_CASE("Gemm and MatMul: the axis of the outputs, wherever it lies") {
  const auto transposed = GENERATE(int64_t{0}, int64_t{1});
  Build b;
  b.input("x", {1, 2});
  b.random("w", transposed != 0 ? Shape{3, 2} : Shape{2, 3}, 1);
  b.node("Gemm", {"x", "w"}, {"y"}, {{"transB", transposed}}, "fc");
  b.random("v", {2, 3}, 2);
  b.node("MatMul", {"x", "v"}, {"z"}, {}, "m");
  b.random("u", {4, 2, 3}, 3);
  b.node("MatMul", {"x", "u"}, {"s"}, {}, "stack");
  for (const char* name : {"y", "z", "s"}) b.output(name);
  const Planned p(b.graph, ranges({{"x", {0, 1}}}));
  CHECK(p.params("w").axis == (transposed != 0 ? 0 : 1));
  CHECK(p.params("w").scale.size() == 3);
  CHECK(p.params("v").axis == 1);
  CHECK(p.params("u").per_tensor());  // no one axis of a stack of matrices
}

TEST_CASE("depthwise: every channel its own scale, however far apart") {
  Build b;
  b.input("x", {1, 3, 1, 1});
  b.constant("w", {3, 1, 1, 1}, {100, 1, 0.01F});
  b.node("Conv", {"x", "w"}, {"y"}, {{"group", int64_t{3}}}, "dw");
  b.output("y");
  const Planned p(b.graph, kUnit);
  CHECK(p.params("w").scale[0] == Approx(100.0 / 127));
  CHECK(p.params("w").scale[2] == Approx(0.01 / 127));
}

TEST_CASE("a weight that two nodes read along different axes has two quantized copies") {
  Build b;
  b.input("x", {2, 2});
  b.random("w", {2, 2}, 1);
  b.node("Gemm", {"x", "w"}, {"y"}, {{"transB", int64_t{1}}}, "rows");
  b.node("Gemm", {"x", "w"}, {"z"}, {}, "columns");
  b.node("Gemm", {"x", "w"}, {"u"}, {}, "columns_too");
  for (const char* name : {"y", "z", "u"}) b.output(name);
  const Planned p(b.graph, ranges({{"x", {0, 1}}}));
  const auto copies = p.placements("w");
  REQUIRE(copies.size() == 2);
  CHECK(copies[0]->params.axis == 0);
  CHECK(copies[0]->uses.size() == 1);
  CHECK(copies[1]->params.axis == 1);
  CHECK(copies[1]->uses.size() == 2);
  Graph result = b.graph;
  insert_qdq(result, p.plan);
  CHECK(verify(result).empty());
  CHECK(result.find_value("w_quantized_1").has_value());
  CHECK_FALSE(result.find_value("w").has_value());
}

TEST_CASE("a bias that two nodes share is quantized for each") {
  Build b;
  b.input("x", {1, 2});
  b.input("v", {1, 2});
  b.random("w", {2, 2}, 1);
  b.constant("b", {2}, {1, 2});
  b.node("Gemm", {"x", "w", "b"}, {"y"}, {}, "first");
  b.node("Gemm", {"v", "w", "b"}, {"z"}, {}, "second");
  for (const char* name : {"y", "z"}) b.output(name);
  const Planned p(b.graph, ranges({{"x", {0, 1}}, {"v", {0, 50}}}));
  REQUIRE(p.plan.biases.size() == 2);
  CHECK(p.plan.biases[0].scale != p.plan.biases[1].scale);
  Graph result = b.graph;
  insert_qdq(result, p.plan);
  CHECK(verify(result).empty());
}

TEST_CASE("a constant operand of Add has its own range, a float reader keeps the floats") {
  Build b;
  b.input("x", {1, 1, 2, 2});
  b.constant("w", {1, 1, 1, 1}, {1});
  b.node("Conv", {"x", "w"}, {"c"}, {}, "c");
  b.constant("k", {1, 1, 2, 2}, {-1, 0, 0, 1.55F});
  b.node("Add", {"c", "k"}, {"s"}, {}, "s");
  b.node("Conv", {"s", "w"}, {"y"}, {}, "y");
  b.node("Tanh", {"k"}, {"t"});
  for (const char* name : {"y", "t"}) b.output(name);
  const Planned p(b.graph, ranges({{"x", {0, 1}}, {"c", {0, 1}}, {"s", {0, 1}}, {"y", {0, 1}}}));
  CHECK(p.params("k").scale[0] == Approx(0.01));
  CHECK(p.params("k").zero_point[0] == 100);
  Graph result = b.graph;
  insert_qdq(result, p.plan);
  CHECK(result.find_value("k").has_value());
  CHECK_FALSE(result.find_value("w").has_value());
}

TEST_CASE("weights that are not numbers are an input error with the node's name") {
  Build b = conv3({1, 1, std::numeric_limits<float>::quiet_NaN(), 1, 1, 1}, {0, 0, 0});
  const auto message = message_of([&] { Planned p(b.graph, kUnit); }, Error::Kind::input);
  CHECK(contains(message, "\"conv\""));
  CHECK(contains(message, "\"w\""));
  Build c = conv3({1, 1, 1, 1, 1, 1}, {0, std::numeric_limits<float>::infinity(), 0});
  CHECK(contains(message_of([&] { Planned p(c.graph, kUnit); }, Error::Kind::input), "bias"));
}

TEST_CASE("a bias that is no vector, or computed, leaves the node in float") {
  Build b;
  b.input("x", {2, 2});
  b.random("w", {2, 2}, 1);
  b.random("matrix", {2, 2}, 2);
  b.input("fed", {2});
  b.node("Gemm", {"x", "w", "matrix"}, {"y"}, {}, "a");
  b.node("Gemm", {"x", "w", "fed"}, {"z"}, {}, "b");
  for (const char* name : {"y", "z"}) b.output(name);
  const Planned p(b.graph, ranges({{"x", {0, 1}}, {"fed", {0, 1}}}));
  CHECK(p.skipped("a") == "its bias is not one number per output channel");
  CHECK(p.skipped("b") == "its bias is computed at run time");
}

}  // namespace
}  // namespace qtool
