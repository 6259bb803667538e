// SPDX-License-Identifier: Apache-2.0
// Range methods against hand-worked tensors, the elements themselves, and brute force.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "catch.h"
#include "numerics/range.h"
#include "numerics/scan.h"
#include "support/rng.h"

using namespace qtool;

namespace {

const QuantType kU8{8, false, false};
const QuantType kS8{8, true, true};

void feed(TensorStats& stats, const std::vector<float>& sample) {
  const Scan seen = scan(sample);
  TensorStats one;
  one.samples = 1;
  one.elements = sample.size();
  one.zeros = seen.zeros;
  one.range = seen.range;
  one.sample_lows.add(static_cast<double>(seen.range.low));
  one.sample_highs.add(static_cast<double>(seen.range.high));
  one.histogram.observe(sample);
  stats.merge(one);
}

TensorStats of(const std::vector<float>& values) {
  TensorStats stats;
  feed(stats, values);
  return stats;
}

/// n values at the middles of n equally likely slices: a sample without chance.
std::vector<float> quantiles(int n, const std::function<double(double)>& inverse) {
  std::vector<float> values;
  for (int i = 0; i < n; ++i) values.push_back(static_cast<float>(inverse((i + 0.5) / n)));
  return values;
}

double laplace(double p) { return p < 0.5 ? std::log(2 * p) : -std::log(2 * (1 - p)); }

/// The standard normal, by halving.
double gauss(double p) {
  double low = -9;
  double high = 9;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (0.5 * std::erfc(-middle / std::sqrt(2.0)) < p ? low : high) = middle;
  }
  return low;
}

double true_error(const std::vector<float>& values, const QuantParams& params) {
  double total = 0;
  for (const float x : values) {
    const int32_t code = quantize_value(x, params.scale[0], params.zero_point[0],
                                        params.type.lowest(), params.type.highest());
    const double error = static_cast<double>(x) - static_cast<double>(dequantize_value(
                                                      code, params.scale[0], params.zero_point[0]));
    total += error * error;
  }
  return total;
}

QuantParams params_of(Range range, QuantType type, Scheme scheme) {
  return choose_params(std::span(&range, 1), type, scheme);
}

Range select(const TensorStats& stats, QuantType type, Scheme scheme, const RangeMethod& method) {
  const Range range = select_range(stats, type, scheme, method);
  CHECK(range.low <= 0);
  CHECK(range.high >= 0);
  CHECK(range.low >= std::min(stats.range.low, 0.0F));
  CHECK(range.high <= std::max(stats.range.high, 0.0F));
  return range;
}

}  // namespace

TEST_CASE("names of range methods") {
  for (const char* text :
       {"minmax", "mean-minmax", "percentile:99.99", "percentile:100", "mse", "entropy", "auto"}) {
    CHECK(to_string(parse_range_method(text)) == text);
  }
  CHECK(parse_range_method("percentile") == RangeMethod(Percentile{99.999}));
  CHECK(parse_range_method("moving-average") == RangeMethod(MeanMinMax{}));
  for (const char* text : {"", "max", "percentile:", "percentile:50", "percentile:101",
                           "percentile:nan", "percentile:99x", "percentile:-99", "mse:3", "MSE"}) {
    INFO(text);
    CHECK_THROWS_AS(parse_range_method(text), Error);
  }
  try {
    parse_range_method("minmx");
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.kind() == Error::Kind::usage);
    CHECK(error.advice().find("Did you mean \"minmax\"") != std::string::npos);
  }
}

TEST_CASE("minmax and mean-minmax") {
  TensorStats stats;
  feed(stats, {-1, 0.5F, 4});
  feed(stats, {-2, 1});
  feed(stats, {3, 10});
  CHECK(select(stats, kU8, Scheme::asymmetric, MinMax{}) == Range{-2, 10});
  CHECK(select(stats, kU8, Scheme::asymmetric, MeanMinMax{}) == Range{0, 5});  // (-1 - 2 + 3) / 3
  const TensorStats high = of({2, 3});
  CHECK(select(high, kU8, Scheme::asymmetric, MinMax{}) == Range{0, 3});
  CHECK(select(high, kU8, Scheme::asymmetric, MeanMinMax{}) == Range{0, 3});
  const TensorStats zero = of({0, -0.0F});
  for (const char* method : {"minmax", "mean-minmax", "percentile", "mse"}) {
    CHECK(select(zero, kU8, Scheme::asymmetric, parse_range_method(method)) == Range{0, 0});
    CHECK_THROWS_AS(
        select_range(TensorStats{}, kU8, Scheme::asymmetric, parse_range_method(method)), Error);
  }
}

TEST_CASE("percentile of evenly spread values") {
  // 1000 values in each of the bins [i, i + 1) for i from -1000 to 1000.
  std::vector<float> values;
  for (int i = 0; i < 2000000; ++i) values.push_back(-1000 + (static_cast<float>(i) + 0.5F) / 1000);
  values.push_back(-1000);
  values.push_back(1000);
  const TensorStats stats = of(values);
  const Range two = select(stats, kU8, Scheme::asymmetric, Percentile{99});
  CHECK(two.low == Approx(-990).margin(0.01));  // a half per cent on each side
  CHECK(two.high == Approx(990).margin(0.01));
  const Range same = select(stats, kS8, Scheme::symmetric, Percentile{99});
  CHECK(same.low == Approx(-990).margin(0.01));
  CHECK(same.high == Approx(990).margin(0.01));
  CHECK(select(stats, kU8, Scheme::asymmetric, Percentile{100}) == Range{-1000, 1000});

  std::vector<float> positive(values.begin() + 1000000, values.begin() + 2000000);
  CHECK(select(of(positive), kU8, Scheme::asymmetric, Percentile{99}).high ==
        Approx(990).margin(0.02));
  for (float& value : positive) value = -value;
  const Range negative = select(of(positive), kU8, Scheme::asymmetric, Percentile{99});
  CHECK(negative.low == Approx(-990).margin(0.02));
  CHECK(negative.high == 0);
}

TEST_CASE("percentile: the share that lies outside, counted on the elements") {
  Rng rng(8);
  std::vector<float> values;
  for (int i = 0; i < 400000; ++i) {
    const float z = rng.normal();
    values.push_back(z > 0 ? 3 * z * z : z);  // skewed
  }
  const TensorStats stats = of(values);
  const auto outside = [&](Range range) {
    return static_cast<double>(
               std::count_if(values.begin(), values.end(),
                             [&](float x) { return x < range.low || x > range.high; })) /
           static_cast<double>(values.size());
  };
  for (const double p : {95.0, 99.0, 99.9, 99.99}) {
    for (const Scheme scheme : {Scheme::asymmetric, Scheme::symmetric}) {
      const Range range = select(stats, kU8, scheme, Percentile{p});
      CHECK(100 * (1 - outside(range)) == Approx(p).margin((100 - p) * 0.05 + 0.001));
    }
  }
  for (float& value : values) value = std::max(value, 0.0F);
  const Range relu = select(of(values), kU8, Scheme::asymmetric, Percentile{99});
  CHECK(relu.low == 0);
  CHECK(100 * (1 - outside(relu)) == Approx(99).margin(0.05));
}

TEST_CASE("percentile with a crowd at one value") {
  std::vector<float> clipped(1000, 6.0F);  // a ReLU6
  clipped.resize(1010, 1.0F);
  CHECK(select(of(clipped), kU8, Scheme::asymmetric, Percentile{90}).high == 6);
  std::vector<float> sparse(100000, 0.0F);
  sparse[7] = 5;
  sparse[8] = 4;
  // 99.9 per cent are zeros: that leaves nothing but 0, so the full range it is.
  CHECK(select(of(sparse), kU8, Scheme::asymmetric, Percentile{99.9}) == Range{0, 5});
  sparse[9] = -3;
  CHECK(select(of(sparse), kU8, Scheme::asymmetric, Percentile{99.9}) == Range{-3, 5});
}

TEST_CASE("expected error: elements spread evenly, within and beyond the grid, by hand") {
  // 64000 values evenly in [0, 64), 1000 to a unit; codes 0 to 7 with step 4 hold 0 to 28.
  std::vector<float> values;
  for (int i = 0; i < 64000; ++i) values.push_back((static_cast<float>(i) + 0.5F) / 1000);
  const QuantParams params = checked_params({3, false, false}, {4}, {0});
  // Up to 30 every error is even in [-2, 2] (0 to 2 in the first half cell), 16 / 12 on average;
  // beyond, the distance to 28: the integral of u^2 from 2 to 36.
  const double expected = 1000 * (30 * 16.0 / 12 + (36.0 * 36 * 36 - 8) / 3);
  // The statistics end at the highest value, 63.9995.
  CHECK(expected_squared_error(of(values), params) == Approx(expected).epsilon(2e-5));
}

TEST_CASE("expected error against the elements, for coarse and fine grids") {
  Rng rng(9);
  for (int trial = 0; trial < 60; ++trial) {
    std::vector<float> values(100000);
    const uint32_t kind = rng.below(4);
    for (float& value : values) {
      value = rng.normal();
      if (kind == 1) value = std::max(value, 0.0F);
      if (kind == 2) value = std::min(std::max(value, 0.0F), 1.5F);  // ReLU6-like
      if (kind == 3) value = 3 + std::fabs(value);
    }
    const TensorStats stats = of(values);
    const QuantType type{static_cast<int>(2 + rng.below(9)), rng.below(2) == 1, false};
    const float shrink = 0.3F + 0.7F * rng.uniform();
    const auto scheme = static_cast<Scheme>(rng.below(3));
    const QuantParams params =
        params_of({stats.range.low * shrink, stats.range.high * shrink}, type, scheme);
    CAPTURE(kind, to_string(type), shrink, static_cast<int>(scheme));
    // 1.5 percent: chance in where the elements lie inside of their bins.
    CHECK(expected_squared_error(stats, params) ==
          Approx(true_error(values, params)).epsilon(0.015));
  }
}

TEST_CASE("mse finds what brute force finds") {
  Rng rng(10);
  for (int trial = 0; trial < 40; ++trial) {
    std::vector<float> values(500);
    const uint32_t kind = rng.below(5);
    for (float& value : values) {
      value = rng.normal();
      if (kind == 1) value = std::max(value, 0.0F);
      if (kind == 2) value = value < 0 ? 0.1F * value : value * value * value;
      if (kind == 3) value = std::min(value, 0.0F);
    }
    if (kind == 4) values[3] = 40;
    const TensorStats stats = of(values);
    const QuantType type{static_cast<int>(2 + rng.below(7)), rng.below(2) == 1, false};
    const auto scheme = static_cast<Scheme>(rng.below(3));
    const Range chosen = select(stats, type, scheme, MeanSquare{});
    const double found = expected_squared_error(stats, params_of(chosen, type, scheme));

    // All pairs of bounds on an even grid of 60, which the search does not use.
    double best = std::numeric_limits<double>::infinity();
    const float low = std::min(stats.range.low, 0.0F);
    const float high = std::max(stats.range.high, 0.0F);
    for (int i = low < 0 ? 1 : 60; i <= 60; ++i) {
      for (int j = high > 0 ? 1 : 60; j <= 60; ++j) {
        const Range range{low * static_cast<float>(i) / 60, high * static_cast<float>(j) / 60};
        best = std::min(best, expected_squared_error(stats, params_of(range, type, scheme)));
      }
    }
    CAPTURE(kind, to_string(type), static_cast<int>(scheme), chosen.low, chosen.high);
    CHECK(found <= 1.02 * best);
    CHECK(found <= expected_squared_error(stats, params_of(stats.range, type, scheme)));
  }
}

TEST_CASE("mse clips known distributions where theory says") {
  // Banner et al. 2019, table of the best clipping in units of b and sigma for 2 to 8 bits; they
  // count 2^bits cells, so that grids with a code at 0 differ by some percent where bits are few.
  struct Case {
    int bits;
    double laplace;
    double gauss;
  };
  const std::vector<float> from_laplace = quantiles(1000000, laplace);
  const std::vector<float> from_gauss = quantiles(300000, gauss);
  const TensorStats laplace_stats = of(from_laplace);
  const TensorStats gauss_stats = of(from_gauss);
  for (const auto& [bits, b, sigma] :
       {Case{4, 5.03, 2.55}, Case{6, 7.41, 3.28}, Case{8, 9.89, 3.92}}) {
    for (const Scheme scheme : {Scheme::symmetric, Scheme::asymmetric}) {
      const QuantType type{bits, true, scheme == Scheme::symmetric};
      CAPTURE(bits, static_cast<int>(scheme));
      const Range of_laplace = select(laplace_stats, type, scheme, MeanSquare{});
      CHECK(of_laplace.high == Approx(b).epsilon(0.08));
      CHECK(of_laplace.low == Approx(-b).epsilon(0.08));
      const Range of_gauss = select(gauss_stats, type, scheme, MeanSquare{});
      CHECK(of_gauss.high == Approx(sigma).epsilon(0.08));
      CHECK(of_gauss.low == Approx(-sigma).epsilon(0.08));
    }
  }
  // One-sided: only the high end moves.
  std::vector<float> relu = from_laplace;
  for (float& value : relu) value = std::max(value, 0.0F);
  const Range range = select(of(relu), {4, false, false}, Scheme::asymmetric, MeanSquare{});
  CHECK(range.low == 0);
  CHECK(range.high > 5.03F);  // twice as many codes for the same side
  CHECK(range.high < 7.0F);
}

TEST_CASE("mse: zeros, however many, change nothing") {
  std::vector<float> values = quantiles(20000, laplace);
  for (float& value : values) value = std::fabs(value);
  const Range without = select(of(values), {4, false, false}, Scheme::asymmetric, MeanSquare{});
  values.insert(values.end(), 3000000, 0.0F);
  const Range with = select(of(values), {4, false, false}, Scheme::asymmetric, MeanSquare{});
  CHECK(with == without);
}

TEST_CASE("mse never chooses a range absurdly small") {
  const Scheme schemes[]{Scheme::asymmetric, Scheme::symmetric, Scheme::symmetric_power_of_two};
  for (const Scheme scheme : schemes) {
    // A million small ones and one huge one.
    std::vector<float> values(1000000, 1e-6F);
    values[5] = 1e6F;
    CHECK(select(of(values), kU8, scheme, MeanSquare{}).high >= 1e6F / 256);
    CHECK(select(of({7}), kU8, scheme, MeanSquare{}).high >= 6.9F);
    CHECK(select(of({-7}), kU8, scheme, MeanSquare{}).low <= -6.9F);
    CHECK(select(of({-7, 7}), {2, true, true}, scheme, MeanSquare{}).high >= 6.5F);
    CHECK(select(of({1e-38F, -1e-38F, 1e-45F}), kU8, scheme, MeanSquare{}).high > 0);
    const float largest = std::numeric_limits<float>::max();
    const Range wide = select(of({-largest, largest, 1e-30F}), kS8, scheme, MeanSquare{});
    CHECK(wide.high > 0.9F * largest);
  }
}

TEST_CASE("mse is fast, also with all bins filled and both bounds to search") {
  Rng rng(12);
  std::vector<float> values(1000000);
  for (float& value : values) value = 2 * rng.uniform() - 1;
  const TensorStats stats = of(values);
  REQUIRE(stats.histogram.counts().size() == 2048);
  for (const Scheme scheme : {Scheme::asymmetric, Scheme::symmetric}) {
    double least = 1e9;
    for (int i = 0; i < 5; ++i) {
      const auto start = std::chrono::steady_clock::now();
      select_range(stats, kU8, scheme, MeanSquare{});
      const std::chrono::duration<double, std::milli> time =
          std::chrono::steady_clock::now() - start;
      least = std::min(least, time.count());
    }
    std::cout << "select_range mse, 2048 bins, scheme " << static_cast<int>(scheme) << ": " << least
              << " ms\n";
    CHECK(least < 50);  // it is far less; sanitizers and busy machines are slow
  }
}
