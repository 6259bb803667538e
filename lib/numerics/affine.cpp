// SPDX-License-Identifier: Apache-2.0
#include "numerics/affine.h"

#include <algorithm>
#include <cmath>

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
  return (type.is_signed ? "s" : "u") + std::to_string(type.bits) + (type.narrow ? " narrow" : "");
}

Range QuantParams::representable(size_t i) const {
  return {dequantize_value(type.lowest(), scale.at(i), zero_point.at(i)),
          dequantize_value(type.highest(), scale.at(i), zero_point.at(i))};
}

QuantParams checked_params(QuantType type, std::vector<float> scale,
                           std::vector<int32_t> zero_point, std::optional<int> axis,
                           int64_t block_size) {
  if (type.bits < 2 || type.bits > 16) {
    throw input_error(std::to_string(type.bits) + " bits; 2 to 16 are possible");
  }
  if (scale.size() != zero_point.size()) {
    throw input_error(std::to_string(scale.size()) + " scales but " +
                      std::to_string(zero_point.size()) + " zero points");
  }
  if (!axis && scale.size() != 1) {
    throw input_error(std::to_string(scale.size()) + " scales without an axis");
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

QuantParams choose_params(std::span<const Range> ranges, QuantType type, Scheme scheme,
                          std::optional<int> axis) {
  QTOOL_CHECK(!ranges.empty() && (axis || ranges.size() == 1), "one range, or one per channel");
  const int32_t lowest = type.lowest();
  const int32_t highest = type.highest();
  const int32_t middle = type.is_signed ? 0 : 1 << (type.bits - 1);
  std::vector<float> scales;
  std::vector<int32_t> zero_points;
  for (const Range& range : ranges) {
    if (!std::isfinite(range.low) || !std::isfinite(range.high)) {
      throw input_error("a range with the bounds " + std::to_string(range.low) + " and " +
                        std::to_string(range.high) + " cannot be quantized");
    }
    // In double: the width of a float interval can exceed the largest float.
    const double low = std::min(0.0, static_cast<double>(range.low));
    const double high = std::max(0.0, static_cast<double>(range.high));
    double scale = 0;
    if (scheme == Scheme::asymmetric) {
      scale = (high - low) / (highest - lowest);
    } else {
      // The shorter half of the grid must hold the longer side, but a one-sided range uses only
      // its own half.
      const double below = low < 0 ? -low / (middle - lowest) : 0;
      const double above = high > 0 ? high / (highest - middle) : 0;
      scale = std::max(below, above);
      if (scheme == Scheme::symmetric_power_of_two && scale > 0) {
        scale = std::exp2(std::ceil(std::log2(scale)));
      }
    }
    const bool only_zero = !(scale > 0);
    const auto chosen =
        only_zero ? 1.0F : std::max(static_cast<float>(scale), kMinScale);
    int32_t zero_point = middle;
    if (scheme == Scheme::asymmetric) {
      zero_point = only_zero ? std::clamp(0, lowest, highest)
                             : quantize_value(static_cast<float>(-low), chosen, lowest, lowest,
                                              highest);
    }
    scales.push_back(chosen);
    zero_points.push_back(zero_point);
  }
  return checked_params(type, std::move(scales), std::move(zero_points), axis);
}

namespace {

/// Which scale an element uses: index = (i / inner / block) % count, row-major around `axis`.
class ScaleIndex {
 public:
  ScaleIndex(const Shape& shape, const QuantParams& params) {
    if (params.per_tensor()) return;
    const auto axis = static_cast<size_t>(*params.axis);
    QTOOL_CHECK(axis < shape.size(), "axis " + std::to_string(axis) + " of " + to_string(shape));
    extent_ = shape[axis];
    block_ = params.block_size > 0 ? params.block_size : 1;
    blocks_ = (extent_ + block_ - 1) / block_;
    inner_ = 1;
    for (size_t d = axis + 1; d < shape.size(); ++d) inner_ *= shape[d];
    blocked_ = params.block_size > 0;
    const int64_t wanted = blocked_ ? element_count(shape) / std::max<int64_t>(extent_, 1) * blocks_ : extent_;
    QTOOL_CHECK(static_cast<int64_t>(params.scale.size()) == wanted,
                std::to_string(params.scale.size()) + " scales for " + to_string(shape));
  }
  size_t operator()(int64_t element) const {
    if (extent_ == 0) return 0;
    const int64_t along = element / inner_ % extent_;
    if (!blocked_) return static_cast<size_t>(along);
    const int64_t outer = element / inner_ / extent_;
    return static_cast<size_t>((outer * blocks_ + along / block_) * inner_ + element % inner_);
  }

 private:
  int64_t extent_ = 0;
  int64_t block_ = 1;
  int64_t blocks_ = 1;
  int64_t inner_ = 1;
  bool blocked_ = false;
};

}  // namespace

Tensor quantize(const Tensor& real, const QuantParams& params) {
  const ScaleIndex scale_of(real.shape(), params);
  const auto values = real.data<float>();
  const DType storage = params.type.storage();
  const DType wide_type = params.type.bits <= 8
                              ? (params.type.is_signed ? DType::int8 : DType::uint8)
                              : storage;
  Tensor wide(wide_type, real.shape());
  visit_dtype(wide_type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (std::is_integral_v<T>) {
      const auto codes = wide.data<T>();
      for (size_t i = 0; i < values.size(); ++i) {
        const size_t s = scale_of(static_cast<int64_t>(i));
        codes[i] = static_cast<T>(quantize_value(values[i], params.scale[s], params.zero_point[s],
                                                 params.type.lowest(), params.type.highest()));
      }
    }
  });
  return wide_type == storage ? std::move(wide) : cast(wide, storage);
}

Tensor dequantize(const Tensor& codes, const QuantParams& params) {
  const ScaleIndex scale_of(codes.shape(), params);
  const std::vector<int64_t> values = to_int64s(codes);
  Tensor real(DType::float32, codes.shape());
  const auto out = real.data<float>();
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t s = scale_of(static_cast<int64_t>(i));
    out[i] = dequantize_value(static_cast<int32_t>(values[i]), params.scale[s], params.zero_point[s]);
  }
  return real;
}

Tensor fake_quantize(const Tensor& real, const QuantParams& params) {
  const ScaleIndex scale_of(real.shape(), params);
  const auto values = real.data<float>();
  Tensor result(DType::float32, real.shape());
  const auto out = result.data<float>();
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t s = scale_of(static_cast<int64_t>(i));
    out[i] = dequantize_value(
        quantize_value(values[i], params.scale[s], params.zero_point[s], params.type.lowest(),
                       params.type.highest()),
        params.scale[s], params.zero_point[s]);
  }
  return result;
}

}  // namespace qtool
