// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cmath>
#include <limits>
#include <type_traits>

#include "tensor/tensor.h"

namespace qtool {

template <class T>
inline constexpr bool is_half = std::is_same_v<T, Float16> || std::is_same_v<T, BFloat16>;

/// As a float that still rounds to the right half: rounded to odd, where nearest-even would make
/// ties of numbers that are none (Boldo and Melquiond 2008, "Emulation of FMA and correctly
/// rounded sums"). A long double holds every double and every 64-bit integer.
template <class From>
float before_half(From value) {
  const auto nearest = static_cast<float>(value);
  const auto exact = static_cast<long double>(value);
  const auto word = std::bit_cast<uint32_t>(nearest);
  if (nearest == exact || word % 2 != 0 || !std::isfinite(nearest)) return nearest;
  return std::bit_cast<float>(std::fabs(nearest) < std::fabs(exact) ? word + 1 : word - 1);
}

/// One element as another type, as cast() does it.
template <class To, class From>
To converted(From value) {
  if constexpr (is_half<From>) {
    return converted<To>(value.to_float());
  } else if constexpr (is_half<To>) {
    return To::from(before_half(value));
  } else if constexpr (std::is_same_v<To, bool>) {
    return value != From{};
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    // The bounds are compared as floats: 2^63 - 1 itself has no float.
    using Limits = std::numeric_limits<To>;
    if (std::isnan(value)) return To{};
    if (value <= static_cast<From>(Limits::min())) return Limits::min();
    if (value >= static_cast<From>(Limits::max())) return Limits::max();
    return static_cast<To>(value);
  } else {
    return static_cast<To>(value);
  }
}

/// cast() of `count` elements from one place to another. Errors (unsupported): types that
/// visit_dtype does not know.
void cast_elements(DType from, const void* x, DType to, void* y, int64_t count);

}  // namespace qtool
