// SPDX-License-Identifier: Apache-2.0
#include "rounding/awq.h"

#include "quant/algorithms/smooth_quant.h"
#include "quant/algorithms/weight_only.h"
#include "quant/quantized.h"

namespace qtool {
namespace {

using test::Build;
using test::random_tensor;

constexpr int64_t kRows = 24;
constexpr int64_t kChannels = 32;

/// x -> Mul by a vector -> two products; some channels of the vector are thirty times the others.
Build scaled_products() {
  Build b;
  b.input("x", {kRows, kChannels});
  std::vector<float> gain(kChannels, 1);
  for (const size_t j : {3U, 9U, 20U}) gain[j] = 30;
  b.constant("gain", Tensor::of<float>({kChannels}, gain));
  b.random("w1", {kChannels, 8}, 1);
  b.random("w2", {kChannels, 4}, 2);
  b.node("Mul", {"x", "gain"}, {"h"}, {}, "scale");
  b.node("MatMul", {"h", "w1"}, {"y1"}, {}, "first");
  b.node("MatMul", {"h", "w2"}, {"y2"}, {}, "second");
  b.output("y1");
  b.output("y2");
  return b;
}

Recipe three_bits() {
  Recipe recipe;
  recipe.weight_bits = 3;
  recipe.weight_method = WeightMethod::minmax;
  return recipe;
}

ProductRows rows_of(const Build& b) {
  auto left = std::make_shared<int>(4);
  return rows_of_products(b.graph, builtin_ops(), [left]() -> std::optional<FeedBatch> {
    if ((*left)-- == 0) return std::nullopt;
    FeedBatch batch;
    batch.inputs.emplace("x", random_tensor({kRows, kChannels}, 30 + static_cast<uint64_t>(*left)));
    batch.ids.resize(kRows);
    return batch;
  });
}

/// Squared error of the results with weights on the plan's grids.
double error(const Graph& whole, const Graph& edited) {
  Graph rounded = edited;
  const QuantPlan plan = plan_weights(edited, builtin_ops(), three_bits());
  for (const Placement& placement : plan.placements) {
    rounded.set_constant(
        placement.value,
        make_constant(fake_quantize(*edited.constant(placement.value), placement.params)));
  }
  TensorMap feeds;
  feeds.emplace("x", random_tensor({kRows, kChannels}, 77));
  const TensorMap wanted = test::run_graph(whole, feeds);
  const TensorMap found = test::run_graph(rounded, feeds);
  double sum = 0;
  for (const char* name : {"y1", "y2"}) {
    const auto a = to_doubles(wanted.at(name));
    const auto b = to_doubles(found.at(name));
    for (size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  }
  return sum;
}

TEST_CASE("AWQ: the rows are those that the products read") {
  const Build b = scaled_products();
  const ProductRows rows = rows_of(b);
  REQUIRE(rows.size() == 1);
  const Tensor& h = rows.begin()->second;
  CHECK(h.shape() == Shape{4 * kRows, kChannels});
  const Tensor x = random_tensor({kRows, kChannels}, 33);
  CHECK(h.data<float>()[3] == Approx(30 * x.data<float>()[3]));
  // Beyond the limit they are thinned out evenly.
  const auto all = std::make_shared<int>(1);
  const ProductRows few = rows_of_products(
      b.graph, builtin_ops(),
      [all]() -> std::optional<FeedBatch> {
        if ((*all)-- == 0) return std::nullopt;
        FeedBatch batch;
        batch.inputs.emplace("x", random_tensor({kRows, kChannels}, 33));
        batch.ids.resize(kRows);
        return batch;
      },
      5);
  CHECK(few.begin()->second.shape()[0] >= 5);
  CHECK(few.begin()->second.shape()[0] < 10);
}

TEST_CASE("AWQ gives channels with large data finer weights; float results stay") {
  const Build b = scaled_products();
  const auto found = find_awq(b.graph, builtin_ops(), three_bits(), rows_of(b));
  REQUIRE(found.size() == 1);
  CHECK(found[0].tensor == "h");
  CHECK(found[0].nodes == std::vector<std::string>{"first", "second"});
  CHECK(found[0].absorbed);
  CHECK(found[0].scale[3] > 2 * found[0].scale[4]);
  Graph edited = b.graph;
  smooth(edited, found);
  TensorMap feeds;
  feeds.emplace("x", random_tensor({kRows, kChannels}, 78));
  const TensorMap wanted = test::run_graph(b.graph, feeds);
  const TensorMap same = test::run_graph(edited, feeds);
  CHECK(test::relative_difference(wanted.at("y1"), same.at("y1")) < 1e-5);
  CHECK(test::relative_difference(wanted.at("y2"), same.at("y2")) < 1e-5);
  CHECK(error(b.graph, edited) < 0.7 * error(b.graph, b.graph));
}

TEST_CASE("AWQ leaves alone what nothing can divide, and channels of like sizes") {
  Build b;
  b.input("x", {kRows, kChannels});
  b.random("w1", {kChannels, 8}, 1);
  b.node("MatMul", {"x", "w1"}, {"y"}, {}, "first");
  b.output("y");
  CHECK(find_awq(b.graph, builtin_ops(), three_bits(), rows_of(b)).empty());
}

}  // namespace
}  // namespace qtool
