// SPDX-License-Identifier: Apache-2.0
#include "quant/algorithms/smooth_quant.h"

#include "quant/quantized.h"

namespace qtool {
namespace {

using test::Build;
using test::contains;
using test::message_of;

/// x [1,3,2] times [[1],[16]].
Build product() {
  Build b;
  b.input("x", {1, 3, 2});
  b.constant("w", {2, 1}, {1, 16});
  b.node("MatMul", {"x", "w"}, {"y"}, {}, "product");
  b.output("y");
  return b;
}

/// Channel 0 of x up to `first`, channel 1 up to 1.
CalibrationTable table(float first) {
  CalibrationTable result;
  const std::vector<float> x{0, 0, first / 2, 0.5F, first, 1};
  Observer observer(2);
  observer.observe_sample(x.data(), 3, 2, 1);
  result.tensors["x"] = {observer.stats(), std::nullopt};
  result.tensors["y"] = test::observed({0, 32});
  return result;
}

std::vector<Smoothing> found(const Graph& graph, const CalibrationTable& of) {
  return find_smoothings(graph, builtin_ops(), of, load_target("ort-cpu"), {});
}

TEST_CASE("channels sixteen times as large, with weights a sixteenth, meet in the middle") {
  // max|x| 16 and 1, max|w| 1 and 16: 16^a / 1^(1-a) over 1^a / 16^(1-a) is 16 for every alpha,
  // with a geometric mean of 1 that makes 4 and 1/4.
  Build b = product();
  const auto smoothings = found(b.graph, table(16));
  REQUIRE(smoothings.size() == 1);
  CHECK(smoothings[0].tensor == "x");
  CHECK(smoothings[0].nodes == std::vector<std::string>{"product"});
  CHECK(smoothings[0].scale[0] == Approx(4));
  CHECK(smoothings[0].scale[1] == Approx(0.25));
  CHECK(!smoothings[0].absorbed);
  CHECK(contains(smoothings[0].reason, "by a Mul"));

  QuantPlan plan = smooth_and_plan(b.graph, builtin_ops(), table(16), load_target("ort-cpu"), {});
  CHECK(plan.smoothed.size() == 1);
  const NodeId again = NodeKeys(b.graph).find("product");
  CHECK(to_floats(*b.graph.constant(b.graph.node(again).inputs[1])) == std::vector<float>{4, 4});
  const auto placed = std::ranges::find_if(plan.placements, [&](const Placement& placement) {
    return contains(b.graph.value(placement.value).name, "x_smoothed");
  });
  REQUIRE(placed != plan.placements.end());
  CHECK(placed->params.scale[0] == Approx(4.0 / 255));
  CHECK(placed->reason.starts_with("its channels' ranges, smoothed"));
}

TEST_CASE("channels of one size stay, and so does all where the recipe says so") {
  Build b;
  b.input("x", {1, 3, 2});
  b.constant("w", {2, 1}, {1, 1});
  b.node("MatMul", {"x", "w"}, {"y"}, {}, "product");
  b.output("y");
  CHECK(found(b.graph, table(1)).empty());
  Build other = product();
  Recipe recipe;
  recipe.smooth_quant = false;
  const QuantPlan plan =
      smooth_and_plan(other.graph, builtin_ops(), table(16), load_target("ort-cpu"), recipe);
  CHECK(plan.smoothed.empty());
  CHECK(!other.graph.find_value("x_smoothed"));
}

TEST_CASE("a plan's file says what was smoothed, and it can be done again") {
  Build first = product();
  const QuantPlan plan =
      smooth_and_plan(first.graph, builtin_ops(), table(16), load_target("ort-cpu"), {});
  const Json json = to_json(plan, first.graph);
  Build second = product();
  smooth(second.graph, smoothings_from_json(json));
  CHECK(to_json(plan_from_json(json, second.graph), second.graph) == json);
}

TEST_CASE("smoothings that do not fit the model are refused") {
  const auto refusal = [](const Smoothing& smoothing) {
    Build b = product();
    return message_of([&] { smooth(b.graph, {smoothing}); }, Error::Kind::input);
  };
  const Smoothing right{"x", {"product"}, {4, 0.25F}, false, ""};
  Smoothing wrong = right;
  wrong.tensor = "z";
  CHECK(contains(refusal(wrong), "no such tensor"));
  wrong = right;
  wrong.scale = {1};
  CHECK(contains(refusal(wrong), "as many channels"));
  wrong.scale = {1, 0};
  CHECK(contains(refusal(wrong), "finite and positive"));
  wrong = right;
  wrong.nodes.clear();
  CHECK(contains(refusal(wrong), "no node reads it"));
  wrong = right;
  wrong.absorbed = true;
  CHECK(contains(refusal(wrong), "cannot take the scales in"));
}

}  // namespace
}  // namespace qtool
