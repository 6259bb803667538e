// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <string_view>

#include "support/error.h"

namespace qtool {

/// Element types, numbered as in ONNX's TensorProto.DataType (opset 21, plus float4e2m1).
enum class DType : uint8_t {
  undefined = 0,
  float32 = 1,
  uint8 = 2,
  int8 = 3,
  uint16 = 4,
  int16 = 5,
  int32 = 6,
  int64 = 7,
  string = 8,
  boolean = 9,
  float16 = 10,
  float64 = 11,
  uint32 = 12,
  uint64 = 13,
  complex64 = 14,
  complex128 = 15,
  bfloat16 = 16,
  float8e4m3fn = 17,
  float8e4m3fnuz = 18,
  float8e5m2 = 19,
  float8e5m2fnuz = 20,
  uint4 = 21,
  int4 = 22,
  float4e2m1 = 23,
};

/// ONNX's name in lower case, such as "float", "int8", "bfloat16".
std::string_view name(DType dtype);

/// The inverse of name(); "float32" and "float64" are known too.
std::optional<DType> dtype_from_name(std::string_view text);

/// Bits an element takes; 4 for the packed types, 0 for string and undefined.
int bits(DType dtype);

bool is_floating(DType dtype);  ///< float16, bfloat16, float, double and the 8- and 4-bit floats
bool is_integer(DType dtype);   ///< signed and unsigned, 4 to 64 bits; not boolean
bool is_signed(DType dtype);
bool is_known(int onnx_number);

/// IEEE binary16 and bfloat16 as bits; converted with round to nearest even.
struct Float16 {
  uint16_t bits = 0;
  static Float16 from(float value);
  float to_float() const;
  friend bool operator==(Float16, Float16) = default;
};
struct BFloat16 {
  uint16_t bits = 0;
  static BFloat16 from(float value);
  float to_float() const { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }
  friend bool operator==(BFloat16, BFloat16) = default;
};

template <class T>
inline constexpr DType dtype_of = DType::undefined;
template <>
inline constexpr DType dtype_of<float> = DType::float32;
template <>
inline constexpr DType dtype_of<double> = DType::float64;
template <>
inline constexpr DType dtype_of<uint8_t> = DType::uint8;
template <>
inline constexpr DType dtype_of<int8_t> = DType::int8;
template <>
inline constexpr DType dtype_of<uint16_t> = DType::uint16;
template <>
inline constexpr DType dtype_of<int16_t> = DType::int16;
template <>
inline constexpr DType dtype_of<uint32_t> = DType::uint32;
template <>
inline constexpr DType dtype_of<int32_t> = DType::int32;
template <>
inline constexpr DType dtype_of<uint64_t> = DType::uint64;
template <>
inline constexpr DType dtype_of<int64_t> = DType::int64;
template <>
inline constexpr DType dtype_of<bool> = DType::boolean;
template <>
inline constexpr DType dtype_of<Float16> = DType::float16;
template <>
inline constexpr DType dtype_of<BFloat16> = DType::bfloat16;

template <class T>
struct TypeTag {
  using type = T;
};

/// Calls f(TypeTag<T>{}) for the C++ type of a dtype: the one place that maps one to the other.
/// Errors (unsupported): string, complex, 4-bit and 8-bit floats, which have no such type.
template <class F>
decltype(auto) visit_dtype(DType dtype, F&& f) {
  switch (dtype) {
    case DType::float32: return f(TypeTag<float>{});
    case DType::float64: return f(TypeTag<double>{});
    case DType::uint8: return f(TypeTag<uint8_t>{});
    case DType::int8: return f(TypeTag<int8_t>{});
    case DType::uint16: return f(TypeTag<uint16_t>{});
    case DType::int16: return f(TypeTag<int16_t>{});
    case DType::uint32: return f(TypeTag<uint32_t>{});
    case DType::int32: return f(TypeTag<int32_t>{});
    case DType::uint64: return f(TypeTag<uint64_t>{});
    case DType::int64: return f(TypeTag<int64_t>{});
    case DType::boolean: return f(TypeTag<bool>{});
    case DType::float16: return f(TypeTag<Float16>{});
    case DType::bfloat16: return f(TypeTag<BFloat16>{});
    default:
      throw unsupported_error("no arithmetic on elements of type " + std::string(name(dtype)));
  }
}

}  // namespace qtool
