// SPDX-License-Identifier: Apache-2.0
#include "tensor/dtype.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "catch.h"
#include "support/rng.h"

using namespace qtool;

namespace {

/// Sign, exponent, fraction by IEEE 754's definition, in double.
double value_by_definition(uint32_t word, int exponent_bits, int fraction_bits) {
  const double sign = (word >> (exponent_bits + fraction_bits)) != 0 ? -1 : 1;
  const int exponent = static_cast<int>(word >> fraction_bits) & ((1 << exponent_bits) - 1);
  const double fraction = word & ((1U << fraction_bits) - 1);
  const int bias = (1 << (exponent_bits - 1)) - 1;
  if (exponent == (1 << exponent_bits) - 1) {
    return fraction == 0 ? sign * std::numeric_limits<double>::infinity()
                         : std::numeric_limits<double>::quiet_NaN();
  }
  const double unit = std::ldexp(1.0, -fraction_bits);
  if (exponent == 0) return sign * std::ldexp(fraction * unit, 1 - bias);
  return sign * std::ldexp(1 + fraction * unit, exponent - bias);
}

/// All finite magnitudes of a format, ascending; the index is the bit pattern.
std::vector<double> magnitudes(int exponent_bits, int fraction_bits) {
  std::vector<double> values;
  for (uint32_t word = 0;; ++word) {
    const double value = value_by_definition(word, exponent_bits, fraction_bits);
    if (!std::isfinite(value)) return values;
    values.push_back(value);
  }
}

/// Bits of the nearest magnitude, ties to the even pattern, by searching the whole list. What is
/// nearer to twice the largest power of two than to the largest value is infinity.
uint32_t nearest_bits(double magnitude, const std::vector<double>& values) {
  const double last = values.back();
  const double beyond = last + (last - values[values.size() - 2]);
  const auto above = std::lower_bound(values.begin(), values.end(), magnitude);
  if (above == values.begin()) return 0;
  const auto high = static_cast<uint32_t>(above - values.begin());
  const double high_value = above == values.end() ? beyond : *above;
  const double to_low = magnitude - values[high - 1];
  const double to_high = high_value - magnitude;
  if (to_low == to_high) return high % 2 == 0 ? high : high - 1;
  return to_low < to_high ? high - 1 : high;
}

template <class Half>
void check_against_definition(int exponent_bits, int fraction_bits) {
  const std::vector<double> values = magnitudes(exponent_bits, fraction_bits);
  const auto check = [&](float value) {
    const uint32_t wanted = nearest_bits(std::fabs(static_cast<double>(value)), values) |
                            (std::signbit(value) ? 0x8000U : 0U);
    if (Half::from(value).bits != wanted) {
      CAPTURE(value, wanted);
      REQUIRE(Half::from(value).bits == wanted);
    }
  };
  for (uint32_t word = 0; word < 0x10000; ++word) {
    const double expected = value_by_definition(word, exponent_bits, fraction_bits);
    const float actual = Half{static_cast<uint16_t>(word)}.to_float();
    if (std::isnan(expected)) {
      REQUIRE(std::isnan(actual));
      REQUIRE(std::isnan(Half::from(actual).to_float()));
      continue;
    }
    REQUIRE(static_cast<double>(actual) == expected);
    REQUIRE(std::signbit(actual) == std::signbit(expected));
    REQUIRE(Half::from(actual).bits == word);
  }
  // Every midpoint of neighbours and the floats on both sides of it.
  for (size_t i = 0; i + 1 < values.size(); ++i) {
    const auto middle = static_cast<float>((values[i] + values[i + 1]) / 2);
    for (const float value : {middle, std::nextafter(middle, 0.0F),
                              std::nextafter(middle, std::numeric_limits<float>::infinity())}) {
      check(value);
      check(-value);
    }
  }
  Rng rng(7);
  for (int i = 0; i < 300000; ++i) {
    const float value = std::bit_cast<float>(rng.next());
    if (std::isfinite(value)) check(value);
  }
  check(std::numeric_limits<float>::max());
}

}  // namespace

TEST_CASE("float16 agrees with IEEE's definition for all its values and every tie") {
  check_against_definition<Float16>(5, 10);
}

TEST_CASE("bfloat16 agrees with its definition for all its values and every tie") {
  check_against_definition<BFloat16>(8, 7);
}

TEST_CASE("infinities and the largest halves") {
  const float infinity = std::numeric_limits<float>::infinity();
  CHECK(Float16::from(infinity).bits == 0x7C00);
  CHECK(Float16::from(-infinity).bits == 0xFC00);
  CHECK(BFloat16::from(-infinity).bits == 0xFF80);
  CHECK(Float16::from(65504).bits == 0x7BFF);
  CHECK(Float16::from(65519.996F).bits == 0x7BFF);
  CHECK(Float16::from(65520).bits == 0x7C00);
  // A NaN whose payload lies only in the bits that are cut off must not turn into an infinity.
  CHECK(std::isnan(Float16::from(std::bit_cast<float>(0x7F800001U)).to_float()));
  CHECK(std::isnan(BFloat16::from(std::bit_cast<float>(0x7F800001U)).to_float()));
}

TEST_CASE("names and facts of element types") {
  for (int number = 1; is_known(number); ++number) {
    const auto dtype = static_cast<DType>(number);
    REQUIRE(dtype_from_name(name(dtype)) == dtype);
  }
  CHECK(dtype_from_name("float32") == DType::float32);
  CHECK(dtype_from_name("float64") == DType::float64);
  CHECK_FALSE(dtype_from_name("undefined"));
  CHECK_FALSE(dtype_from_name("Float"));
  CHECK_FALSE(is_known(0));
  CHECK_FALSE(is_known(24));
  CHECK_FALSE(is_known(-1));
  CHECK(bits(DType::int4) == 4);
  CHECK(bits(DType::boolean) == 8);
  CHECK(bits(DType::string) == 0);
  CHECK(is_integer(DType::uint4));
  CHECK_FALSE(is_integer(DType::boolean));
  CHECK(is_floating(DType::float8e4m3fn));
  CHECK_FALSE(is_signed(DType::uint8));
}

TEST_CASE("visit_dtype maps every arithmetic type to its C++ type and refuses the rest") {
  for (int number = 1; is_known(number); ++number) {
    const auto dtype = static_cast<DType>(number);
    const auto same = [&](auto tag) { return dtype_of<typename decltype(tag)::type> == dtype; };
    const bool arithmetic = number <= 7 || (number >= 9 && number <= 13) || number == 16;
    if (arithmetic) {
      CHECK(visit_dtype(dtype, same));
    } else {
      CHECK_THROWS_AS(visit_dtype(dtype, same), Error);
    }
  }
}
