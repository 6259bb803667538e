// SPDX-License-Identifier: Apache-2.0
#include "quant/plan.h"

#include "quant/quantized.h"

namespace qtool {
namespace {

using test::Build;
using test::contains;
using test::message_of;
using test::Planned;

Build network() {
  Build b;
  b.input("x", {1, 2, 4, 4});
  b.random("w1", {3, 2, 1, 1}, 1);
  b.random("b1", {3}, 2);
  b.node("Conv", {"x", "w1", "b1"}, {"c1"}, {}, "conv");
  b.node("Relu", {"c1"}, {"r1"}, {}, "");
  b.node("MaxPool", {"r1"}, {"p"}, {{"kernel_shape", std::vector<int64_t>{2, 2}}}, "same");
  b.random("w2", {2, 3, 1, 1}, 3);
  b.node("Conv", {"p", "w2"}, {"y"}, {}, "same");
  b.node("Tanh", {"y"}, {"z"}, {}, "tanh");
  b.output("y");
  b.output("z");
  b.graph.set_node_name(b.graph.value(*b.graph.find_value("r1")).producer, "");
  return b;
}

CalibrationTable table(const Graph& graph) {
  TensorMap feeds;
  feeds.emplace("x", test::random_tensor({1, 2, 4, 4}, 3));
  return test::calibrated(graph, feeds);
}

TEST_CASE("a plan reads back as it was written, and carries out the same") {
  Build b = network();
  const QuantPlan plan = Planned(b.graph, table(b.graph)).plan;
  const test::TemporaryFolder folder;
  write_plan(folder / "plan.json", plan, b.graph);
  const QuantPlan again = read_plan(folder / "plan.json", b.graph);
  CHECK(to_text(to_json(again, b.graph)) == to_text(to_json(plan, b.graph)));
  REQUIRE(again.placements.size() == plan.placements.size());
  for (size_t i = 0; i < plan.placements.size(); ++i) {
    CHECK(again.placements[i].params == plan.placements[i].params);
    CHECK(again.placements[i].uses == plan.placements[i].uses);
  }
  Graph one = b.graph;
  Graph two = b.graph;
  insert_qdq(one, plan);
  insert_qdq(two, again);
  CHECK(to_text(one) == to_text(two));
}

TEST_CASE("nodes go by names that are theirs alone, otherwise by their output") {
  Build b = network();
  const Json json = to_json(Planned(b.graph, table(b.graph)).plan, b.graph);
  CHECK(json["quantized"] == Json({"conv", "y"}));
  CHECK(json["moved"] == Json({"p"}));
  CHECK(json["removed"][0]["node"] == "r1");
  CHECK(json["skipped"][0]["node"] == "tanh");
}

TEST_CASE("an edited scale is what is carried out") {
  Build b = network();
  Json json = to_json(Planned(b.graph, table(b.graph)).plan, b.graph);
  for (Json& placement : json["placements"]) {
    if (placement["tensor"] == "x") placement["scale"] = 0.5;
  }
  Graph graph = b.graph;
  insert_qdq(graph, plan_from_json(json, b.graph));
  CHECK(to_floats(*graph.constant(*graph.find_value("x_scale"))) == std::vector<float>{0.5F});
}

TEST_CASE("what is wrong with a plan is said with its place") {
  Build b = network();
  const Json good = to_json(Planned(b.graph, table(b.graph)).plan, b.graph);
  const auto broken = [&](auto edit) {
    Json json = good;
    edit(json);
    return message_of([&] { plan_from_json(json, b.graph); }, Error::Kind::input);
  };
  const auto placement = [&](const char* tensor) -> size_t {
    for (size_t i = 0; i < good["placements"].size(); ++i) {
      if (good["placements"][i]["tensor"] == tensor) return i;
    }
    FAIL(tensor);
    return 0;
  };
  const size_t x = placement("x");
  const size_t w = placement("w1");
  const size_t y = placement("y");
  CHECK(contains(broken([](Json& j) { j["schema"] = "qtool.plan/9"; }), "qtool.plan/1"));
  CHECK(contains(broken([](Json& j) { j["extra"] = 1; }), "unknown key \"extra\""));
  CHECK(contains(broken([](Json& j) { j.erase("placements"); }), "placements"));
  CHECK(
      contains(broken([&](Json& j) { j["placements"][w]["tensor"] = "w3"; }), "no tensor \"w3\""));
  CHECK(contains(broken([&](Json& j) { j["placements"][w]["tensor"] = "w3"; }), "Did you mean"));
  CHECK(contains(broken([](Json& j) { j["quantized"][0] = "konv"; }), "Did you mean \"conv\""));
  CHECK(contains(broken([&](Json& j) { j["placements"][x]["scale"] = 0; }),
                 "placements[" + std::to_string(x) + "]"));
  CHECK(contains(broken([&](Json& j) { j["placements"][x]["scale"] = "1"; }), "\"scale\""));
  CHECK(
      contains(broken([&](Json& j) { j["placements"][x]["zero_point"] = 256; }), "zero point 256"));
  CHECK(contains(broken([&](Json& j) { j["placements"][x]["uses"][0]["slot"] = 1; }),
                 "does not read \"x\" in slot 1"));
  CHECK(contains(broken([&](Json& j) { j["placements"][x]["type"] = "u9"; }), "\"u9\""));
  CHECK(contains(broken([&](Json& j) { j["placements"][x]["kind"] = "constant"; }),
                 "not a float constant"));
  CHECK(contains(broken([&](Json& j) { j["placements"][w]["kind"] = "activation"; }),
                 "takes one scale"));
  CHECK(contains(broken([&](Json& j) { j["placements"][w]["axis"] = 1; }), "do not fit the shape"));
  CHECK(contains(broken([&](Json& j) { j["placements"][w]["axis"] = -1; }), "axis"));
  CHECK(contains(broken([&](Json& j) { j["placements"][y]["uses"] = Json::array(); }),
                 "all uses of \"y\""));
  CHECK(contains(broken([&](Json& j) { j["placements"].push_back(j["placements"][x]); }),
                 "named twice"));
  CHECK(contains(broken([&](Json& j) { j["placements"][x]["output"] = true; }),
                 "not a graph output"));
  CHECK(contains(broken([](Json& j) { j["removed"][0]["node"] = "conv"; }), "cannot be removed"));
  CHECK(contains(broken([](Json& j) {
                   j["biases"][0]["scale"] = Json({1.0, 2.0});
                 }),
                 "2 scales for 3 elements"));
}

}  // namespace
}  // namespace qtool
