// SPDX-License-Identifier: Apache-2.0
#include "rounding/soft_rounding.h"

#include <algorithm>
#include <cmath>

#include "numerics/layout.h"
#include "support/error.h"
#include "support/parallel.h"

namespace qtool {

namespace {

constexpr float kStretch = 1.2F;
constexpr float kShift = -0.1F;

float sigmoid(float v) { return 1 / (1 + std::exp(-v)); }

/// The V with h(V) = fraction.
float inverse(float fraction) {
  const float inside = std::clamp(fraction, 0.001F, 0.999F);
  return -std::log(kStretch / (inside - kShift) - 1);
}

}  // namespace

float rectified_sigmoid(float v) { return std::clamp(kStretch * sigmoid(v) + kShift, 0.0F, 1.0F); }

float rectified_sigmoid_slope(float v) {
  const float p = sigmoid(v);
  const float h = kStretch * p + kShift;
  return h > 0 && h < 1 ? kStretch * p * (1 - p) : 0;
}

SoftRounding::SoftRounding(const Tensor& weights, const QuantParams& params)
    : shape_(weights.shape()), params_(params) {
  QTOOL_CHECK(params.type.bits <= 8, "weights of more than 8 bits");
  const auto values = weights.data<float>();
  floor_.resize(values.size());
  upward_.resize(values.size());
  slice_.resize(values.size());
  for (std::vector<float>* each : {&v_, &first_, &second_}) each->assign(values.size(), 0);
  for (const int32_t zero : params_.zero_point) {
    lowest_.push_back(static_cast<float>(params_.type.lowest() - zero));
    highest_.push_back(static_cast<float>(params_.type.highest() - zero));
  }
  ScaleLayout(shape_, params_.axis, params_.block_size)
      .for_each_element([&](int64_t element, int64_t slice) {
        const auto i = static_cast<size_t>(element);
        const auto s = static_cast<size_t>(slice);
        slice_[i] = static_cast<uint32_t>(s);
        const float code = std::clamp(values[i] / params_.scale[s], lowest_[s], highest_[s]);
        // At the upper end there is no code above.
        const float below = std::min(std::floor(code), highest_[s] - 1);
        floor_[i] = static_cast<int16_t>(below);
        upward_[i] = code - below >= 0.5F ? 1 : 0;
        v_[i] = inverse(code - below);
      });
}

float SoftRounding::weight(size_t i, float h) const {
  const size_t s = slice_[i];
  return std::clamp(static_cast<float>(floor_[i]) + h, lowest_[s], highest_[s]) * params_.scale[s];
}

void SoftRounding::soft(std::span<float> weights) const {
  QTOOL_CHECK(weights.size() == v_.size(), "other weights");
  for (size_t i = 0; i < v_.size(); ++i) weights[i] = weight(i, rectified_sigmoid(v_[i]));
}

Tensor SoftRounding::hard() const {
  Tensor result(DType::float32, shape_);
  const auto weights = result.data<float>();
  for (size_t i = 0; i < v_.size(); ++i)
    weights[i] = weight(i, rectified_sigmoid(v_[i]) >= 0.5F ? 1.0F : 0.0F);
  return result;
}

void SoftRounding::update(std::span<const float> weight_gradient, double rate, double lambda,
                          double beta) {
  QTOOL_CHECK(weight_gradient.size() == v_.size(), "other weights");
  ++steps_;
  const double correction1 = 1 - std::pow(0.9, static_cast<double>(steps_));
  const double correction2 = 1 - std::pow(0.999, static_cast<double>(steps_));
  const auto step = static_cast<float>(rate / correction1);
  const auto root = static_cast<float>(1 / std::sqrt(correction2));
  const auto exponent = static_cast<float>(beta - 1);
  const auto weight_of_pull = static_cast<float>(2 * lambda * beta);
  parallel_for(static_cast<int64_t>(v_.size()), 4096, [&](int64_t begin, int64_t end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      const float slope = rectified_sigmoid_slope(v_[i]);
      float gradient = weight_gradient[i] * params_.scale[slice_[i]];
      if (lambda > 0 && slope > 0) {
        const float t = 2 * rectified_sigmoid(v_[i]) - 1;
        gradient -= weight_of_pull * std::pow(std::abs(t), exponent) * (t < 0 ? -1.0F : 1.0F);
      }
      gradient *= slope;
      first_[i] = 0.9F * first_[i] + 0.1F * gradient;
      second_[i] = 0.999F * second_[i] + 0.001F * gradient * gradient;
      v_[i] -= step * first_[i] / (std::sqrt(second_[i]) * root + 1e-8F);
    }
  });
}

double SoftRounding::changed() const {
  size_t count = 0;
  for (size_t i = 0; i < v_.size(); ++i) {
    const bool up = rectified_sigmoid(v_[i]) >= 0.5F;
    if (up != (upward_[i] != 0)) ++count;
  }
  return v_.empty() ? 0 : static_cast<double>(count) / static_cast<double>(v_.size());
}

}  // namespace qtool
