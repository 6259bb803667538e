// SPDX-License-Identifier: Apache-2.0
#include "quant/algorithms/mixed_widths.h"

#include "catch.h"
#include "support/rng.h"

namespace qtool {
namespace {

using Layers = std::vector<std::vector<WidthChoice>>;

/// The least error within a budget, by trying all.
std::optional<double> brute_force(const Layers& layers, uint64_t budget, size_t from = 0) {
  if (from == layers.size()) return 0.0;
  std::optional<double> least;
  for (const WidthChoice& choice : layers[from]) {
    if (choice.cost > budget) continue;
    const auto rest = brute_force(layers, budget - choice.cost, from + 1);
    if (rest && (!least || choice.error + *rest < *least)) least = choice.error + *rest;
  }
  return least;
}

Layers random_layers(uint64_t seed) {
  Rng rng(seed);
  Layers layers(5);
  for (auto& layer : layers) {
    const uint64_t weights = 1 + rng.below(60);
    double error = 0.1 + static_cast<double>(rng.uniform());
    for (const int bits : {2, 3, 4, 8}) {
      layer.push_back({bits, static_cast<uint64_t>(bits) * weights, error});
      error *= 0.1 + 0.5 * static_cast<double>(rng.uniform());
    }
  }
  return layers;
}

TEST_CASE("mixed widths by hand: the bits go where they save most") {
  // Of two layers with 10 weights, the first loses 8 at 2 bits and 1 at 4; the second 3 and 1.
  const Layers layers{{{2, 20, 8}, {4, 40, 1}}, {{2, 20, 3}, {4, 40, 1}}};
  const WidthSearch search(layers);
  CHECK(search.least_cost() == 40);
  CHECK(search.most_cost() == 80);
  CHECK(!search.best(39));
  CHECK(search.best(40)->error == 11);
  const auto found = search.best(60);
  CHECK(found->choice == std::vector<size_t>{1, 0});
  CHECK(found->cost == 60);
  CHECK(found->error == 4);
  CHECK(search.best(79)->error == 4);
  CHECK(search.best(1000)->error == 2);
  const auto front = search.front(3);
  REQUIRE(front.size() == 3);
  CHECK(front[1].cost == 60);
}

TEST_CASE("mixed widths: no assignment within the budget is better") {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    const Layers layers = random_layers(seed);
    const WidthSearch search(layers);
    for (uint64_t budget = search.least_cost(); budget <= search.most_cost(); budget += 7) {
      const auto found = search.best(budget);
      REQUIRE(found);
      CHECK(found->cost <= budget);
      CHECK(found->error == Approx(*brute_force(layers, budget)));
      uint64_t cost = 0;
      for (size_t l = 0; l < layers.size(); ++l) cost += layers[l][found->choice[l]].cost;
      CHECK(cost == found->cost);
    }
  }
}

TEST_CASE("mixed widths: many large layers are near the best, and the front falls") {
  Rng rng(3);
  Layers layers(200);
  for (auto& layer : layers) {
    const uint64_t weights = 1000 + rng.below(2000000);
    const double error = static_cast<double>(rng.uniform());
    for (const int bits : {2, 3, 4, 5, 6, 8})
      layer.push_back({bits, static_cast<uint64_t>(bits) * weights, error / (1 << (2 * bits))});
  }
  const WidthSearch search(layers);
  double before = 1e9;
  uint64_t cost = 0;
  for (const WidthAssignment& point : search.front(20)) {
    CHECK(point.error < before);
    CHECK(point.cost > cost);
    before = point.error;
    cost = point.cost;
  }
  const uint64_t budget = (search.least_cost() + search.most_cost()) / 2;
  const auto found = search.best(budget);
  CHECK(found->cost <= budget);
  CHECK(static_cast<double>(found->cost) > 0.999 * static_cast<double>(budget));
}

}  // namespace
}  // namespace qtool
