// SPDX-License-Identifier: Apache-2.0
#include "kernels/host/softmax.h"

#include <bit>
#include <cmath>
#include <limits>

#include "catch.h"
#include "kernels/product_check.h"
#include "kernels/run.h"
#include "support/rng.h"

using namespace qtool;

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr uint8_t kGuard = 0xA5;

std::vector<uint8_t> coded(const std::vector<float>& x, int64_t rows, const QuantParams& params) {
  MadeKernel made = make_softmax(rows, static_cast<int64_t>(x.size()) / rows, &params);
  REQUIRE(made.kernel != nullptr);
  std::vector<uint8_t> codes(x.size() + 16, kGuard);
  test::run(*made.kernel, {x.data()}, {codes.data()});
  for (size_t i = x.size(); i < codes.size(); ++i) REQUIRE(codes[i] == kGuard);
  codes.resize(x.size());
  return codes;
}

}  // namespace

TEST_CASE("Softmax to codes is within a hair of half a code, whatever the rows' length") {
  for (const uint64_t seed : test::seeds(41000000, 300)) {
    Rng rng(seed);
    const auto along = 1 + rng.below(rng.below(4) == 0 ? 2500 : 70);
    const auto rows = 1 + rng.below(40);
    std::vector<float> x(size_t{rows} * along);
    const float spread = rng.below(2) == 0 ? 3.0F : 60.0F;
    for (float& value : x) value = rng.below(10) == 0 ? -kInf : spread * rng.normal();
    for (size_t r = 0; r < rows; ++r) x[r * along] = 0;
    const bool is_signed = rng.below(2) == 0;
    const float unit = rng.below(2) == 0 ? 1 / 255.0F : 1e-5F;
    const int32_t zero_point = is_signed ? -128 : static_cast<int32_t>(rng.below(20));
    const auto params = checked_params({8, is_signed, false}, {unit}, {zero_point});
    const auto codes = coded(x, rows, params);
    for (size_t r = 0; r < rows; ++r) {
      double most = -1e300;
      double sum = 0;
      for (size_t i = 0; i < along; ++i) most = std::max(most, double{x[r * along + i]});
      for (size_t i = 0; i < along; ++i) sum += std::exp(double{x[r * along + i]} - most);
      for (size_t i = 0; i < along; ++i) {
        const double value = std::exp(double{x[r * along + i]} - most) / sum;
        const double wanted =
            std::min(value / double{unit} + zero_point, static_cast<double>(params.type.highest()));
        const uint8_t byte = codes[r * along + i];
        const int code = is_signed ? int{static_cast<int8_t>(byte)} : int{byte};
        if (std::abs(code - wanted) <= 0.504) continue;
        FAIL("seed " << seed << ", element " << i << " of row " << r << " is " << code
                     << " instead of " << wanted);
      }
    }
  }
}

TEST_CASE("Softmax of a row with NaN, or nothing but -inf, is 0 in codes, and its neighbours'") {
  const auto params = checked_params({8, false, false}, {1 / 255.0F}, {3});
  const auto payload = std::bit_cast<float>(0x7FC12345U);
  constexpr float kLog3 = 1.09861229F;
  CHECK(coded({kLog3, 0, kNan, 0, -kInf, -kInf, payload, 5, 1, 1 + kLog3}, 5, params) ==
        std::vector<uint8_t>{194, 67, 3, 3, 3, 3, 3, 3, 67, 194});
}
