// SPDX-License-Identifier: Apache-2.0
#include "numerics/affine.h"

#include <algorithm>
#include <limits>

#include "numerics/layout.h"

namespace qtool {

int32_t QuantType::lowest() const {
  if (!is_signed) return 0;
  return -(1 << (bits - 1)) + (narrow ? 1 : 0);
}
int32_t QuantType::highest() const { return is_signed ? (1 << (bits - 1)) - 1 : (1 << bits) - 1; }

DType QuantType::storage() const {
  if (bits <= 4) return is_signed ? DType::int4 : DType::uint4;
  if (bits <= 8) return is_signed ? DType::int8 : DType::uint8;
  return is_signed ? DType::int16 : DType::uint16;
}

std::string to_string(const QuantType& type) {
  std::string text(1, type.is_signed ? 's' : 'u');
  text += std::to_string(type.bits);
  return type.narrow ? text + " narrow" : text;
}

Range QuantParams::representable(size_t i) const {
  return {dequantize_value(type.lowest(), scale.at(i), zero_point.at(i)),
          dequantize_value(type.highest(), scale.at(i), zero_point.at(i))};
}

namespace {

void check_bits(const QuantType& type) {
  if (type.bits < 2 || type.bits > 16) {
    throw input_error(std::to_string(type.bits) + " bits; 2 to 16 are possible");
  }
}

}  // namespace

QuantParams checked_params(QuantType type, std::vector<float> scale,
                           std::vector<int32_t> zero_point, std::optional<int> axis,
                           int64_t block_size) {
  check_bits(type);
  if (scale.size() != zero_point.size()) {
    throw input_error(std::to_string(scale.size()) + " scales but " +
                      std::to_string(zero_point.size()) + " zero points");
  }
  if (!axis && scale.size() != 1) {
    throw input_error(std::to_string(scale.size()) + " scales without an axis");
  }
  if (axis && *axis < 0) {
    throw input_error("the axis " + std::to_string(*axis) + " is negative");
  }
  if (block_size < 0 || (block_size > 0 && !axis)) {
    throw input_error("blocks of " + std::to_string(block_size) + (axis ? "" : " without an axis"));
  }
  for (size_t i = 0; i < scale.size(); ++i) {
    if (!std::isfinite(scale[i]) || !(scale[i] > 0)) {
      throw input_error("scale " + std::to_string(i) + " is " + std::to_string(scale[i]) +
                        "; a scale is finite and positive");
    }
    if (zero_point[i] < type.lowest() || zero_point[i] > type.highest()) {
      throw input_error("zero point " + std::to_string(zero_point[i]) + " is outside of " +
                        to_string(type));
    }
  }
  return {type, std::move(scale), std::move(zero_point), axis, block_size};
}

namespace {

/// The least power of two that is not below the scale; the largest one where no float is.
double power_of_two_above(double scale) {
  int exponent = 0;
  const double fraction = std::frexp(scale, &exponent);  // [0.5, 1)
  return std::min(std::ldexp(1.0, fraction == 0.5 ? exponent - 1 : exponent), 0x1p127);
}

struct ScaleAndZero {
  float scale;
  int32_t zero_point;
};

ScaleAndZero choose(const Range& range, const QuantType& type, Scheme scheme) {
  if (!std::isfinite(range.low) || !std::isfinite(range.high)) {
    throw input_error("a range with the bounds " + std::to_string(range.low) + " and " +
                      std::to_string(range.high) + " cannot be quantized");
  }
  const int32_t lowest = type.lowest();
  const int32_t highest = type.highest();
  const int32_t middle = type.is_signed ? 0 : 1 << (type.bits - 1);
  // In double: the width of a float interval can exceed the largest float.
  const double low = std::min(0.0, static_cast<double>(range.low));
  const double high = std::max(0.0, static_cast<double>(range.high));
  const bool asymmetric = scheme == Scheme::asymmetric;
  if (low == high) return {1.0F, asymmetric ? std::clamp(0, lowest, highest) : middle};
  double wanted = asymmetric ? (high - low) / (highest - lowest)
                             : std::max(-low / (middle - lowest), high / (highest - middle));
  if (scheme == Scheme::symmetric_power_of_two) wanted = power_of_two_above(wanted);
  const float scale = std::max(static_cast<float>(wanted), kMinScale);
  if (!asymmetric) return {scale, middle};
  return {scale, quantize_value(static_cast<float>(-low), scale, lowest, lowest, highest)};
}

}  // namespace

QuantParams choose_params(std::span<const Range> ranges, QuantType type, Scheme scheme,
                          std::optional<int> axis, int64_t block_size) {
  QTOOL_CHECK(axis || ranges.size() == 1, "one range, or one per channel");
  check_bits(type);
  std::vector<float> scales;
  std::vector<int32_t> zero_points;
  for (const Range& range : ranges) {
    const auto [scale, zero_point] = choose(range, type, scheme);
    scales.push_back(scale);
    zero_points.push_back(zero_point);
  }
  return checked_params(type, std::move(scales), std::move(zero_points), axis, block_size);
}

int32_t quantize_bias(float x, float scale) {
  using Limits = std::numeric_limits<int32_t>;
  const double rounded = std::nearbyint(static_cast<double>(x) / static_cast<double>(scale));
  if (std::isnan(rounded)) return 0;
  return static_cast<int32_t>(std::clamp<double>(rounded, Limits::min(), Limits::max()));
}

namespace {

/// Calls f(begin, count, scale_of, zero_point_of) for contiguous runs, where the last two tell
/// the parameters of the run's i-th element. They are values, not references into the
/// parameters, so that the loop over a run that has one scale keeps it in a register.
template <class F>
void for_each_run(const Shape& shape, const QuantParams& params, F&& f) {
  const ScaleLayout layout(shape, params.axis, params.block_size);
  QTOOL_CHECK(static_cast<int64_t>(params.scale.size()) == layout.slices(),
              std::to_string(params.scale.size()) + " scales for " + to_string(shape));
  layout.for_each_run(
      [&](int64_t begin, int64_t count, int64_t slice) {
        const float scale = params.scale[static_cast<size_t>(slice)];
        const int32_t zero_point = params.zero_point[static_cast<size_t>(slice)];
        f(
            begin, count, [scale](int64_t) { return scale; },
            [zero_point](int64_t) { return zero_point; });
      },
      [&](int64_t begin, int64_t count, int64_t first_slice) {
        const float* scales = params.scale.data() + first_slice;
        const int32_t* zero_points = params.zero_point.data() + first_slice;
        f(
            begin, count, [scales](int64_t i) { return scales[i]; },
            [zero_points](int64_t i) { return zero_points[i]; });
      });
}

}  // namespace

Tensor quantize(const Tensor& real, const QuantParams& params) {
  const DType storage = params.type.storage();
  DType unpacked = storage;
  if (storage == DType::int4) unpacked = DType::int8;
  if (storage == DType::uint4) unpacked = DType::uint8;
  Tensor codes(unpacked, real.shape());
  const int32_t lowest = params.type.lowest();
  const int32_t highest = params.type.highest();
  visit_dtype(unpacked, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (std::is_integral_v<T>) {
      for_each_run(real.shape(), params, [&](int64_t begin, int64_t count, auto scale, auto zero) {
        const float* x = real.data<float>().data() + begin;
        T* code = codes.data<T>().data() + begin;
        // Copies, which a store of a byte cannot change.
        const int32_t low = lowest;
        const int32_t high = highest;
        for (int64_t i = 0; i < count; ++i) {
          code[i] = static_cast<T>(quantize_value(x[i], scale(i), zero(i), low, high));
        }
      });
    }
  });
  return unpacked == storage ? std::move(codes) : cast(codes, storage);
}

Tensor dequantize(const Tensor& codes, const QuantParams& params) {
  if (codes.dtype() == DType::int4) return dequantize(cast(codes, DType::int8), params);
  if (codes.dtype() == DType::uint4) return dequantize(cast(codes, DType::uint8), params);
  QTOOL_CHECK(is_integer(codes.dtype()) && bits(codes.dtype()) <= 16,
              "codes of type " + std::string(name(codes.dtype())));
  Tensor real(DType::float32, codes.shape());
  visit_dtype(codes.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (std::is_integral_v<T>) {
      for_each_run(codes.shape(), params, [&](int64_t begin, int64_t count, auto scale, auto zero) {
        const T* code = codes.data<T>().data() + begin;
        float* x = real.data<float>().data() + begin;
        for (int64_t i = 0; i < count; ++i) {
          x[i] = dequantize_value(static_cast<int32_t>(code[i]), scale(i), zero(i));
        }
      });
    }
  });
  return real;
}

Tensor fake_quantize(const Tensor& real, const QuantParams& params) {
  const int32_t lowest = params.type.lowest();
  const int32_t highest = params.type.highest();
  Tensor result(DType::float32, real.shape());
  for_each_run(real.shape(), params, [&](int64_t begin, int64_t count, auto scale, auto zero) {
    const float* x = real.data<float>().data() + begin;
    float* y = result.data<float>().data() + begin;
    for (int64_t i = 0; i < count; ++i) {
      const int32_t code = quantize_value(x[i], scale(i), zero(i), lowest, highest);
      y[i] = dequantize_value(code, scale(i), zero(i));
    }
  });
  return result;
}

}  // namespace qtool
