// SPDX-License-Identifier: Apache-2.0
#include "support/rng.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>
#include <vector>

#include "catch.h"

using namespace qtool;

TEST_CASE("Rng gives what the demonstration program of PCG32 prints for seed 42, stream 54") {
  Rng rng(42, 54);
  for (const uint32_t expected :
       {0xa15c02b7U, 0x7b47f409U, 0xba1d3330U, 0x83d2f293U, 0xbfa4784bU, 0xcbed606eU}) {
    CHECK(rng.next() == expected);
  }
  std::string coins;
  for (int i = 0; i < 65; ++i) coins += rng.below(2) != 0 ? 'H' : 'T';
  CHECK(coins == "HHTTTHTHHHTHTTTHHHHHTTTHHHTHTHTHTTHTTTHHHHHHTTTTHHTTTTTHTTTTTTTHT");
  std::vector<uint32_t> rolls;
  for (int i = 0; i < 33; ++i) rolls.push_back(rng.below(6) + 1);
  CHECK(rolls == std::vector<uint32_t>{3, 4, 1, 1, 2, 2, 3, 2, 4, 3, 2, 4, 3, 3, 5, 2, 3,
                                       1, 3, 1, 5, 1, 4, 1, 5, 6, 4, 6, 6, 2, 6, 3, 3});
}

TEST_CASE("Rng: uniform is the upper 24 bits") {
  Rng rng(42, 54);
  CHECK(rng.uniform() == static_cast<float>(0xa15c02) / 16777216.0F);
  CHECK(rng.uniform() == static_cast<float>(0x7b47f4) / 16777216.0F);
  for (int i = 0; i < 100000; ++i) {
    const float value = rng.uniform();
    if (value < 0 || value >= 1) FAIL("outside [0, 1): " << value);
  }
}

TEST_CASE("Rng: normal is Box and Muller's") {
  Rng rng(42, 54);
  const double radius = std::sqrt(-2 * std::log(1 - 0xa15c02 / 16777216.0));
  CHECK(rng.normal() == Approx(radius * std::cos(2 * std::acos(-1.0) * 0x7b47f4 / 16777216.0)));

  // 200,000 draws: the mean strays by 1/447, the variance by 1/316, the share within one sigma
  // (68.27 %) by 1/961; four times that is allowed.
  constexpr int kDraws = 200000;
  double sum = 0;
  double squares = 0;
  int within = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double value = rng.normal();
    sum += value;
    squares += value * value;
    within += std::abs(value) < 1 ? 1 : 0;
  }
  CHECK(std::abs(sum / kDraws) < 4.0 / 447);
  CHECK(std::abs(squares / kDraws - 1) < 4.0 / 316);
  CHECK(std::abs(within / double{kDraws} - 0.6827) < 4.0 / 961);
}

TEST_CASE("Rng: below has no bias where a remainder alone would") {
  // 2^32 mod 3·2^30 = 2^30: the plain remainder would give the lower third half of all draws.
  constexpr uint32_t kBound = 3U << 30;
  Rng rng(7);
  int lower = 0;
  for (int i = 0; i < 30000; ++i) {
    const uint32_t value = rng.below(kBound);
    REQUIRE(value < kBound);
    lower += value < kBound / 3 ? 1 : 0;
  }
  CHECK(std::abs(lower - 10000) < 4 * 82);
  CHECK(rng.below(1) == 0);
}

TEST_CASE("Rng: shuffle gives every order equally often") {
  Rng rng(3);
  std::map<std::array<int, 3>, int> counts;
  for (int i = 0; i < 6000; ++i) {
    std::array<int, 3> items{1, 2, 3};
    rng.shuffle(std::span<int>(items));
    ++counts[items];
  }
  REQUIRE(counts.size() == 6);
  for (const auto& [order, count] : counts) CHECK(std::abs(count - 1000) < 4 * 29);

  std::vector<int> nothing;
  rng.shuffle(std::span<int>(nothing));
  std::vector<int> many(1000);
  std::iota(many.begin(), many.end(), 0);
  rng.shuffle(std::span<int>(many));
  CHECK(!std::is_sorted(many.begin(), many.end()));
  std::sort(many.begin(), many.end());
  for (int i = 0; i < 1000; ++i) REQUIRE(many[static_cast<size_t>(i)] == i);
}

TEST_CASE("Rng: streams and seeds differ, the same ones agree") {
  CHECK(Rng(1).next() == Rng(1).next());
  CHECK(Rng(1).next() != Rng(2).next());
  CHECK(Rng(1, 0).next() != Rng(1, 1).next());
}
