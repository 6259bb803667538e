// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <limits>

#include "catch.h"
#include "numerics/range.h"
#include "support/parallel.h"
#include "support/rng.h"

using namespace qtool;

namespace {

double error_on(const std::vector<float>& values, Range range, QuantType type, Scheme scheme) {
  const QuantParams params = choose_params(std::span(&range, 1), type, scheme);
  double total = 0;
  for (const float x : values) {
    const int32_t code =
        quantize_value(x, params.scale[0], params.zero_point[0], type.lowest(), type.highest());
    const double error = static_cast<double>(x) - static_cast<double>(dequantize_value(
                                                      code, params.scale[0], params.zero_point[0]));
    total += error * error;
  }
  return total;
}

/// Elements of channel c of the axis, by coordinates.
std::vector<float> channel(const Tensor& tensor, int axis, int64_t c) {
  int64_t inner = 1;
  for (size_t d = static_cast<size_t>(axis) + 1; d < tensor.shape().size(); ++d)
    inner *= tensor.shape()[d];
  std::vector<float> values;
  for (int64_t i = 0; i < tensor.size(); ++i) {
    if (i / inner % tensor.shape()[static_cast<size_t>(axis)] == c) {
      values.push_back(tensor.data<float>()[static_cast<size_t>(i)]);
    }
  }
  return values;
}

Tensor random_weights(const Shape& shape, Rng& rng) {
  Tensor tensor(DType::float32, shape);
  for (float& value : tensor.data<float>()) {
    const float z = rng.normal();
    value = z * z * z;  // long tails
  }
  return tensor;
}

}  // namespace

TEST_CASE("weight ranges per tensor, channel and block") {
  const Tensor weights = Tensor::of<float>({2, 4}, {1, -2, 3, -4, -5, -6, -7, -0.0F});
  CHECK(weight_ranges(weights, {}) == std::vector<Range>{{-7, 3}});
  CHECK(weight_ranges(weights, 0) == std::vector<Range>{{-4, 3}, {-7, 0}});
  CHECK(weight_ranges(weights, 1) == std::vector<Range>{{-5, 1}, {-6, 0}, {-7, 3}, {-4, 0}});
  CHECK(weight_ranges(weights, 1, 2) == std::vector<Range>{{-2, 1}, {-4, 3}, {-6, 0}, {-7, 0}});
  CHECK(weight_ranges(weights, 1, 3) == std::vector<Range>{{-2, 3}, {-4, 0}, {-7, 0}, {0, 0}});
  CHECK(weight_ranges(weights, 0, 2) == weight_ranges(weights, 1));
  CHECK(weight_ranges(Tensor(DType::float32, {3, 0}), 0) == std::vector<Range>(3));
  CHECK(weight_ranges(Tensor(DType::float32, {0, 3}), 0).empty());
  CHECK(weight_ranges(Tensor(DType::float32, {0}), {}) == std::vector<Range>(1));
  CHECK(weight_ranges(Tensor::scalar(2.0F), {}) == std::vector<Range>{{0, 2}});
}

TEST_CASE("blocked ranges fit blocked quantization") {
  Rng rng(31);
  const Tensor weights = random_weights({6, 10, 3}, rng);
  const QuantType type{4, true, false};
  const auto ranges = weight_ranges(weights, 1, 4);
  const QuantParams params = choose_params(ranges, type, Scheme::asymmetric, 1, 4);
  const Tensor fake = fake_quantize(weights, params);
  const float widest = *std::max_element(params.scale.begin(), params.scale.end());
  for (size_t i = 0; i < 180; ++i) {
    CHECK(std::fabs(fake.data<float>()[i] - weights.data<float>()[i]) <= widest);
  }
}

TEST_CASE("weights that are not finite are named") {
  Tensor weights(DType::float32, {4, 5});
  weights.data<float>()[13] = std::numeric_limits<float>::quiet_NaN();
  weights.data<float>()[17] = -std::numeric_limits<float>::infinity();
  for (const std::optional<int> axis :
       {std::optional<int>(), std::optional<int>(0), std::optional<int>(1)}) {
    try {
      weight_ranges(weights, axis);
      FAIL("no error");
    } catch (const Error& error) {
      CHECK(error.kind() == Error::Kind::input);
      CHECK(error.message().find("element 13") != std::string::npos);
    }
    CHECK_THROWS_AS(mse_weight_ranges(weights, {}, Scheme::symmetric, axis), Error);
  }
}

TEST_CASE("mse weight ranges against brute force on the elements") {
  Rng rng(32);
  const Tensor weights = random_weights({5, 7, 40}, rng);
  for (const int bits : {2, 3, 4, 8}) {
    for (const Scheme scheme :
         {Scheme::symmetric, Scheme::symmetric_power_of_two, Scheme::asymmetric}) {
      const QuantType type{bits, true, scheme != Scheme::asymmetric};
      for (const int axis : {0, 1}) {
        const auto full = weight_ranges(weights, axis);
        const auto chosen = mse_weight_ranges(weights, type, scheme, axis);
        REQUIRE(chosen.size() == full.size());
        for (size_t c = 0; c < chosen.size(); ++c) {
          const auto values = channel(weights, axis, static_cast<int64_t>(c));
          double best = error_on(values, full[c], type, scheme);
          CHECK(error_on(values, chosen[c], type, scheme) <= best);
          CHECK(chosen[c].high <= full[c].high);
          CHECK(chosen[c].low >= full[c].low);
          // One factor for both bounds, evenly spaced, not as the search spaces them.
          for (int i = 10; i <= 80; ++i) {
            const float part = static_cast<float>(i) / 80;
            const float top = std::max(-full[c].low, full[c].high) * part;
            const Range range = scheme == Scheme::asymmetric
                                    ? Range{full[c].low * part, full[c].high * part}
                                    : Range{-top, top};
            best = std::min(best, error_on(values, range, type, scheme));
          }
          CAPTURE(bits, static_cast<int>(scheme), axis, c, chosen[c].low, chosen[c].high);
          CHECK(error_on(values, chosen[c], type, scheme) <= 1.02 * best);
        }
      }
    }
  }
}

TEST_CASE("channels of zeros, single elements, values that are on the grid") {
  const QuantType s8{8, true, true};
  const Tensor weights = Tensor::of<float>({3, 2}, {0, 0, 0.5F, -0.5F, 127, -127});
  const auto ranges = mse_weight_ranges(weights, s8, Scheme::symmetric, 0);
  CHECK(ranges == std::vector<Range>{{0, 0}, {-0.5F, 0.5F}, {-127, 127}});
  const QuantParams params = choose_params(ranges, s8, Scheme::symmetric, 0);
  CHECK(params.scale[0] == 1);
  CHECK(fake_quantize(weights, params).equals(weights));
  CHECK(mse_weight_ranges(Tensor(DType::float32, {2, 0}), s8, Scheme::symmetric, 0) ==
        std::vector<Range>(2));
}

TEST_CASE("the number of threads changes nothing") {
  Rng rng(33);
  const Tensor weights = random_weights({64, 200}, rng);
  const int threads = thread_count();
  const QuantType s4{4, true, true};
  for (const std::optional<int> axis :
       {std::optional<int>(0), std::optional<int>(1), std::optional<int>()}) {
    set_thread_count(1);
    const auto alone = mse_weight_ranges(weights, s4, Scheme::symmetric, axis);
    set_thread_count(4);
    CHECK(mse_weight_ranges(weights, s4, Scheme::symmetric, axis) == alone);
  }
  set_thread_count(threads);
}
