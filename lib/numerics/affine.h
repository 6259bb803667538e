// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace qtool {

/// An integer grid: 2 to 16 bits. Narrow leaves out the lowest code of a signed grid, so that it
/// is symmetric around zero; it means nothing for an unsigned one.
struct QuantType {
  int bits = 8;
  bool is_signed = true;
  bool narrow = false;

  int32_t lowest() const;
  int32_t highest() const;
  DType storage() const;  ///< the ONNX type that holds the codes: (u)int4, (u)int8 or (u)int16
  friend bool operator==(const QuantType&, const QuantType&) = default;
};

/// "u8", "s8", "s4 narrow".
std::string to_string(const QuantType& type);

/// Symmetric puts zero_point in the middle (0 for signed grids); power_of_two also rounds the
/// scale up to 2^k, so that no value of the range is clipped.
enum class Scheme { asymmetric, symmetric, symmetric_power_of_two };

/// A closed interval of real values; low <= high.
struct Range {
  float low = 0;
  float high = 0;
  friend bool operator==(const Range&, const Range&) = default;
};

/// scale and zero_point of ONNX's QuantizeLinear: real = (code - zero_point) * scale. One of
/// each for the whole tensor, one per channel of `axis`, or, with block_size, one per block along
/// the axis (scales in row-major order of the blocked shape; the last block may be short). Made
/// only by choose_params or by checked_params: every scale is finite and > 0, every zero point
/// lies in the grid.
struct QuantParams {
  QuantType type;
  std::vector<float> scale;
  std::vector<int32_t> zero_point;
  std::optional<int> axis;
  int64_t block_size = 0;

  bool per_tensor() const { return !axis.has_value(); }

  /// The interval of real values that channel i represents without clipping.
  Range representable(size_t i = 0) const;
  friend bool operator==(const QuantParams&, const QuantParams&) = default;
};

/// Errors (input): a scale that is not finite and positive, lists of unlike length, a zero point
/// outside of the grid, blocks without an axis, a number of bits that no grid has.
QuantParams checked_params(QuantType type, std::vector<float> scale,
                           std::vector<int32_t> zero_point, std::optional<int> axis = {},
                           int64_t block_size = 0);

/// The smallest scale ever chosen: a normal float, so that dividing by it is exact enough and its
/// product with another scale of ordinary size does not vanish.
inline constexpr float kMinScale = 0x1p-100F;

/// Parameters that represent [low, high] (widened to contain 0, which is then exact) on the grid.
/// Asymmetric: scale = (high - low) / (highest - lowest), zero_point = round(lowest - low /
/// scale). Symmetric: the least scale for which both halves of the grid reach their bound, so
/// that a range on one side uses all of its half. (Jacob et al. 2018, arXiv:1712.05877, section
/// 3; derived in README.md.) A range that is only zero gets scale 1. Makes one scale for the
/// tensor, or with an axis one per channel or block. Errors (input): a bound that is not finite.
QuantParams choose_params(std::span<const Range> ranges, QuantType type, Scheme scheme,
                          std::optional<int> axis = {}, int64_t block_size = 0);

/// THE rounding: ONNX's QuantizeLinear. Divide, round half to even, add the zero point, saturate
/// to [lowest, highest]. NaN becomes the zero point. For grids of at most 20 bits.
inline int32_t quantize_value(float x, float scale, int32_t zero_point, int32_t lowest,
                              int32_t highest) {
  // Saturating first changes nothing, as the bounds are integers, and it makes the rounding a
  // plain addition: at 1.5 * 2^23 the spacing of floats is 1 and ties go to even. So a loop over
  // this has no call and no branch.
  const float low = static_cast<float>(lowest - zero_point);
  const float high = static_cast<float>(highest - zero_point);
  float quotient = x / scale;
  quotient = std::isnan(quotient) ? 0.0F : quotient;
  quotient = quotient < low ? low : quotient;
  quotient = quotient > high ? high : quotient;
  constexpr float kUnitSpacing = 0x1.8p23F;
  return static_cast<int32_t>((quotient + kUnitSpacing) - kUnitSpacing) + zero_point;
}

/// (code - zero_point) * scale.
inline float dequantize_value(int32_t code, float scale, int32_t zero_point) {
  return static_cast<float>(code - zero_point) * scale;
}

/// The same rounding for a bias: 32-bit codes, zero point 0. It divides in double, as the float
/// quotient of a large bias has no fraction bits left to round.
int32_t quantize_bias(float x, float scale);

/// Element-wise over a float tensor; per-channel and blocked parameters must fit its shape
/// (internal error otherwise). quantize gives codes in type.storage(), dequantize takes codes in
/// any integer type of at most 16 bits, fake_quantize is dequantize(quantize(x)) as floats.
Tensor quantize(const Tensor& real, const QuantParams& params);
Tensor dequantize(const Tensor& codes, const QuantParams& params);
Tensor fake_quantize(const Tensor& real, const QuantParams& params);

}  // namespace qtool
