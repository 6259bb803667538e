// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>

#include "support/error.h"

namespace qtool {

/// a * b, or nothing where the product does not fit.
template <std::integral T>
std::optional<T> checked_multiply(T a, T b) {
  T result;
  if (__builtin_mul_overflow(a, b, &result)) return std::nullopt;
  return result;
}

/// a + b, or nothing where the sum does not fit.
template <std::integral T>
std::optional<T> checked_add(T a, T b) {
  T result;
  if (__builtin_add_overflow(a, b, &result)) return std::nullopt;
  return result;
}

/// Converts between integer types; a value that does not fit is a bug of the caller. Use it
/// where a range was checked before, not to validate what comes from a file.
template <std::integral To, std::integral From>
To narrow(From value) {
  QTOOL_CHECK(std::in_range<To>(value), "value does not fit: " + std::to_string(value));
  return static_cast<To>(value);
}

}  // namespace qtool
