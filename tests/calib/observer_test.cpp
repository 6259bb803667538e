// SPDX-License-Identifier: Apache-2.0
// Observed statistics against plain loops over all samples at once.
#include "calib/observer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "catch.h"
#include "support/rng.h"

using namespace qtool;

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Sample {
  int64_t channels = 0;
  int64_t pixels = 0;
  std::vector<float> data;  // channels first
};

Sample random_sample(Rng& rng, int64_t channels, int64_t pixels) {
  Sample sample{channels, pixels, {}};
  const float spread = std::exp2(20 * (rng.uniform() - 0.5F));
  for (int64_t i = 0; i < channels * pixels; ++i) {
    const uint32_t kind = rng.below(100);
    float value = spread * rng.normal();
    if (kind < 30) value = kind % 2 == 0 ? 0.0F : -0.0F;
    if (kind == 30) value = 0x1p-140F;
    sample.data.push_back(value);
  }
  return sample;
}

std::vector<float> channels_last(const Sample& sample) {
  std::vector<float> result(sample.data.size());
  for (size_t i = 0; i < result.size(); ++i) {
    const auto pixels = static_cast<size_t>(sample.pixels);
    result[i % pixels * static_cast<size_t>(sample.channels) + i / pixels] = sample.data[i];
  }
  return result;
}

/// Every field worked out plainly, the histogram by its definition.
void check_against_loops(const TensorStats& stats, const std::vector<Sample>& samples) {
  TensorStats expected;
  std::vector<double> values;
  double low_sum = 0;  // exact enough for a comparison to nine digits
  double high_sum = 0;
  for (const Sample& sample : samples) {
    std::vector<float> finite;
    for (const float value : sample.data) {
      expected.nans += std::isnan(value) ? 1U : 0U;
      expected.infinities += std::isinf(value) ? 1U : 0U;
      expected.zeros += value == 0 ? 1U : 0U;
      if (std::isfinite(value)) finite.push_back(value);
    }
    if (finite.empty()) continue;
    ++expected.samples;
    expected.elements += finite.size();
    low_sum += static_cast<double>(*std::min_element(finite.begin(), finite.end()));
    high_sum += static_cast<double>(*std::max_element(finite.begin(), finite.end()));
    for (const float value : finite) values.push_back(static_cast<double>(value));
  }
  CHECK(stats.samples == expected.samples);
  CHECK(stats.elements == expected.elements);
  CHECK(stats.zeros == expected.zeros);
  CHECK(stats.nans == expected.nans);
  CHECK(stats.infinities == expected.infinities);
  CHECK(stats.sample_lows.value() == Approx(low_sum).epsilon(1e-9));
  CHECK(stats.sample_highs.value() == Approx(high_sum).epsilon(1e-9));
  if (values.empty()) return;
  CHECK(static_cast<double>(stats.range.low) == *std::min_element(values.begin(), values.end()));
  CHECK(static_cast<double>(stats.range.high) == *std::max_element(values.begin(), values.end()));
  std::map<int64_t, uint64_t> bins;
  for (const double value : values) {
    ++bins[static_cast<int64_t>(std::floor(std::ldexp(value, -stats.histogram.exponent())))];
  }
  for (const auto& [bin, count] : bins) CHECK(stats.histogram.count(bin) == count);
  CHECK(stats.histogram.total() == values.size());
  if (!stats.channel_axis) return;
  REQUIRE(stats.channel_ranges.size() == static_cast<size_t>(samples[0].channels));
  for (size_t c = 0; c < stats.channel_ranges.size(); ++c) {
    Range range;
    for (const Sample& sample : samples) {
      const auto pixels = static_cast<size_t>(sample.pixels);
      for (size_t p = 0; p < pixels; ++p) {
        const float value = sample.data[c * pixels + p];
        if (std::isfinite(value) && value < range.low) range.low = value;
        if (std::isfinite(value) && value > range.high) range.high = value;
      }
    }
    CHECK(stats.channel_ranges[c] == range);
  }
}

}  // namespace

TEST_CASE("both memory layouts, any order, any sharding: the same statistics to the bit") {
  Rng rng(21);
  for (const int64_t channels : {1, 3, 16, 40, 64, 16385}) {
    std::vector<Sample> samples;
    for (int s = 0; s < 12; ++s) samples.push_back(random_sample(rng, channels, 1 + rng.below(40)));
    samples.push_back(random_sample(rng, channels, 0));
    samples[3].data[0] = kNan;
    samples[5].data.back() = -kInfinity;
    for (float& value : samples[7].data) value = kNan;

    Observer first(1);
    Observer last(1);
    for (const Sample& sample : samples) {
      first.observe_sample(sample.data.data(), 1, channels, sample.pixels);
      const auto transposed = channels_last(sample);
      last.observe_sample(transposed.data(), sample.pixels, channels, 1);
    }
    CHECK(first.stats() == last.stats());
    CHECK(first.first_non_finite() == 3);
    CHECK(first.samples_seen() == 13);
    check_against_loops(first.stats(), samples);

    for (int trial = 0; trial < 5; ++trial) {
      rng.shuffle(std::span(samples));
      std::vector<Observer> shards(4, Observer(1));
      for (const Sample& sample : samples) {
        shards[rng.below(4)].observe_sample(sample.data.data(), 1, channels, sample.pixels);
      }
      Observer merged(1);
      for (const Observer& shard : shards) merged.merge(shard);
      CHECK(merged.stats() == first.stats());
      CHECK(merged.samples_seen() == 13);
    }
  }
}

TEST_CASE("a sample longer than the blocks it is cut into") {
  Rng rng(5);
  const Sample sample = random_sample(rng, 7, 30011);
  Observer observer(0);
  observer.observe_sample(sample.data.data(), 1, 7, 30011);
  check_against_loops(observer.stats(), {sample});
}

TEST_CASE("without channels the shape does not matter") {
  Rng rng(6);
  const Sample sample = random_sample(rng, 6, 50);
  Observer a;
  Observer b;
  a.observe_sample(sample.data.data(), 1, 6, 50);
  b.observe_sample(sample.data.data(), 25, 1, 12);
  CHECK(a.stats() == b.stats());
  CHECK(a.stats().channel_ranges.empty());
}

TEST_CASE("what is not finite") {
  Observer observer;
  const std::vector<float> good{1, 2, 0};
  const std::vector<float> bad{kNan, kInfinity, -kInfinity, 5, -0.0F};
  const std::vector<float> worst{kNan};
  observer.observe_sample(nullptr, 0, 3, 4);
  observer.observe_sample(good.data(), 1, 1, 3);
  CHECK(!observer.first_non_finite());
  observer.observe_sample(bad.data(), 1, 1, 5);
  observer.observe_sample(worst.data(), 1, 1, 1);
  CHECK(observer.first_non_finite() == 2);
  const TensorStats& stats = observer.stats();
  CHECK(stats.nans == 2);
  CHECK(stats.infinities == 2);
  CHECK(stats.elements == 5);
  CHECK(stats.zeros == 2);
  CHECK(stats.samples == 2);
  CHECK(stats.range == Range{0, 5});
  CHECK(!std::signbit(stats.range.low));
  CHECK(stats.sample_highs.value() == 7);

  Observer before;
  before.observe_sample(good.data(), 1, 1, 3);
  before.merge(observer);
  CHECK(before.first_non_finite() == 3);
}

TEST_CASE("only negative values, and a range away from zero") {
  Observer observer;
  const std::vector<float> values{-3, -2};
  observer.observe_sample(values.data(), 1, 1, 2);
  CHECK(observer.stats().range == Range{-3, -2});
}

TEST_CASE("unlike channels are refused with advice") {
  Observer observer(1);
  const std::vector<float> values(12, 1.0F);
  observer.observe_sample(values.data(), 1, 3, 4);
  CHECK_THROWS_AS(observer.observe_sample(values.data(), 1, 4, 3), Error);
  Observer other(1);
  other.observe_sample(values.data(), 1, 4, 3);
  CHECK_THROWS_AS(observer.merge(other), Error);
  CHECK_THROWS_AS(observer.merge(Observer(2)), Error);
  observer.merge(Observer(1));
  CHECK(observer.stats().samples == 1);
}
