// SPDX-License-Identifier: Apache-2.0
#include "quant/algorithms/equalize.h"

#include <cmath>

#include "passes/equal_pairs.h"
#include "quant/quantized.h"

namespace qtool {
namespace {

using test::Build;
using test::contains;
using test::message_of;
using test::random_tensor;

/// One sample [1, C, 1, n], observed by channel.
TableEntry by_channel(size_t channels, const std::vector<float>& elements) {
  Observer observer(1);
  observer.observe_sample(elements.data(), 1, static_cast<int64_t>(channels),
                          static_cast<int64_t>(elements.size() / channels));
  return {observer.stats(), std::nullopt};
}

/// x [1,1,1,1] -> Conv to 2 channels -> Relu or Clip -> Conv to one.
Build two(const char* activation, std::initializer_list<float> first,
          std::initializer_list<float> second) {
  Build b;
  b.input("x", {1, 1, 1, 2});
  b.constant("w1", {2, 1, 1, 1}, first);
  b.constant("b1", {2}, {0.5F, 1});
  b.constant("w2", {1, 2, 1, 1}, second);
  b.constant("zero", {}, {0.0F});
  b.constant("six", {}, {6.0F});
  b.node("Conv", {"x", "w1", "b1"}, {"c1"}, {}, "first");
  if (std::string(activation) == "Clip") {
    b.node("Clip", {"c1", "zero", "six"}, {"r"}, {}, "between");
  } else {
    b.node(activation, {"c1"}, {"r"}, {}, "between");
  }
  b.node("Conv", {"r", "w2"}, {"y"}, {}, "second");
  b.output("y");
  return b;
}

std::vector<float> weights(const Graph& graph, const char* name) {
  return to_floats(*graph.constant(*graph.find_value(name)));
}

CalibrationTable table_of(const Graph& graph, const Tensor& x) {
  TensorMap feeds;
  feeds.emplace("x", x.clone());
  CalibrationTable table;
  for (const auto& [name, tensor] : test::run_graph(graph, feeds)) {
    if (tensor.rank() == 4 && !contains(name, "w"))
      table.tensors[name] = by_channel(static_cast<size_t>(tensor.shape()[1]), to_floats(tensor));
  }
  return table;
}

TEST_CASE("equation 11 by hand: 8 and 1/2 meet in the middle") {
  // The first channel's weights are 8 and 1/2, the second's 1/8 and 2: with s = 4 and 1/4, which
  // is sqrt(r1 / r2), both become 2 and 2 in the first, 1/2 and 1/2 in the second.
  Build b = two("Relu", {8, 0.125F}, {0.5F, 2});
  const float s = std::sqrt(8 / 0.5F);
  const EqualPair pair = equal_pairs(b.graph).at(0);
  CHECK(b.graph.value(pair.between).name == "r");
  divide_between(b.graph, pair, std::vector<float>{s, 1 / s});
  CHECK(weights(b.graph, "w1") == std::vector<float>{2, 0.5F});
  CHECK(weights(b.graph, "b1") == std::vector<float>{0.125F, 4});
  CHECK(weights(b.graph, "w2") == std::vector<float>{2, 0.5F});
}

TEST_CASE("what equalization finds leaves the results where they were, and wins where it edits") {
  // expand, depthwise, project, as MobileNets have them, with channels of unlike sizes.
  for (const uint64_t seed : {1, 2, 3}) {
    Build b;
    b.input("x", {1, 3, 6, 6});
    const auto uneven = [&](const char* name, const Shape& shape, float base, uint64_t salt) {
      Tensor tensor = random_tensor(shape, seed * 10 + salt);
      const size_t run = static_cast<size_t>(tensor.size() / shape[0]);
      for (size_t i = 0; i < tensor.data<float>().size(); ++i)
        tensor.data<float>()[i] *= std::pow(base, static_cast<float>(i / run % 5));
      b.constant(name, std::move(tensor));
    };
    uneven("w1", {8, 3, 1, 1}, 0.3F, 1);
    uneven("w2", {8, 1, 3, 3}, 3, 2);
    uneven("w3", {4, 8, 1, 1}, 1, 3);
    b.node("Conv", {"x", "w1"}, {"c1"}, {}, "expand");
    b.node("Relu", {"c1"}, {"r1"});
    b.node("Conv", {"r1", "w2"}, {"c2"},
           {{"group", int64_t{8}}, {"pads", std::vector<int64_t>{1, 1, 1, 1}}}, "depthwise");
    b.node("Relu", {"c2"}, {"r2"});
    b.node("Conv", {"r2", "w3"}, {"y"}, {}, "project");
    b.output("y");
    const Tensor x = random_tensor({1, 3, 6, 6}, seed);
    const auto found = find_equalizations(b.graph, table_of(b.graph, x), {.per_tensor = true});
    CHECK(!found.empty());
    const auto error = [&](const Graph& graph) {
      TensorMap feeds;
      feeds.emplace("x", x.clone());
      const auto wanted = to_doubles(test::run_graph(graph, feeds).at("y"));
      Graph rounded = graph;
      for (const char* name : {"w1", "w2", "w3"}) {
        const ValueId id = *graph.find_value(name);
        const Tensor& tensor = *graph.constant(id);
        const QuantParams params = choose_params(weight_ranges(tensor, std::nullopt, 0),
                                                 {8, true, true}, Scheme::symmetric);
        rounded.set_constant(id, make_constant(fake_quantize(tensor, params)));
      }
      const auto got = to_doubles(test::run_graph(rounded, feeds).at("y"));
      double sum = 0;
      for (size_t i = 0; i < got.size(); ++i) sum += std::pow(got[i] - wanted[i], 2);
      return sum;
    };
    Graph edited = b.graph;
    equalize(edited, found);
    TensorMap feeds;
    feeds.emplace("x", x.clone());
    CHECK(test::relative_difference(test::run_graph(b.graph, feeds).at("y"),
                                    test::run_graph(edited, feeds).at("y")) < 1e-5);
    CHECK(error(edited) < 0.5 * error(b.graph));
  }
}

TEST_CASE("a channel that meets the end of its Clip stays, and others never come there") {
  Build b = two("Clip", {8, 0.125F}, {0.5F, 2});
  const Tensor x = Tensor::of<float>({1, 1, 1, 2}, {2, 0.25F});  // 16.5 and 1.25: 6 and 1.25
  const auto found = find_equalizations(b.graph, table_of(b.graph, x), {.per_tensor = true});
  for (const Equalization& each : found) {
    CHECK(each.scale[0] == 1);
    CHECK(1.25F / each.scale[1] * 1.25F <= Approx(6));
  }
}

TEST_CASE("the table follows the edit, and a plan's file repeats it") {
  Build b = two("Relu", {8, 0.125F}, {0.5F, 2});
  const Tensor x = Tensor::of<float>({1, 1, 1, 2}, {2, -0.25F});
  CalibrationTable table = table_of(b.graph, x);
  const std::vector<Equalization> made{{"first", "second", {4, 0.25F}, "by hand"}};
  equalize(table, b.graph, made);
  // 16.5 / 4 and 1.25 / (1/4)
  CHECK(table.tensors.at("r").override_range->high == Approx(5));
  QuantPlan plan = test::Planned(b.graph, table).plan;
  plan.equalized = made;
  const QuantPlan again = plan_from_json(to_json(plan, b.graph), b.graph);
  REQUIRE(again.equalized.size() == 1);
  CHECK(again.equalized[0].second == "second");
  CHECK(again.equalized[0].scale == made[0].scale);
  CHECK(again.equalized[0].reason == "by hand");
}

TEST_CASE("equalizations that do not fit are refused") {
  const Build b = two("Relu", {8, 0.125F}, {0.5F, 2});
  const auto refused = [&](Equalization wrong) {
    Graph graph = b.graph;
    return message_of([&] { equalize(graph, {std::move(wrong)}); }, Error::Kind::input);
  };
  CHECK(test::contains(refused({"first", "second", {4}, ""}), "does not follow"));
  CHECK(test::contains(refused({"second", "first", {4, 1}, ""}), "does not follow"));
  CHECK(test::contains(refused({"first", "second", {4, 0}, ""}), "finite and positive"));
  CHECK(test::contains(refused({"frist", "second", {4, 1}, ""}), "frist"));
}

TEST_CASE("no pair where something else reads what is between, or the second's groups do not fit") {
  Build b = two("Relu", {8, 0.125F}, {0.5F, 2});
  b.output("r");
  CHECK(equal_pairs(b.graph).empty());
  Build c = two("Sigmoid", {8, 0.125F}, {0.5F, 2});
  CHECK(equal_pairs(c.graph).empty());
}

}  // namespace
}  // namespace qtool
