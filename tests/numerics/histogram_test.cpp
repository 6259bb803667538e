// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <map>
#include <vector>

#include "catch.h"
#include "numerics/scan.h"
#include "numerics/stats.h"
#include "support/rng.h"

using namespace qtool;

namespace {

constexpr float kLargest = std::numeric_limits<float>::max();
constexpr float kLeast = 0x1p-149F;

Histogram of(std::initializer_list<float> values) {
  Histogram histogram;
  histogram.observe(std::span(values.begin(), values.size()));
  return histogram;
}

/// The definition, exact in double: every float times a power of two is one there.
struct Oracle {
  int exponent = Histogram::kMinExponent;
  std::map<int64_t, uint64_t> bins;

  explicit Oracle(std::span<const float> values) {
    for (;; ++exponent) {
      const auto bin = [&](float x) {
        return std::floor(std::ldexp(static_cast<double>(x), -exponent));
      };
      double low = 0;
      double high = 0;
      for (const float value : values) {
        low = std::min(low, bin(value));
        high = std::max(high, bin(value));
      }
      if (high - low + 1 > Histogram::kBins) continue;
      for (const float value : values) ++bins[static_cast<int64_t>(bin(value))];
      return;
    }
  }
};

void check_equal(const Histogram& histogram, const Oracle& oracle) {
  REQUIRE(histogram.exponent() == oracle.exponent);
  REQUIRE(histogram.first_bin() == oracle.bins.begin()->first);
  REQUIRE(static_cast<int64_t>(histogram.counts().size()) ==
          oracle.bins.rbegin()->first - oracle.bins.begin()->first + 1);
  uint64_t total = 0;
  for (const auto& [bin, count] : oracle.bins) {
    if (histogram.count(bin) != count)
      FAIL("bin " << bin << ": " << histogram.count(bin) << ", not " << count);
    total += count;
  }
  REQUIRE(histogram.total() == total);
}

/// Values of one of several kinds, from all bits to post-ReLU activations.
std::vector<float> some_values(Rng& rng, size_t count) {
  const uint32_t kind = rng.below(7);
  const float scale = std::exp2(200 * (rng.uniform() - 0.5F));
  std::vector<float> values(count);
  for (float& value : values) {
    switch (kind) {
      case 0:
        do value = std::bit_cast<float>(rng.next());
        while (!std::isfinite(value));
        break;
      case 1: value = std::max(0.0F, scale * rng.normal()); break;
      case 2: value = scale * rng.normal(); break;
      case 3: value = std::bit_cast<float>(rng.next() & 0x80FFFFFFU); break;  // denormal and near
      case 4:
        value = static_cast<float>(static_cast<int32_t>(rng.below(4097)) - 2048);
        break;  // edges
      case 5: value = rng.below(50) == 0 ? 1e30F : (rng.below(2) == 0 ? -1e-30F : 1e-30F); break;
      default: value = scale; break;
    }
  }
  return values;
}

}  // namespace

TEST_CASE("scan against plain loops") {
  Rng rng(1);
  for (int trial = 0; trial < 2000; ++trial) {
    std::vector<float> values = some_values(rng, 1 + rng.below(100));
    for (float& value : values) {
      if (rng.below(4) == 0) value = rng.below(2) == 0 ? 0.0F : -0.0F;
    }
    const bool spoiled = trial % 3 == 0;
    if (spoiled) {
      const float bad[]{std::nanf(""), -std::nanf(""), INFINITY, -INFINITY};
      values[rng.below(static_cast<uint32_t>(values.size()))] = bad[rng.below(4)];
    }
    const Scan seen = scan(values);
    REQUIRE(seen.zeros == static_cast<uint64_t>(std::count(values.begin(), values.end(), 0.0F)));
    REQUIRE(seen.finite == !spoiled);
    if (spoiled) continue;
    REQUIRE(seen.range.low == *std::min_element(values.begin(), values.end()));
    REQUIRE(seen.range.high == *std::max_element(values.begin(), values.end()));
    REQUIRE(!(seen.range.low == 0 && std::signbit(seen.range.low)));
    REQUIRE(!(seen.range.high == 0 && std::signbit(seen.range.high)));
  }
}

TEST_CASE("grids worked by hand") {
  struct Case {
    std::vector<float> values;
    int exponent;
    int64_t first_bin;
    size_t bins;
  };
  const std::vector<Case> cases{
      {{0}, Histogram::kMinExponent, 0, 1},
      {{-0.0F}, Histogram::kMinExponent, 0, 1},
      {{1}, -10, 1024, 1},  // 2048 bins of 2^-11 would end just below 1
      {{0x1.fffffep-1F}, -11, 2047, 1},
      {{2047}, 0, 2047, 1},
      {{2048}, 1, 1024, 1},
      {{-2047}, 0, -2047, 1},  // with the bin of 0 that is 2048
      {{-2048}, 1, -1024, 1},
      {{-1024, 1023}, 0, -1024, 2048},
      {{-1024, 1024}, 1, -512, 1025},
      {{-1025, 1023}, 1, -513, 1025},
      {{100, 200}, -3, 800, 801},  // 0 counts as well: 200 / 2^-4 is 3200
      {{kLargest}, 117, 2047, 1},
      {{-kLargest}, 118, -1024, 1},
      {{-kLargest, kLargest}, 118, -1024, 2048},
      {{kLeast}, Histogram::kMinExponent, 0, 1},
      {{-kLeast}, Histogram::kMinExponent, -1, 1},
      {{-kLeast, kLargest}, 118, -1, 1025},  // bin -1 for all time, however coarse
      {{kLeast, -0.0F, kLargest}, 117, 0, 2048},
  };
  for (const Case& c : cases) {
    CAPTURE(c.values);
    Histogram histogram;
    histogram.observe(c.values);
    CHECK(histogram.exponent() == c.exponent);
    CHECK(histogram.first_bin() == c.first_bin);
    CHECK(histogram.counts().size() == c.bins);
    CHECK(histogram.counts().front() > 0);
    CHECK(histogram.counts().back() > 0);
  }
}

TEST_CASE("values at the edges of bins belong to the bin that begins there") {
  const Histogram histogram = of({-1024, -3, -2.5F, -2, 0, 1, std::nextafter(2.0F, 0.0F), 2, 1023});
  REQUIRE(histogram.exponent() == 0);
  CHECK(histogram.count(-3) == 2);
  CHECK(histogram.count(-2) == 1);
  CHECK(histogram.count(-1) == 0);
  CHECK(histogram.count(0) == 1);
  CHECK(histogram.count(1) == 2);
  CHECK(histogram.count(2) == 1);
  CHECK(histogram.count(4000) == 0);
}

TEST_CASE("any values: equal to the definition") {
  Rng rng(2);
  for (int trial = 0; trial < 300; ++trial) {
    const std::vector<float> values =
        some_values(rng, 1 + rng.below(trial % 10 == 0 ? 30000 : 300));
    Histogram histogram;
    histogram.observe(values);
    check_equal(histogram, Oracle(values));
  }
}

TEST_CASE("any order, any batches, any merging: the same to the bit") {
  Rng rng(3);
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<float> values;
    for (int part = 0; part < 3; ++part) {
      const auto more = some_values(rng, 1 + rng.below(2000));
      values.insert(values.end(), more.begin(), more.end());
    }
    const Oracle oracle(values);
    rng.shuffle(std::span(values));
    std::vector<Histogram> shards(1 + rng.below(5));
    for (size_t begin = 0; begin < values.size();) {
      const size_t count =
          std::min<size_t>(1 + rng.below(trial % 2 == 0 ? 20 : 3000), values.size() - begin);
      shards[rng.below(static_cast<uint32_t>(shards.size()))].observe(
          std::span(values).subspan(begin, count));
      begin += count;
    }
    while (shards.size() > 1) {
      const size_t into = rng.below(static_cast<uint32_t>(shards.size() - 1));
      shards[into].merge(shards.back());
      shards.pop_back();
    }
    check_equal(shards[0], oracle);
    const Histogram again =
        Histogram::from_parts(shards[0].exponent(), shards[0].first_bin(),
                              {shards[0].counts().begin(), shards[0].counts().end()});
    REQUIRE(again == shards[0]);
  }
}

TEST_CASE("more equal values than a 16-bit counter holds") {
  const std::vector<float> values(1000003, 0.75F);
  Histogram histogram;
  histogram.observe(values);
  CHECK(histogram.counts().size() == 1);
  CHECK(histogram.total() == 1000003);
}

TEST_CASE("nothing, and what is not finite") {
  Histogram histogram;
  histogram.observe({});
  CHECK(histogram.empty());
  CHECK(histogram == Histogram::from_parts(Histogram::kMinExponent, 0, {}));
  histogram.merge(of({1, 2}));
  CHECK(histogram == of({2, 1}));
  histogram.merge(Histogram{});
  CHECK(histogram == of({2, 1}));
  CHECK_THROWS_AS(of({1, NAN}), Error);
  CHECK_THROWS_AS(of({-INFINITY}), Error);
}

TEST_CASE("parts that no histogram has") {
  CHECK_NOTHROW(Histogram::from_parts(0, -1024, std::vector<uint64_t>(2048, 1)));
  CHECK_THROWS_AS(Histogram::from_parts(0, -1024, std::vector<uint64_t>(2049, 1)), Error);
  CHECK_THROWS_AS(Histogram::from_parts(0, 1, std::vector<uint64_t>(2048, 1)), Error);  // and 0
  CHECK_THROWS_AS(Histogram::from_parts(0, 1500, {0, 1}), Error);
  CHECK_THROWS_AS(Histogram::from_parts(0, 1500, {1, 0}), Error);
  CHECK_THROWS_AS(Histogram::from_parts(-127, 1500, {1}), Error);
  CHECK_THROWS_AS(Histogram::from_parts(119, 1500, {1}), Error);
  CHECK_THROWS_AS(Histogram::from_parts(0, 10, {1}), Error);  // 2^-7 would do
  CHECK_NOTHROW(Histogram::from_parts(0, 1024, {1}));
  CHECK_THROWS_AS(Histogram::from_parts(0, 1023, {1}), Error);
  CHECK_THROWS_AS(Histogram::from_parts(0, INT64_MAX, {1}), Error);
  CHECK_THROWS_AS(Histogram::from_parts(0, INT64_MIN, {1, 1}), Error);
  CHECK_THROWS_AS(Histogram::from_parts(0, 1500, {UINT64_MAX, 1}), Error);
  CHECK_THROWS_AS(Histogram::from_parts(0, 0, {}), Error);
}
