// SPDX-License-Identifier: Apache-2.0
// The scalar rounding and the choice of parameters, against hand-worked tables and integers.
#include "numerics/affine.h"

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "catch.h"
#include "support/rng.h"

using namespace qtool;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kLargest = std::numeric_limits<float>::max();

const QuantType kU8{8, false, false};
const QuantType kS8{8, true, false};

int32_t u8(float x, float scale, int32_t zero_point) {
  return quantize_value(x, scale, zero_point, 0, 255);
}
int32_t s8(float x, float scale, int32_t zero_point = 0) {
  return quantize_value(x, scale, zero_point, -128, 127);
}

/// The rule in integers: the quotient as the 1.23 bits times 2^e that it is.
int32_t oracle(float x, float scale, int32_t zero_point, int32_t lowest, int32_t highest) {
  const float quotient = x / scale;
  if (std::isnan(quotient)) return zero_point;
  if (std::isinf(quotient)) return quotient > 0 ? highest : lowest;
  int exponent = 0;
  const auto mantissa =
      static_cast<int64_t>(std::ldexp(std::frexp(std::fabs(quotient), &exponent), 24));
  exponent -= 24;  // |quotient| = mantissa * 2^exponent
  int64_t rounded = 0;
  if (exponent >= 0) {
    rounded = exponent > 20 ? int64_t{1} << 44 : mantissa << exponent;
  } else if (exponent > -40) {
    const int64_t unit = int64_t{1} << -exponent;
    rounded = mantissa / unit;
    const int64_t rest = 2 * (mantissa % unit);
    if (rest > unit || (rest == unit && rounded % 2 == 1)) ++rounded;
  }
  const int64_t code = (quotient < 0 ? -rounded : rounded) + zero_point;
  return static_cast<int32_t>(std::min<int64_t>(std::max<int64_t>(code, lowest), highest));
}

QuantParams choose(Range range, QuantType type, Scheme scheme) {
  return choose_params(std::span(&range, 1), type, scheme);
}

}  // namespace

TEST_CASE("ties go to the even quotient, whatever the zero point") {
  struct Case {
    float x;
    int32_t code;
  };
  // Scale 2, so that x = 1, 3, 5 ... are ties of the quotient.
  const std::vector<Case> even_zero{{1, 10}, {3, 12}, {5, 12}, {7, 14}, {-1, 10}, {-3, 8}, {-5, 8}};
  for (const auto& [x, code] : even_zero) CHECK(u8(x, 2, 10) == code);
  // Rounding after adding 11 would give 12, 12, 14, 14, 10, 10, 8 instead.
  const std::vector<Case> odd_zero{{1, 11}, {3, 13}, {5, 13}, {7, 15}, {-1, 11}, {-3, 9}, {-5, 9}};
  for (const auto& [x, code] : odd_zero) CHECK(u8(x, 2, 11) == code);
}

TEST_CASE("the quotient is a division, not a product with the reciprocal") {
  // 0.1f is 13421773 / 2^27, so that 2.5 * 0.1f is representable and the quotient a tie.
  CHECK(0.25F / 0.1F == 2.5F);
  CHECK(s8(0.25F, 0.1F) == 2);
  Rng rng(7);
  int differ = 0;
  for (int i = 0; i < 2000000; ++i) {
    const float scale = 0.001F + rng.uniform();
    const float x = scale * (static_cast<float>(rng.below(200)) + 0.5F);
    REQUIRE(s8(x, scale, 3) == oracle(x, scale, 3, -128, 127));
    differ += std::nearbyint(x / scale) != std::nearbyint(x * (1 / scale)) ? 1 : 0;
  }
  CHECK(differ > 0);  // the test would see the other formula
}

TEST_CASE("saturation, infinities, NaN, zeros") {
  CHECK(u8(1000, 1, 0) == 255);
  CHECK(u8(-1, 1, 0) == 0);
  CHECK(u8(255.5F, 1, 0) == 255);
  CHECK(s8(127.5F, 1) == 127);
  CHECK(s8(-128.5F, 1) == -128);
  CHECK(s8(-129, 1) == -128);
  CHECK(s8(100, 1, 100) == 127);
  CHECK(s8(-300, 1, 100) == -128);
  CHECK(s8(kInfinity, 1, 5) == 127);
  CHECK(s8(-kInfinity, 1, 5) == -128);
  CHECK(s8(kLargest, kMinScale, 5) == 127);  // the quotient overflows
  CHECK(s8(-kLargest, kMinScale, 5) == -128);
  CHECK(s8(kNan, 1, 5) == 5);
  CHECK(s8(0.0F, 1, 5) == 5);
  CHECK(s8(-0.0F, 1, 5) == 5);
  CHECK(s8(0x1p-149F, 1, 5) == 5);
  CHECK(quantize_value(1e9F, 1, 65535, 0, 65535) == 65535);
  CHECK(quantize_value(-65535, 1, 65535, 0, 65535) == 0);
  CHECK(quantize_value(-65534.5F, 1, 65535, 0, 65535) == 1);
}

TEST_CASE("any float, scale and grid: equal to integer arithmetic") {
  Rng rng(11);
  for (int i = 0; i < 2000000; ++i) {
    const QuantType type{static_cast<int>(2 + rng.below(15)), rng.below(2) == 1, rng.below(2) == 1};
    const int32_t lowest = type.lowest();
    const int32_t highest = type.highest();
    const auto zero_point =
        lowest + static_cast<int32_t>(rng.below(static_cast<uint32_t>(highest - lowest + 1)));
    const float scale = std::exp2(40 * (rng.uniform() - 0.5F));
    float x = std::bit_cast<float>(rng.next());
    if (i % 2 == 0) x = scale * static_cast<float>(highest) * 2 * (rng.uniform() - 0.5F);
    const int32_t code = quantize_value(x, scale, zero_point, lowest, highest);
    const int32_t expected = oracle(x, scale, zero_point, lowest, highest);
    if (code == expected) continue;
    CAPTURE(x, scale, zero_point, type.bits);
    REQUIRE(code == expected);
  }
}

TEST_CASE("all codes of all grids survive a round trip") {
  for (int bits = 2; bits <= 16; ++bits) {
    for (const bool is_signed : {false, true}) {
      const QuantType type{bits, is_signed, is_signed};
      for (const float scale : {0.1F, 1e-20F, 3e10F}) {
        const int32_t zero_point = is_signed ? -1 : 1;
        for (int32_t code = type.lowest(); code <= type.highest(); ++code) {
          const float x = dequantize_value(code, scale, zero_point);
          REQUIRE(quantize_value(x, scale, zero_point, type.lowest(), type.highest()) == code);
        }
      }
    }
  }
}

TEST_CASE("grids") {
  struct Case {
    QuantType type;
    int32_t lowest;
    int32_t highest;
    DType storage;
    const char* text;
  };
  const std::vector<Case> cases{
      {{8, true, false}, -128, 127, DType::int8, "s8"},
      {{8, true, true}, -127, 127, DType::int8, "s8 narrow"},
      {{8, false, false}, 0, 255, DType::uint8, "u8"},
      {{2, true, false}, -2, 1, DType::int4, "s2"},
      {{2, true, true}, -1, 1, DType::int4, "s2 narrow"},
      {{4, false, false}, 0, 15, DType::uint4, "u4"},
      {{5, true, false}, -16, 15, DType::int8, "s5"},
      {{7, false, false}, 0, 127, DType::uint8, "u7"},
      {{16, true, false}, -32768, 32767, DType::int16, "s16"},
      {{16, false, false}, 0, 65535, DType::uint16, "u16"},
  };
  for (const Case& c : cases) {
    CHECK(c.type.lowest() == c.lowest);
    CHECK(c.type.highest() == c.highest);
    CHECK(c.type.storage() == c.storage);
    CHECK(to_string(c.type) == c.text);
  }
}

TEST_CASE("chosen parameters, worked by hand") {
  struct Case {
    Range range;
    QuantType type;
    Scheme scheme;
    float scale;
    int32_t zero_point;
  };
  using enum Scheme;
  const QuantType s8_narrow{8, true, true};
  const QuantType u16{16, false, false};
  const QuantType s4{4, true, false};
  const std::vector<Case> cases{
      {{0, 255}, kU8, asymmetric, 1, 0},
      {{-1, 1}, kU8, asymmetric, 2.0F / 255, 127},  // the float is above 2 / 255: below the tie
      {{-255, 0}, kU8, asymmetric, 1, 255},
      {{-51, 204}, kU8, asymmetric, 1, 51},
      {{100, 255}, kU8, asymmetric, 1, 0},  // widened to hold 0
      {{-255, -100}, kU8, asymmetric, 1, 255},
      {{-51, 204}, kS8, asymmetric, 1, -77},  // -128 + 51
      {{0, 255}, kS8, asymmetric, 1, -128},
      {{0, 254}, s8_narrow, asymmetric, 1, -127},
      {{0, 65535}, u16, asymmetric, 1, 0},
      {{-127, 50}, s8_narrow, symmetric, 1, 0},
      {{-128, 50}, kS8, symmetric, 1, 0},  // the longer half of the grid
      {{-50, 127}, kS8, symmetric, 1, 0},
      {{-127, 127}, kS8, symmetric, 1, 0},
      {{0, 127}, kU8, symmetric, 1, 128},
      {{-128, 0}, kU8, symmetric, 1, 128},
      {{-8, 3}, s4, symmetric, 1, 0},
      {{-8, 7.5F}, s4, symmetric, 7.5F / 7, 0},
      {{-127, 3}, s8_narrow, symmetric_power_of_two, 1, 0},
      {{-127.001F, 3}, s8_narrow, symmetric_power_of_two, 2, 0},
      {{-0.3F, 0.3F}, s8_narrow, symmetric_power_of_two, 0x1p-8F, 0},  // 0.3 / 127 = 0.00236
      {{0, 0}, kU8, asymmetric, 1, 0},
      {{0, 0}, kS8, asymmetric, 1, 0},
      {{0, 0}, kU8, symmetric, 1, 128},
      {{-0.0F, 0}, kS8, symmetric_power_of_two, 1, 0},
      {{0, 0x1p-149F}, kU8, asymmetric, kMinScale, 0},
      {{-kLargest, kLargest}, kS8, symmetric, kLargest / 127, 0},
      {{-kLargest, kLargest}, {2, true, true}, symmetric_power_of_two, 0x1p127F, 0},
  };
  for (const Case& c : cases) {
    CAPTURE(c.range.low, c.range.high, to_string(c.type), static_cast<int>(c.scheme));
    const QuantParams params = choose(c.range, c.type, c.scheme);
    CHECK(params.scale[0] == c.scale);
    CHECK(params.zero_point[0] == c.zero_point);
    CHECK(params.per_tensor());
  }
}

TEST_CASE("properties of chosen parameters over random ranges") {
  Rng rng(5);
  for (int i = 0; i < 50000; ++i) {
    const float a = rng.normal() * std::exp2(60 * (rng.uniform() - 0.5F));
    const float b = rng.normal() * std::exp2(60 * (rng.uniform() - 0.5F));
    const Range range{std::min(a, b), std::max(a, b)};
    const QuantType type{static_cast<int>(2 + rng.below(15)), rng.below(2) == 1, rng.below(2) == 1};
    const auto scheme = static_cast<Scheme>(rng.below(3));
    const QuantParams params = choose(range, type, scheme);
    CAPTURE(range.low, range.high, to_string(type), static_cast<int>(scheme));
    const float scale = params.scale[0];
    // Zero is exact.
    const int32_t zero_code =
        quantize_value(0, scale, params.zero_point[0], type.lowest(), type.highest());
    REQUIRE(dequantize_value(zero_code, scale, params.zero_point[0]) == 0);
    // Both bounds come back within a half step (a whole one where the zero point was rounded),
    // plus what rounding the scale itself can move the end of a wide grid.
    const float slack = scale * (scheme == Scheme::asymmetric ? 1.0F : 0.51F) *
                        (1 + 0x1p-6F * static_cast<float>(type.bits > 12));
    for (const float bound : {range.low, range.high}) {
      const int32_t code =
          quantize_value(bound, scale, params.zero_point[0], type.lowest(), type.highest());
      REQUIRE(std::fabs(dequantize_value(code, scale, params.zero_point[0]) - bound) <= slack);
    }
    // A power of two is one, covers the range, and half of it would not.
    if (scheme == Scheme::symmetric_power_of_two) {
      int exponent = 0;
      REQUIRE(std::frexp(scale, &exponent) == 0.5F);
      const auto covers = [&](double s) {
        const double low = s * (type.lowest() - params.zero_point[0]);
        const double high = s * (type.highest() - params.zero_point[0]);
        return low <= std::min(range.low, 0.0F) && high >= std::max(range.high, 0.0F);
      };
      REQUIRE(covers(static_cast<double>(scale)));
      REQUIRE(!covers(static_cast<double>(scale) / 2));
    }
  }
}

TEST_CASE("representable interval") {
  const QuantParams params = checked_params(kU8, {0.5F, 2}, {10, 255}, 0);
  CHECK(params.representable(0) == Range{-5, 122.5F});
  CHECK(params.representable(1) == Range{-510, 0});
}

TEST_CASE("parameters that are refused") {
  CHECK_THROWS_WITH(checked_params(kS8, {0}, {0}),
                    "scale 0 is 0.000000; a scale is finite and positive");
  CHECK_THROWS_AS(checked_params(kS8, {-1}, {0}), Error);
  CHECK_THROWS_AS(checked_params(kS8, {kNan}, {0}), Error);
  CHECK_THROWS_AS(checked_params(kS8, {kInfinity}, {0}), Error);
  CHECK_THROWS_AS(checked_params(kS8, {1}, {128}), Error);
  CHECK_THROWS_AS(checked_params({8, true, true}, {1}, {-128}), Error);
  CHECK_THROWS_AS(checked_params(kU8, {1}, {-1}), Error);
  CHECK_THROWS_AS(checked_params(kU8, {1, 1}, {0}, 0), Error);
  CHECK_THROWS_AS(checked_params(kU8, {1, 1}, {0, 0}), Error);
  CHECK_THROWS_AS(checked_params(kU8, {1}, {0}, -1), Error);
  CHECK_THROWS_AS(checked_params(kU8, {1}, {0}, std::nullopt, 32), Error);
  CHECK_THROWS_AS(checked_params(kU8, {1}, {0}, 0, -1), Error);
  for (const int bits : {-1, 0, 1, 17, 32, 1000}) {
    CHECK_THROWS_AS(checked_params({bits, true, false}, {1}, {0}), Error);
    CHECK_THROWS_AS(choose({0, 1}, {bits, true, false}, Scheme::symmetric), Error);
  }
  CHECK_THROWS_AS(choose({0, kInfinity}, kU8, Scheme::asymmetric), Error);
  CHECK_THROWS_AS(choose({kNan, 0}, kU8, Scheme::symmetric), Error);
}

TEST_CASE("bias codes") {
  CHECK(quantize_bias(2.5F, 1) == 2);
  CHECK(quantize_bias(-3.5F, 1) == -4);
  CHECK(quantize_bias(kInfinity, 1) == std::numeric_limits<int32_t>::max());
  CHECK(quantize_bias(-1e30F, 1e-3F) == std::numeric_limits<int32_t>::min());
  CHECK(quantize_bias(kNan, 1) == 0);
  // 16777217 / 2 = 8388608.5 has no float quotient; in double the tie goes to even.
  CHECK(quantize_bias(0x1p24F, 2) == 8388608);
  CHECK(quantize_bias(100000008.0F, 16) == 6250000);  // 6250000.5
}
