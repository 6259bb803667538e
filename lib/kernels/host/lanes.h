// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstring>

#include "numerics/affine.h"

namespace qtool::lanes {

// Sixteen numbers at a time, for loops under QTOOL_SIMD that must stay in registers. Compilers
// make of them what the CPU level has. Nothing is passed by value: how that is done differs from
// level to level.

inline constexpr int64_t kCount = 16;

using Reals [[gnu::vector_size(64)]] = float;
using Ints [[gnu::vector_size(64)]] = int32_t;
using Bytes [[gnu::vector_size(16)]] = uint8_t;

#define QTOOL_INLINE [[gnu::always_inline]] inline

template <class Vector, class T>
QTOOL_INLINE void load(Vector& to, const T* from) {
  std::memcpy(&to, from, sizeof to);
}
template <class Vector, class T>
QTOOL_INLINE void store(T* to, const Vector& from) {
  std::memcpy(to, &from, sizeof from);
}

template <class Vector, class T>
QTOOL_INLINE void fill(Vector& to, T value) {
  for (int64_t l = 0; l < kCount; ++l) to[l] = value;
}

QTOOL_INLINE void bound_below(Reals& x, const Reals& low) { x = x < low ? low : x; }
QTOOL_INLINE void bound_above(Reals& x, const Reals& high) { x = x > high ? high : x; }

/// There the spacing of floats is 1: adding it rounds to whole numbers, half to even, which the low
/// bits hold.
inline constexpr float kUnitSpacing = 0x1.8p23F;

/// The first `count` lanes of x, `other` behind.
QTOOL_INLINE void first_of(Reals& x, int64_t count, float other) {
  constexpr Ints kIndex = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const Reals all = Reals{} + other;
  const Ints many = Ints{} + static_cast<int32_t>(count);
  x = kIndex < many ? x : all;
}

/// x[0] f x[1] f ... by halves: f(a, b) makes a of both.
template <class F>
QTOOL_INLINE float folded(Reals& x, F f) {
  f(x, __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
  f(x, __builtin_shufflevector(x, x, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11));
  f(x, __builtin_shufflevector(x, x, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));
  f(x, __builtin_shufflevector(x, x, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14));
  return x[0];
}

/// A grid of 8-bit codes, signed or not. The bounds are less the zero point.
struct CodeGrid {
  float low;
  float high;
  int32_t zero_point;

  static CodeGrid of(const QuantParams& params) {
    const int32_t zero = params.zero_point[0];
    return {static_cast<float>(params.type.lowest() - zero),
            static_cast<float>(params.type.highest() - zero), zero};
  }
};

/// A grid in registers.
struct Coder {
  Reals low;
  Reals high;
  Ints zero_point;
};
QTOOL_INLINE void hold(Coder& coder, const CodeGrid& grid) {
  fill(coder.low, grid.low);
  fill(coder.high, grid.high);
  fill(coder.zero_point, grid.zero_point);
}

/// Codes of numbers in their unit, rounded as quantize_value does. Not of NaN.
QTOOL_INLINE void encode(const Coder& coder, Reals& x, Bytes& codes) {
  bound_below(x, coder.low);
  bound_above(x, coder.high);
  const Reals rounded = x + kUnitSpacing;
  Ints bits;
  std::memcpy(&bits, &rounded, sizeof bits);
  codes = __builtin_convertvector(bits + coder.zero_point, Bytes);
}

/// table[index], each in 0 to 15.
QTOOL_INLINE void look_up(Reals& to, const Reals& table, const Ints& index) {
#if defined(__clang__)
  for (int l = 0; l < kCount; ++l) to[l] = table[index[l]];
#else
  to = __builtin_shuffle(table, index);
#endif
}

#undef QTOOL_INLINE

}  // namespace qtool::lanes
