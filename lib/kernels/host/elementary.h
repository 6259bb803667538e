// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace qtool::elementary {

// Elementary functions of float32 without branches, so that loops over them are vectorised, and
// with the same bits on every CPU. tests/kernels says how near they come. NaN gives NaN.
//
// The polynomials interpolate at the Chebyshev nodes of the interval that each names.

#define QTOOL_INLINE [[gnu::always_inline]] inline

/// a[0] + a[1] x + a[2] x² ...
template <size_t terms>
QTOOL_INLINE float polynomial(const float (&a)[terms], float x) {
  float sum = a[terms - 1];
  for (size_t i = terms - 1; i-- > 0;) sum = sum * x + a[i];
  return sum;
}

/// 2^n for n in [-126, 127].
QTOOL_INLINE float power_of_two(int32_t n) {
  return std::bit_cast<float>(static_cast<uint32_t>(n + 127) << 23);
}

/// e^x = (1 + rest) 2^n with |rest| < 0.42.
struct Exponential {
  float rest;
  int32_t n;
};

/// x in [-104, 89] or NaN.
QTOOL_INLINE Exponential split_exponential(float x) {
  constexpr float kMagic = 0x1.8p23F;  // adding it rounds to an integer, which the low bits hold
  const float shifted = x * 1.44269504F + kMagic;
  const float n = shifted - kMagic;
  // ln 2 in two parts, the first of 10 bits, so that n times it is exact.
  const float r = (x - n * 0.693359375F) + n * 2.12194440e-4F;
  constexpr float kA[] = {0.5F, 0.166665763F, 0.0416665524F, 0.00836323295F, 0.00139262504F};
  return {r + r * r * polynomial(kA, r),  // |r| <= ln 2 / 2
          std::bit_cast<int32_t>(shifted) - std::bit_cast<int32_t>(kMagic)};
}

QTOOL_INLINE float exp(float x) {
  const float low = x < -104 ? -104.0F : x;  // beyond both bounds the result no longer changes
  const Exponential e = split_exponential(low > 89 ? 89.0F : low);
  // In two steps: 2^n itself may be no float although the result is one.
  const int32_t half = e.n >> 1;
  return (e.rest + 1) * power_of_two(half) * power_of_two(e.n - half);
}

/// e^x - 1 for x <= 0 (positive ones count as 0).
QTOOL_INLINE float expm1_negative(float x) {
  const float low = x < -30 ? -30.0F : x;
  const Exponential e = split_exponential(low > 0 ? 0.0F : low);
  const float scale = power_of_two(e.n);
  return e.rest * scale + (scale - 1);
}

/// Natural logarithm; NaN below 0, -inf at 0.
QTOOL_INLINE float log(float x) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const bool small = x < std::numeric_limits<float>::min();
  const float normal = small ? x * 0x1p23F : x;
  // normal = 2^n (1 + f), 1 + f from sqrt(1/2) to sqrt(2).
  const auto word = std::bit_cast<uint32_t>(normal);
  const auto shifted = static_cast<int32_t>(word - 0x3F3504F3U);
  const auto n = static_cast<float>((shifted >> 23) - (small ? 23 : 0));
  const float f = std::bit_cast<float>(word - (static_cast<uint32_t>(shifted) & 0xFF800000U)) - 1;
  constexpr float kA[] = {0.333333313F,  -0.24999997F, 0.200007156F,  -0.166678026F, 0.142490581F,
                          -0.124256872F, 0.116854198F, -0.114797339F, 0.0697161108F};
  const float f2 = f * f;
  const float tail = f2 * f * polynomial(kA, f) - 0.5F * f2 - n * 2.12194440e-4F;
  const float result = (f + tail) + n * 0.693359375F;
  const float ordinary = x == kInf ? kInf : result;
  const float at_zero = x == 0 ? -kInf : ordinary;
  return x >= 0 ? at_zero : std::numeric_limits<float>::quiet_NaN();
}

/// log(1 + x) for x in [0, 1].
QTOOL_INLINE float log1p_unit(float x) {
  const float u = 1 + x;
  return log(u) + (x - (u - 1)) / u;  // the rounding of u, put back
}

QTOOL_INLINE float sigmoid(float x) {
  const float e = exp(-std::fabs(x));
  const float numerator = x >= 0 ? 1.0F : e;
  return numerator / (1 + e);
}

QTOOL_INLINE float tanh(float x) {
  const float a = std::fabs(x);
  constexpr float kA[] = {-0.333333284F, 0.133327186F, -0.0538432635F, 0.0209613293F,
                          -0.00604516501F};
  const float z = x * x;
  const float near = x + x * z * polynomial(kA, z);  // x² <= 0.4
  const float far = std::copysign(1 - 2 / (exp(2 * a) + 1), x);
  return a < 0.625F ? near : far;
}

QTOOL_INLINE float erf(float x) {
  const float a = std::fabs(x);
  constexpr float kNear[] = {1.12837911F,    -0.37612626F,    0.112835944F,   -0.0268542115F,
                             0.00518908724F, -0.00080168643F, 7.87587487e-05F};
  const float near = x * polynomial(kNear, x * x);  // |x| <= 1
  // -log(erfc x) on [1, 4].
  constexpr float kFar[] = {-0.00032013806F, 1.13023341F,     0.631826043F,
                            0.110080086F,    -0.0264211353F,  0.0047595962F,
                            -0.00059680565F, 4.60580413e-05F, -1.6371514e-06F};
  const float bounded = a > 4 ? 4.0F : a;
  const float far = std::copysign(1 - exp(-polynomial(kFar, bounded)), x);
  return a < 1 ? near : far;
}

QTOOL_INLINE float softplus(float x) {
  const float positive = x > 0 ? x : 0.0F;
  const float result = positive + log1p_unit(exp(-std::fabs(x)));
  return x == x ? result : x;
}

/// x tanh(softplus(x)), with tanh(log(1 + e)) = (e² + 2e) / (e² + 2e + 2).
QTOOL_INLINE float mish(float x) {
  const float e = exp(x > 20 ? 20.0F : x);
  const float numerator = e * (e + 2);
  return x * (numerator / (numerator + 2));
}

/// x Φ(x), Φ the normal distribution's.
QTOOL_INLINE float gelu(float x) { return 0.5F * x * (1 + erf(x * 0.707106781F)); }

/// gelu with Φ approximated by tanh.
QTOOL_INLINE float gelu_tanh(float x) {
  const float inner = 0.797884561F * (x + 0.044715F * x * x * x);
  return 0.5F * x * (1 + tanh(inner));
}

#undef QTOOL_INLINE

}  // namespace qtool::elementary
