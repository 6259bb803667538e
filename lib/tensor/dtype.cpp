// SPDX-License-Identifier: Apache-2.0
#include "tensor/dtype.h"

#include <array>
#include <cmath>

namespace qtool {

namespace {

struct Facts {
  std::string_view name;
  int bits;
  bool floating;
  bool integer;
  bool is_signed;
};

constexpr std::array<Facts, 24> kFacts{{
    {"undefined", 0, false, false, false},    {"float", 32, true, false, true},
    {"uint8", 8, false, true, false},         {"int8", 8, false, true, true},
    {"uint16", 16, false, true, false},       {"int16", 16, false, true, true},
    {"int32", 32, false, true, true},         {"int64", 64, false, true, true},
    {"string", 0, false, false, false},       {"bool", 8, false, false, false},
    {"float16", 16, true, false, true},       {"double", 64, true, false, true},
    {"uint32", 32, false, true, false},       {"uint64", 64, false, true, false},
    {"complex64", 64, false, false, true},    {"complex128", 128, false, false, true},
    {"bfloat16", 16, true, false, true},      {"float8e4m3fn", 8, true, false, true},
    {"float8e4m3fnuz", 8, true, false, true}, {"float8e5m2", 8, true, false, true},
    {"float8e5m2fnuz", 8, true, false, true}, {"uint4", 4, false, true, false},
    {"int4", 4, false, true, true},           {"float4e2m1", 4, true, false, true},
}};

const Facts& facts(DType dtype) { return kFacts.at(static_cast<size_t>(dtype)); }

}  // namespace

std::string_view name(DType dtype) { return facts(dtype).name; }
int bits(DType dtype) { return facts(dtype).bits; }
bool is_floating(DType dtype) { return facts(dtype).floating; }
bool is_integer(DType dtype) { return facts(dtype).integer; }
bool is_signed(DType dtype) { return facts(dtype).is_signed; }
bool is_known(int onnx_number) {
  return onnx_number > 0 && onnx_number < static_cast<int>(kFacts.size());
}

std::optional<DType> dtype_from_name(std::string_view text) {
  if (text == "float32") return DType::float32;
  if (text == "float64") return DType::float64;
  for (size_t i = 1; i < kFacts.size(); ++i) {
    if (kFacts[i].name == text) return static_cast<DType>(i);
  }
  return std::nullopt;
}

Float16 Float16::from(float value) {
  const auto word = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>((word >> 16) & 0x8000U);
  const uint32_t magnitude = word & 0x7FFFFFFFU;
  if (magnitude >= 0x7F800000U) {  // infinity and NaN
    const bool nan = magnitude > 0x7F800000U;
    return {static_cast<uint16_t>(sign | 0x7C00U |
                                  (nan ? 0x0200U | ((magnitude >> 13) & 0x3FFU) : 0U))};
  }
  if (magnitude >= 0x477FF000U)
    return {static_cast<uint16_t>(sign | 0x7C00U)};  // rounds past 65504
  if (magnitude < 0x38800000U) {                     // subnormal: count in units of 2^-24
    const float units = std::bit_cast<float>(magnitude) * 0x1p24F;
    return {static_cast<uint16_t>(sign | static_cast<uint16_t>(std::nearbyint(units)))};
  }
  const uint32_t rounded = magnitude + 0xFFFU + ((magnitude >> 13) & 1U);
  return {static_cast<uint16_t>(sign | ((rounded - 0x38000000U) >> 13))};
}

float Float16::to_float() const {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000U) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1FU;
  const uint32_t fraction = bits & 0x3FFU;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(fraction) * 0x1p-24F;
    return sign != 0 ? -magnitude : magnitude;
  }
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000U | (fraction << 13));
  return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (fraction << 13));
}

BFloat16 BFloat16::from(float value) {
  const auto word = std::bit_cast<uint32_t>(value);
  if (std::isnan(value)) return {static_cast<uint16_t>((word >> 16) | 0x0040U)};
  return {static_cast<uint16_t>((word + 0x7FFFU + ((word >> 16) & 1U)) >> 16)};
}

}  // namespace qtool
