// SPDX-License-Identifier: Apache-2.0
#include "kernels/host/normalize.h"

#include <cmath>

#include "catch.h"
#include "kernels/product_check.h"
#include "kernels/run.h"
#include "support/rng.h"

using namespace qtool;

TEST_CASE("Normalized rows as codes are within a hair of half a code") {
  for (const uint64_t seed : test::seeds(42000000, 200)) {
    Rng rng(seed);
    NormalizeSpec spec;
    spec.rows = 1 + rng.below(40);
    spec.segments = 1 + rng.below(90);
    spec.epsilon = 1e-5;
    const auto params = checked_params({8, rng.below(2) == 0, false}, {0.02F}, {9});
    spec.result = &params;
    const auto width = static_cast<size_t>(spec.segments);
    std::vector<float> x(static_cast<size_t>(spec.rows) * width);
    std::vector<float> scale(width);
    std::vector<float> bias(width);
    for (float& value : x) value = 3 + 5 * rng.normal();
    for (float& value : scale) value = rng.normal();
    for (float& value : bias) value = rng.normal();
    const bool biased = rng.below(2) == 0;
    MadeKernel made = make_normalize(spec);
    REQUIRE(made.kernel != nullptr);
    std::vector<uint8_t> codes(x.size() + 1, 0xA5);
    test::run(*made.kernel, {x.data(), scale.data(), biased ? bias.data() : nullptr},
              {codes.data()});
    REQUIRE(codes.back() == 0xA5);
    for (size_t at = 0; at < x.size(); at += width) {
      double mean = 0;
      double squares = 0;
      for (size_t i = 0; i < width; ++i) mean += double{x[at + i]} / static_cast<double>(width);
      for (size_t i = 0; i < width; ++i) squares += std::pow(double{x[at + i]} - mean, 2);
      const double deviation = std::sqrt(squares / static_cast<double>(width) + 1e-5);
      for (size_t i = 0; i < width; ++i) {
        const double y = (double{x[at + i]} - mean) / deviation * double{scale[i]} +
                         (biased ? double{bias[i]} : 0.0);
        const double wanted = std::clamp<double>(y / double{params.scale[0]} + 9,
                                                 params.type.lowest(), params.type.highest());
        const uint8_t byte = codes[at + i];
        const int code = params.type.is_signed ? int{static_cast<int8_t>(byte)} : int{byte};
        if (std::abs(code - wanted) <= 0.502) continue;
        FAIL("seed " << seed << ", element " << at + i << " is " << code << " instead of "
                     << wanted);
      }
    }
  }
}
