// SPDX-License-Identifier: Apache-2.0
// The divergence against numbers worked by hand and a plain loop over bins; the search against all
// pairs of edges; auto against every method that it chooses from.
#include "numerics/entropy.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "catch.h"
#include "numerics/range.h"
#include "numerics/scan.h"
#include "support/rng.h"

using namespace qtool;

namespace {

/// Bins of width 1 from `first` on.
struct Bins {
  int64_t first;
  std::vector<double> counts;
  Divergence divergence() const { return {1, first, counts}; }
  Range range() const {
    return {static_cast<float>(first),
            static_cast<float>(first + static_cast<int64_t>(counts.size()))};
  }
};

TensorStats of(const std::vector<float>& values) {
  const Scan seen = scan(values);
  TensorStats stats;
  stats.samples = 1;
  stats.elements = values.size();
  stats.zeros = seen.zeros;
  stats.range = seen.range;
  stats.sample_lows.add(static_cast<double>(seen.range.low));
  stats.sample_highs.add(static_cast<double>(seen.range.high));
  stats.histogram.observe(values);
  return stats;
}

QuantParams params_of(Range range, QuantType type, Scheme scheme) {
  return choose_params(std::span(&range, 1), type, scheme);
}

/// The definition, bin by bin; infinity where nothing is inside or the bins are too wide.
double plain_divergence(const Bins& bins, const QuantParams& params) {
  const std::vector<double>& counts = bins.counts;
  const double step = static_cast<double>(params.scale[0]);
  const int lowest = params.type.lowest() - params.zero_point[0];
  const int highest = params.type.highest() - params.zero_point[0];
  if (step < 1) return std::numeric_limits<double>::infinity();
  std::vector<int> codes;
  for (size_t i = 0; i < counts.size(); ++i) {
    const double middle = static_cast<double>(bins.first) + static_cast<double>(i) + 0.5;
    codes.push_back(static_cast<int>(std::floor(middle / step + 0.5)));
  }
  const auto inside = [&](size_t i) { return codes[i] >= lowest && codes[i] <= highest; };
  std::vector<double> p = counts;
  std::vector<double> q(counts.size());
  double kept = 0;
  double all = 0;
  std::optional<size_t> low;
  std::optional<size_t> high;
  for (size_t i = 0; i < counts.size(); ++i) {
    all += p[i];
    if (!inside(i) || counts[i] == 0) continue;
    kept += p[i];
    if (!low) low = i;
    high = i;
    double mass = 0;
    double filled = 0;
    for (size_t j = 0; j < counts.size(); ++j) {
      if (codes[j] != codes[i] || counts[j] == 0) continue;
      mass += counts[j];
      ++filled;
    }
    q[i] = mass / filled;
  }
  if (!low) return std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < counts.size(); ++i) {
    if (inside(i)) continue;
    p[codes[i] < lowest ? *low : *high] += p[i];
    p[i] = 0;
  }
  double sum = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    if (p[i] > 0) sum += p[i] / all * std::log(p[i] / all / (q[i] / kept));
  }
  return sum;
}

}  // namespace

TEST_CASE("divergence, worked by hand") {
  const Bins bins{0, {4, 4, 2, 2, 0, 1}};
  const Divergence divergence = bins.divergence();
  const QuantType u2{2, false, false};
  // To 6: scale 2; bins 1 and 2 share a code, mean 3; bin 3 shares one with the empty bin 4.
  const double wide = (4 * std::log(4.0 / 3) + 2 * std::log(2.0 / 3)) / 13;
  CHECK(*divergence(checked_params(u2, {2}, {0})) == Approx(wide).epsilon(1e-12));
  // To 3: scale 1, a code a bin; the 3 elements beyond join the 2 of the last bin.
  const double narrow =
      2 * (4.0 / 13) * std::log(10.0 / 13) + (5.0 / 13) * std::log((5.0 / 13) / (2.0 / 10));
  CHECK(*divergence(checked_params(u2, {1}, {0})) == Approx(narrow).epsilon(1e-12));
  // Codes finer than bins: the histogram cannot tell.
  CHECK_FALSE(divergence(checked_params(u2, {0.5F}, {0})));
}

TEST_CASE("entropy finds what brute force over all edges finds") {
  Rng rng(31);
  int clipped = 0;
  for (int trial = 0; trial < 60; ++trial) {
    const int below = static_cast<int>(rng.below(3)) * static_cast<int>(4 + rng.below(14));
    const int above = below == 0 || rng.below(3) > 0 ? static_cast<int>(8 + rng.below(40)) : 0;
    std::vector<double> counts;
    for (int bin = -below; bin < above; ++bin) {
      const double bell = 300 * std::exp(-0.05 * bin * bin);
      counts.push_back(std::floor(bell) + rng.below(6) / 4);
    }
    counts.front() += 1;
    counts.back() += 1;
    const Bins bins{-below, counts};
    const QuantType type{static_cast<int>(2 + rng.below(3)), rng.below(2) == 1, false};
    const auto scheme = static_cast<Scheme>(rng.below(3));
    const Range chosen = least_divergence(bins.divergence(), bins.range(), type, scheme);
    const double found = plain_divergence(bins, params_of(chosen, type, scheme));

    double best = std::numeric_limits<double>::infinity();
    for (int low = below > 0 ? 1 : 0; low <= below; ++low) {
      for (int high = above > 0 ? 1 : 0; high <= above; ++high) {
        const int end = std::max(low, high);
        const bool both = scheme == Scheme::asymmetric ||
                          (low == std::min(end, below) && high == std::min(end, above));
        if (!both) continue;
        const Range range{static_cast<float>(-low), static_cast<float>(high)};
        best = std::min(best, plain_divergence(bins, params_of(range, type, scheme)));
      }
    }
    CAPTURE(trial, below, above, to_string(type), static_cast<int>(scheme), chosen.low,
            chosen.high);
    if (std::isinf(best)) {
      CHECK(chosen == Range{static_cast<float>(-below), static_cast<float>(above)});
    } else {
      CHECK(found == Approx(best).margin(1e-12));
    }
    if (chosen.high < static_cast<float>(above)) ++clipped;
  }
  CHECK(clipped > 10);
}

TEST_CASE("entropy: thousands of thresholds, not one, and outliers are cut") {
  Rng rng(32);
  std::vector<float> values(100000);
  for (float& value : values) value = rng.normal();
  values[7] = 30;
  const TensorStats stats = of(values);
  const QuantType s8{8, true, true};
  const Range range = select_range(stats, s8, Scheme::symmetric, Entropy{});
  CHECK(range.high > 2.5F);
  CHECK(range.high < 6);
  // A Relu's zeros, however many, change nothing.
  for (float& value : values) value = std::max(value, 0.0F);
  const QuantType u8{8, false, false};
  const Range relu = select_range(of(values), u8, Scheme::asymmetric, Entropy{});
  values.insert(values.end(), 400000, 0.0F);
  CHECK(select_range(of(values), u8, Scheme::asymmetric, Entropy{}) == relu);
  CHECK(relu.low == 0);
  CHECK(relu.high < 8);
}

TEST_CASE("entropy and auto: edges") {
  const QuantType u8{8, false, false};
  for (const RangeMethod& method : {RangeMethod(Entropy{}), RangeMethod(Auto{})}) {
    for (const Scheme scheme :
         {Scheme::asymmetric, Scheme::symmetric, Scheme::symmetric_power_of_two}) {
      CHECK(select_range(of({0, 0}), u8, scheme, method) == Range{0, 0});
      CHECK(select_range(of({3, 3, 3}), u8, scheme, method).high > 2.9F);
      CHECK(select_range(of({-3}), u8, scheme, method).low < -2.9F);
      CHECK(select_range(of({1e-42F, -1e-42F}), u8, scheme, method).high > 0);
      const float most = std::numeric_limits<float>::max();
      CHECK(select_range(of({most, -most, 1}), u8, scheme, method).high > 0.9F * most);
      CHECK(select_range(of({1, 2, 3}), {16, false, false}, scheme, method).high > 2.9F);
    }
    CHECK_THROWS_AS(select_range(TensorStats{}, u8, Scheme::asymmetric, method), Error);
  }
}

TEST_CASE("auto: no method has a smaller expected error, and it says which it took") {
  Rng rng(33);
  std::vector<std::string> taken;
  for (int trial = 0; trial < 30; ++trial) {
    std::vector<float> values(3000);
    const uint32_t kind = rng.below(4);
    for (float& value : values) {
      value = kind == 0 ? rng.uniform() : rng.normal();
      if (kind == 2) value = value * value * value;
      if (kind == 3) value = std::max(value, 0.0F);
    }
    const TensorStats stats = of(values);
    const QuantType type{static_cast<int>(4 + rng.below(5)), rng.below(2) == 1, false};
    const auto scheme = static_cast<Scheme>(rng.below(3));
    const auto error = [&](const RangeMethod& method) {
      const Range range = select_range(stats, type, scheme, method);
      return expected_squared_error(stats, params_of(range, type, scheme));
    };
    const RangeMethod method = settled_method(stats, type, scheme, Auto{});
    CHECK(error(Auto{}) == error(method));
    for (const char* word :
         {"minmax", "mean-minmax", "percentile:99.99", "percentile", "entropy", "mse"}) {
      CAPTURE(trial, kind, word, to_string(method));
      CHECK(error(method) <= error(parse_range_method(word)));
    }
    taken.push_back(to_string(method));
  }
  std::ranges::sort(taken);
  CHECK(std::unique(taken.begin(), taken.end()) - taken.begin() >= 2);
}

TEST_CASE("entropy is fast enough for hundreds of tensors") {
  Rng rng(34);
  std::vector<float> values(200000);
  for (float& value : values) value = 2 * rng.uniform() - 1;
  const TensorStats stats = of(values);
  for (const Scheme scheme : {Scheme::asymmetric, Scheme::symmetric}) {
    const auto start = std::chrono::steady_clock::now();
    select_range(stats, {8, false, false}, scheme, Entropy{});
    const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
    std::cout << "entropy, scheme " << static_cast<int>(scheme) << ": " << time.count() << " ms\n";
    CHECK(time.count() < 500);
  }
}
