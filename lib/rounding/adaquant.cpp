// SPDX-License-Identifier: Apache-2.0
#include "rounding/adaquant.h"

#include <algorithm>
#include <cmath>

#include "support/error.h"

namespace qtool {

namespace {

constexpr double kScaleRate = 0.05;  ///< of scales, of the rate of weights

}  // namespace

AdaQuant::AdaQuant(const Tensor& weights, const QuantParams& params)
    : shape_(weights.shape()), params_(params), grids_(weights.shape(), params),
      start_(weights.data<float>().begin(), weights.data<float>().end()), weights_(start_),
      first_scale_(params.scale), fixed_scales_(powers_of_two(params)) {
  of_weights_ = {std::vector<float>(start_.size(), 0), std::vector<float>(start_.size(), 0)};
  of_scales_ = {std::vector<float>(params.scale.size(), 0),
                std::vector<float>(params.scale.size(), 0)};
}

void AdaQuant::soft(std::span<float> weights) const {
  QTOOL_CHECK(weights.size() == weights_.size(), "other weights");
  for (size_t i = 0; i < weights_.size(); ++i)
    weights[i] = grids_.nearest(i, weights_[i], params_.scale[grids_.slice[i]]);
}

Tensor AdaQuant::hard() const {
  Tensor result(DType::float32, shape_);
  soft(result.data<float>());
  return result;
}

float AdaQuant::Adam::step(size_t i, float gradient, double correction1, double correction2) {
  first[i] = 0.9F * first[i] + 0.1F * gradient;
  second[i] = 0.999F * second[i] + 0.001F * gradient * gradient;
  const double root = std::sqrt(static_cast<double>(second[i]) / correction2);
  return static_cast<float>(static_cast<double>(first[i]) / correction1 / (root + 1e-12));
}

void AdaQuant::update(std::span<const float> weight_gradient, const Moment& moment) {
  QTOOL_CHECK(weight_gradient.size() == weights_.size(), "other weights");
  ++steps_;
  const double correction1 = 1 - std::pow(0.9, static_cast<double>(steps_));
  const double correction2 = 1 - std::pow(0.999, static_cast<double>(steps_));
  const double rate = moment.rate * 0.5 * (1 + std::cos(3.14159265358979 * moment.part));
  std::vector<double> of_scale(params_.scale.size(), 0);
  for (size_t i = 0; i < weights_.size(); ++i) {
    const uint32_t slice = grids_.slice[i];
    const float scale = params_.scale[slice];
    const float code = weights_[i] / scale;
    const bool inside = code >= grids_.lowest[i] && code <= grids_.highest[i];
    const float rounded = std::clamp(std::nearbyint(code), grids_.lowest[i], grids_.highest[i]);
    const float slope = inside ? rounded - code : rounded;
    of_scale[slice] += static_cast<double>(weight_gradient[i]) * static_cast<double>(slope);
    const float gradient = inside ? weight_gradient[i] : 0.0F;
    weights_[i] -= static_cast<float>(rate) * first_scale_[slice] *
                   of_weights_.step(i, gradient, correction1, correction2);
  }
  if (fixed_scales_) return;
  for (size_t s = 0; s < of_scale.size(); ++s) {
    const float step =
        of_scales_.step(s, static_cast<float>(of_scale[s]), correction1, correction2);
    const float moved =
        params_.scale[s] - static_cast<float>(kScaleRate * rate) * first_scale_[s] * step;
    params_.scale[s] = std::clamp(moved, 0.25F * first_scale_[s], 2 * first_scale_[s]);
  }
}

double AdaQuant::changed() const {
  size_t count = 0;
  for (size_t i = 0; i < weights_.size(); ++i) {
    const float scale = params_.scale[grids_.slice[i]];
    if (grids_.nearest(i, weights_[i], scale) != grids_.nearest(i, start_[i], scale)) ++count;
  }
  return weights_.empty() ? 0 : static_cast<double>(count) / static_cast<double>(weights_.size());
}

}  // namespace qtool
