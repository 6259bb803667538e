// SPDX-License-Identifier: Apache-2.0
#include "rounding/percentile_search.h"

#include <cmath>

#include "quant/quantized.h"

namespace qtool {
namespace {

using test::Build;
using test::random_tensor;

constexpr int64_t kRows = 2000;

/// x [rows, 2] -> MatMul -> y. One row in 250 has 100 in its second channel, which else is 0; the
/// first lies between -1 and 1.
struct Outliers {
  Build b;
  Tensor x{DType::float32, {kRows, 2}};
  CalibrationTable table;

  explicit Outliers(float weight_of_outliers) {
    b.input("x", {kRows, 2});
    b.constant("w", {2, 1}, {1, weight_of_outliers});
    b.node("MatMul", {"x", "w"}, {"y"}, {}, "product");
    b.output("y");
    Rng rng(5);
    for (size_t r = 0; r < kRows; ++r) {
      x.data<float>()[2 * r] = 2 * rng.uniform() - 1;
      x.data<float>()[2 * r + 1] = r % 250 == 0 ? 100.0F : 0.0F;
    }
    TensorMap feeds;
    feeds.emplace("x", x.clone());
    table = test::calibrated(b.graph, feeds);
  }

  std::function<FeedSource()> samples(int batches = 1) const {
    return [this, batches]() -> FeedSource {
      auto left = std::make_shared<int>(batches);
      return [this, left]() -> std::optional<FeedBatch> {
        if ((*left)-- == 0) return std::nullopt;
        FeedBatch batch;
        batch.inputs.emplace("x", x.clone());
        batch.ids.resize(kRows);
        return batch;
      };
    };
  }
  std::vector<SearchedRange> search(const Recipe& recipe = {}, uint64_t memory = 1 << 20) const {
    return search_percentiles(b.graph, builtin_ops(), table, load_target("ort-cpu"), recipe,
                              samples(), memory);
  }
  /// Of y over its power, with x on the grid that the recipe gives.
  double error(const Recipe& recipe, float weight) const {
    const test::Planned planned(b.graph, table, recipe);
    const Tensor rounded = fake_quantize(x, planned.params("x"));
    double error = 0;
    double power = 0;
    for (size_t r = 0; r < kRows; ++r) {
      const auto of = [&](const Tensor& t) {
        return static_cast<double>(t.data<float>()[2 * r] + weight * t.data<float>()[2 * r + 1]);
      };
      error += std::pow(of(rounded) - of(x), 2);
      power += std::pow(of(x), 2);
    }
    return error / power;
  }
};

TEST_CASE("outliers that weigh nothing in the product are cut, whatever the histogram says") {
  const Outliers outliers(0);
  const auto found = outliers.search();
  REQUIRE(found.size() == 1);
  CHECK(found[0].tensors == std::vector<std::string>{"x"});
  CHECK(found[0].method == RangeMethod{Percentile{99}});
  // Steps of 101 / 255 are a noise of 0.0131, of a power of 1/3; with 99 % nearly all lies inside.
  CHECK(found[0].error_before == Approx(0.039).epsilon(0.1));
  CHECK(found[0].error < 1e-4);
  Recipe recipe;
  CHECK(found[0].error_before == Approx(outliers.error(recipe, 0)).epsilon(1e-3));
  recipe.found_methods = found_methods(found);
  CHECK(found[0].error == Approx(outliers.error(recipe, 0)).epsilon(1e-3));
  const test::Planned planned(outliers.b.graph, outliers.table, recipe);
  CHECK(planned.params("x").representable().high < 1.01F);
  CHECK(test::contains(planned.placements("x")[0]->reason, "percentile:99, found by search"));
}

TEST_CASE("outliers that make the product keep the wished range") {
  const Outliers outliers(1);
  const auto found = outliers.search();
  REQUIRE(found.size() == 1);
  CHECK(found[0].error > 0.99 * found[0].error_before);
  Recipe narrow;
  narrow.activation_method = Percentile{99};
  const auto widened = outliers.search(narrow);
  CHECK(widened[0].error < 0.01 * widened[0].error_before);
  CHECK(widened[0].error == Approx(outliers.error({}, 1)).epsilon(1e-3));
}

TEST_CASE("ranges by hand and by rule are not searched") {
  Outliers outliers(0);
  Recipe recipe;
  recipe.rules = {{{"product"}, {.activation_method = MinMax{}}}};
  CHECK(outliers.search(recipe).empty());
  outliers.table.tensors.at("x").override_range = Range{-2, 2};
  CHECK(outliers.search().empty());
}

/// Convolutions, a sum that reads two of them, a Concat that ties; its results are outputs too.
struct Network {
  Build b;
  CalibrationTable table;
  std::vector<Tensor> x;

  Network() {
    b.input("x", {4, 3, 6, 6});
    b.random("a.w", {4, 3, 3, 3}, 1);
    b.random("c.w", {4, 3, 3, 3}, 2);
    b.random("d.w", {2, 8, 1, 1}, 3);
    b.node("Conv", {"x", "a.w"}, {"a"}, {}, "a");
    b.node("Relu", {"a"}, {"r"});
    b.node("Conv", {"x", "c.w"}, {"c"}, {}, "c");
    b.node("Add", {"r", "c"}, {"s"}, {}, "sum");
    b.node("Concat", {"s", "c"}, {"j"}, {{"axis", int64_t{1}}}, "join");
    b.node("Conv", {"j", "d.w"}, {"d"}, {}, "d");
    b.output("d");
    b.output("j");
    for (uint64_t i = 0; i < 3; ++i) x.push_back(random_tensor({4, 3, 6, 6}, 9 + i));
    TensorMap feeds;
    feeds.emplace("x", x[0].clone());
    table = test::calibrated(b.graph, feeds);
  }

  std::vector<SearchedRange> search(const Recipe& recipe, uint64_t memory) const {
    return search_percentiles(
        b.graph, builtin_ops(), table, load_target("ort-cpu"), recipe,
        [&]() -> FeedSource {
          auto next = std::make_shared<size_t>(0);
          return [this, next]() -> std::optional<FeedBatch> {
            if (*next == x.size()) return std::nullopt;
            FeedBatch batch;
            batch.inputs.emplace("x", x[(*next)++].clone());
            batch.ids.resize(4);
            return batch;
          };
        },
        memory);
  }
};

TEST_CASE("never worse than the fixed method by what is measured, at any width and memory") {
  const Network network;
  size_t changed = 0;
  for (const int bits : {3, 4, 8}) {
    for (const RangeMethod& method :
         {RangeMethod{MinMax{}}, RangeMethod{Percentile{99.9}}, RangeMethod{MeanSquare{}}}) {
      Recipe recipe;
      recipe.activation_bits = bits;
      recipe.edges_too = true;
      recipe.activation_method = method;
      const auto found = network.search(recipe, 1 << 20);
      REQUIRE(!found.empty());
      for (const SearchedRange& range : found) {
        CHECK(range.error <= range.error_before);
        CHECK((range.error < range.error_before) == (range.method != method));
      }
      recipe.found_methods = found_methods(found);
      changed += recipe.found_methods.size();
      // What was found is the start of another search, which finds nothing better.
      for (const SearchedRange& range : network.search(recipe, 1)) {
        CHECK(range.error == range.error_before);
        const auto same = std::ranges::find(found, range.tensors, &SearchedRange::tensors);
        REQUIRE(same != found.end());
        CHECK(range.error == same->error);
      }
    }
  }
  CHECK(changed > 5);
  const auto found = network.search({}, 1);
  CHECK(std::ranges::any_of(found, [](const SearchedRange& range) {
    return range.tensors == std::vector<std::string>{"c", "s", "j"};
  }));
}

TEST_CASE("a search without samples is refused") {
  const Network network;
  CHECK_THROWS_WITH(search_percentiles(
                        network.b.graph, builtin_ops(), network.table, load_target("ort-cpu"), {},
                        []() -> FeedSource { return [] { return std::nullopt; }; }, 1),
                    Catch::Contains("no samples"));
}

}  // namespace
}  // namespace qtool
