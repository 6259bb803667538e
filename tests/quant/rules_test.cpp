// SPDX-License-Identifier: Apache-2.0
// Rules of recipes: bits, scheme, method and granularity for some nodes.
#include "quant/quantized.h"
#include "support/file.h"

namespace qtool {
namespace {

using test::Build;
using test::contains;
using test::message_of;
using test::Planned;
using test::ranges;

/// Three Gemms in a row: x -> a -> b -> y.
Graph three_layers() {
  Build b;
  b.input("x", {2, 4});
  const char* from = "x";
  for (const char* to : {"a", "b", "y"}) {
    const std::string weights = std::string("w") + to;
    b.random(weights, {4, 4}, 7);
    b.node("Gemm", {from, weights}, {to}, {}, std::string("layer_") + to);
    from = to;
  }
  b.output("y");
  return std::move(b.graph);
}

CalibrationTable table() {
  return ranges({{"x", {-1, 3}}, {"a", {-2, 2}}, {"b", {-1, 3}}, {"y", {-4, 4}}});
}

Planned planned(const Graph& graph, const std::string& rules) {
  return {graph, table(), parse_recipe("schema: qtool.recipe/1\n" + rules)};
}

TEST_CASE("a rule's bits are for what it matches, the edges too; later rules win") {
  const Graph graph = three_layers();
  const Planned p = planned(graph, R"(
rules:
  - {match: Gemm, bits: w4a4}
  - {match: "/layer_[ay]/", bits: w6}
  - {match: layer_y, bits: a8}
)");
  CHECK(p.params("wa").type.bits == 6);
  CHECK(p.params("wb").type.bits == 4);
  CHECK(p.params("wy").type.bits == 6);
  CHECK(p.params("x").type.bits == 4);
  CHECK(p.params("a").type.bits == 4);
  CHECK(p.params("b").type.bits == 8);  // what layer_y reads
}

TEST_CASE("scheme, granularity and methods, rule by rule") {
  const Graph graph = three_layers();
  const Planned p = planned(graph, R"(
activations: minmax
rules:
  - {match: layer_a, scheme: symmetric}
  - {match: layer_b, per_channel: false, weights: mse}
  - {match: layer_y, activations: mean-minmax, scheme: power-of-two}
)");
  CHECK(p.params("x").zero_point == std::vector<int32_t>{128});
  CHECK(p.params("x").scale[0] == Approx(3.0 / 127));
  CHECK(p.params("a").zero_point != std::vector<int32_t>{0});
  CHECK(p.params("a").scale[0] == Approx(4.0 / 255));
  CHECK(p.params("b").scale[0] == 0x1p-5F);  // 3/127 rounded up
  CHECK(contains(p.placements("b").at(0)->reason, "mean-minmax"));
  CHECK_FALSE(p.params("wa").per_tensor());
  CHECK(p.params("wb").per_tensor());
  CHECK(contains(p.placements("wb").at(0)->reason, "mse per tensor"));
  CHECK(contains(p.placements("wa").at(0)->reason, "minmax per channel"));
}

TEST_CASE("a rule keeps nodes in float, a later one takes some back") {
  const Graph graph = three_layers();
  const Planned p = planned(graph, R"(
rules:
  - {match: [layer_a, layer_b], float: true}
  - {match: layer_b, float: false}
)");
  CHECK(p.skipped("layer_a") == "excluded by a rule of the recipe");
  CHECK(p.quantized("layer_b"));
  CHECK(p.quantized("layer_y"));
}

TEST_CASE("what is wrong with rules") {
  const Graph graph = three_layers();
  const std::string none = message_of(
      [&] { planned(graph, "rules: [{match: layer_c, bits: w4}]"); }, Error::Kind::usage);
  CHECK(contains(none, "rule for \"layer_c\" matches no node"));
  const auto message = [](const std::string& rule) {
    return message_of([&] { parse_recipe("schema: qtool.recipe/1\nrules: " + rule); },
                      Error::Kind::input);
  };
  CHECK(contains(message("[{match: a}, {match: b, bit: w4}]"), "rule 2"));
  CHECK(contains(message("[{match: b, bit: w4}]"), "Did you mean \"bits\""));
  CHECK(contains(message("[{bits: w4}]"), "without match"));
  CHECK(contains(message("[{match: a, scheme: odd}]"), "odd"));
  CHECK(contains(message("{match: a}"), "rules are a list"));
  CHECK(contains(message("[a]"), "a rule is an object"));
}

TEST_CASE("the recipes that come along are valid; one names a target that there is") {
  for (const char* name :
       {"int8-accurate", "int8-fast", "tensorrt", "tidl-po2", "w4a16-llm", "w4a8"}) {
    REQUIRE(builtin_recipes().contains(name));
    const Recipe recipe = load_recipe(name);
    if (!recipe.target.empty()) CHECK(builtin_targets().contains(recipe.target));
  }
  CHECK(load_recipe("tidl-po2").target == "tidl");
  CHECK(contains(message_of([] { load_recipe("int8-quick"); }, Error::Kind::usage), "int8-fast"));
  const test::TemporaryFolder folder;
  write_file(folder / "mine.yaml", "schema: qtool.recipe/1\nweights: mse\n");
  CHECK(load_recipe((folder / "mine.yaml").string()).weight_method == WeightMethod::mse);
}

}  // namespace
}  // namespace qtool
