// SPDX-License-Identifier: Apache-2.0
#include "quant/algorithms/absorb_bias.h"

#include "passes/equal_pairs.h"
#include "quant/algorithms/equalize.h"
#include "quant/quantized.h"

namespace qtool {
namespace {

using test::Build;
using test::random_tensor;

/// x [1,C,h,w] -> Conv -> Relu or Clip -> Conv with these pads -> y.
Build two(const std::string& activation, std::vector<int64_t> pads, std::vector<float> biases) {
  const auto channels = static_cast<int64_t>(biases.size());
  Build b;
  b.input("x", {1, 2, 4, 4});
  std::vector<float> w1;
  for (size_t c = 0; c < biases.size(); ++c) w1.insert(w1.end(), {0.5F, -0.5F});
  b.constant("w1", Tensor::of<float>({channels, 2, 1, 1}, w1));
  b.constant("b1", Tensor::of<float>({channels}, biases));
  b.random("w2", {3, channels, 3, 3}, 2);
  b.random("b2", {3}, 3);
  b.constant("zero", {}, {0.0F});
  b.constant("bound", {}, {20.0F});
  b.node("Conv", {"x", "w1", "b1"}, {"c1"}, {}, "first");
  if (activation == "Clip") {
    b.node("Clip", {"c1", "zero", "bound"}, {"r"}, {}, "between");
  } else {
    b.node(activation, {"c1"}, {"r"}, {}, "between");
  }
  b.node("Conv", {"r", "w2", "b2"}, {"y"}, {{"pads", std::move(pads)}}, "second");
  b.output("y");
  return b;
}

FeedSource samples(uint64_t seed) {
  auto left = std::make_shared<int>(5);
  return [left, seed]() -> std::optional<FeedBatch> {
    if ((*left)-- == 0) return std::nullopt;
    FeedBatch batch;
    batch.inputs.emplace("x", random_tensor({1, 2, 4, 4}, seed + static_cast<uint64_t>(*left)));
    batch.ids.resize(1);
    return batch;
  };
}

TEST_CASE("high biases by hand: what no sample falls below moves to the biases behind") {
  // z = x + 5 with x in {1, 2}: mean 6.5, deviation 0.5, so c = 5, below the least z of 6.
  Build b;
  b.input("x", {1, 1, 1, 2});
  b.constant("w1", {1, 1, 1, 1}, {1});
  b.constant("b1", {1}, {5});
  b.constant("w2", {1, 1, 1, 1}, {2});
  b.constant("b2", {1}, {0.25F});
  b.node("Conv", {"x", "w1", "b1"}, {"z"}, {}, "first");
  b.node("Relu", {"z"}, {"r"}, {}, "between");
  b.node("Conv", {"r", "w2", "b2"}, {"y"}, {}, "second");
  b.output("y");
  bool fed = false;
  std::vector<Equalization> found;
  find_absorptions(
      b.graph,
      [&]() -> std::optional<FeedBatch> {
        if (fed) return std::nullopt;
        fed = true;
        FeedBatch batch;
        batch.inputs.emplace("x", Tensor::of<float>({1, 1, 1, 2}, {1, 2}));
        batch.ids.resize(1);
        return batch;
      },
      found);
  REQUIRE(found.size() == 1);
  CHECK(found[0].scale == std::vector<float>{1});
  REQUIRE(found[0].absorbed.size() == 1);
  CHECK(found[0].absorbed[0] == Approx(5));
  equalize(b.graph, found);
  CHECK(to_floats(*b.graph.constant(b.graph.node(b.graph.nodes()[0]).inputs[2]))[0] ==
        Approx(0).margin(1e-6));
  TensorMap feeds;
  feeds.emplace("x", Tensor::of<float>({1, 1, 1, 2}, {1, 2}));
  const auto y = to_floats(test::run_graph(b.graph, feeds).at("y"));
  CHECK(y[0] == Approx(12.25));
  CHECK(y[1] == Approx(14.25));
}

TEST_CASE("high biases: float results stay, ranges shrink, a plan's file repeats it") {
  for (const char* activation : {"Relu", "Clip"}) {
    const bool clipped = std::string(activation) == "Clip";
    Build b = two(activation, {0, 0, 0, 0}, {9, 0, 12, clipped ? 14.0F : 19.0F});
    std::vector<Equalization> found;
    find_absorptions(b.graph, samples(10), found);
    REQUIRE(found.size() == 1);
    CHECK(found[0].absorbed[0] > 1);
    CHECK(found[0].absorbed[1] == 0);
    CHECK(found[0].absorbed[3] > 1);
    Graph edited = b.graph;
    equalize(edited, found);
    const FeedSource source = samples(10);
    while (const auto batch = source()) {
      const TensorMap wanted = test::run_graph(b.graph, batch->inputs);
      const TensorMap got = test::run_graph(edited, batch->inputs);
      CHECK(test::relative_difference(wanted.at("y"), got.at("y")) < 1e-5);
      CHECK(to_floats(got.at("r"))[0] < to_floats(wanted.at("r"))[0]);
    }
    QuantPlan plan = test::Planned(b.graph, {}).plan;
    plan.equalized = found;
    const auto again = equalizations_from_json(to_json(plan, b.graph));
    REQUIRE(again.size() == 1);
    CHECK(again[0].absorbed == found[0].absorbed);
    Equalization wrong = found[0];
    wrong.absorbed.pop_back();
    test::message_of([&] { equalize(edited, {wrong}); }, Error::Kind::input);
  }
}

TEST_CASE("high biases of channels that come to a Clip's end stay, and then all of the tensor's") {
  const Build b = two("Clip", {0, 0, 0, 0}, {9, 0, 12, 19});
  std::vector<Equalization> found;
  find_absorptions(b.graph, samples(10), found);
  CHECK(found.empty());
}

TEST_CASE("high biases stay where the second layer pads, and where nothing clips below") {
  for (Build b : {two("Relu", {1, 1, 1, 1}, {9, 9}), two("Sigmoid", {0, 0, 0, 0}, {9, 9})}) {
    std::vector<Equalization> found;
    find_absorptions(b.graph, samples(10), found);
    CHECK(found.empty());
  }
}

}  // namespace
}  // namespace qtool
