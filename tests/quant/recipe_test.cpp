// SPDX-License-Identifier: Apache-2.0
#include "quant/recipe.h"

#include "quant/quantized.h"

namespace qtool {
namespace {

using test::Build;
using test::contains;
using test::message_of;

/// Relu "first", Relu without a name that makes "b", Tanh "last".
Graph three() {
  Build b;
  b.input("x", {2});
  b.node("Relu", {"x"}, {"a"}, {}, "first");
  const NodeId nameless = b.node("Relu", {"a"}, {"b"});
  b.graph.set_node_name(nameless, "");
  b.node("Tanh", {"b"}, {"c"}, {}, "last");
  b.output("c");
  return b.graph;
}

using Strings = std::vector<std::string>;

TEST_CASE("patterns are names, op types and regular expressions for whole names") {
  const Graph graph = three();
  const auto excluded = [&](const std::string& pattern) {
    Recipe recipe;
    recipe.exclude = {pattern};
    std::vector<bool> result;
    for (const std::string& reason : exclusions(graph, recipe)) result.push_back(!reason.empty());
    return result;
  };
  CHECK(excluded("first") == std::vector<bool>{true, false, false});
  CHECK(excluded("b") == std::vector<bool>{false, true, false});
  CHECK(excluded("Relu") == std::vector<bool>{true, true, false});
  CHECK(excluded("/.*st/") == std::vector<bool>{true, false, true});
}

TEST_CASE("methods follow the width of the grid unless the recipe names them") {
  Recipe recipe;
  const QuantType byte{8, false, false};
  const QuantType nibble{4, true, false};
  CHECK(to_string(activation_method(recipe, byte)) == "percentile:99.999");
  CHECK(to_string(activation_method(recipe, nibble)) == "mse");
  CHECK(weight_method(recipe, byte) == WeightMethod::minmax);
  CHECK(weight_method(recipe, nibble) == WeightMethod::mse);
  recipe.activation_method = MinMax{};
  recipe.weight_method = WeightMethod::minmax;
  CHECK(to_string(activation_method(recipe, nibble)) == "minmax");
  CHECK(weight_method(recipe, nibble) == WeightMethod::minmax);
}

TEST_CASE("exclude wins over include, and both say why") {
  const Graph graph = three();
  Recipe recipe;
  recipe.include = {"Relu"};
  recipe.exclude = {"first"};
  CHECK(exclusions(graph, recipe) == Strings{"excluded by \"first\"", "", "not included"});
}

TEST_CASE("a pattern that matches nothing is an error with the nearest names") {
  const Graph graph = three();
  const auto message = [&](const std::string& pattern) {
    Recipe recipe;
    recipe.include = {pattern};
    return message_of([&] { exclusions(graph, recipe); }, Error::Kind::usage);
  };
  CHECK(contains(message("frist"), "Did you mean \"first\""));
  CHECK(contains(message("relu"), "\"Relu\""));
  CHECK(contains(message("/st/"), "matches no node"));
  CHECK(contains(message("/(/"), "not a regular expression"));
}

TEST_CASE("a regular expression that would take exponential time does not") {
  Build b;
  b.input("x", {2});
  b.node("Relu", {"x"}, {"y"}, {}, std::string(60, 'a') + "b");
  b.output("y");
  Recipe recipe;
  recipe.exclude = {"/(a|a)*(a|aa)+c/"};
  CHECK(contains(message_of([&] { exclusions(b.graph, recipe); }, Error::Kind::usage),
                 "matches no node"));
}

TEST_CASE("a recipe file") {
  const Recipe recipe = parse_recipe(R"(
schema: qtool.recipe/1
activations: percentile:99.9
weights: mse
per_channel: false
include: [Conv, /layer.*/]
exclude: head
)");
  CHECK(to_string(recipe.activation_method.value()) == "percentile:99.9");
  CHECK(recipe.weight_method == WeightMethod::mse);
  CHECK(recipe.per_tensor_weights);
  CHECK(recipe.include == Strings{"Conv", "/layer.*/"});
  CHECK(recipe.exclude == Strings{"head"});
}

TEST_CASE("what is wrong with a recipe is an input error with its key") {
  const auto message = [](const std::string& line) {
    return message_of([&] { parse_recipe("schema: qtool.recipe/1\n" + line); }, Error::Kind::input);
  };
  CHECK(contains(message("weight: mse"), "Did you mean \"weights\""));
  CHECK(contains(message("weights: best"), "minmax or mse"));
  CHECK(contains(message("activations: entropic"), "activations"));
  CHECK(contains(message("per_channel: perhaps"), "per_channel"));
}

}  // namespace
}  // namespace qtool
