// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "rounding/weight_rounding.h"

namespace qtool {

/// AdaRound (Nagel et al. 2020, arXiv:2004.10568): each weight goes to the code below or above it,
/// and a variable V decides which: code = clip(floor(w / s) + h(V)), with the rectified sigmoid
/// h(V) = clip(1.2 sigmoid(V) - 0.1, 0, 1), equation 23. It begins with h(V) = the fraction of
/// w / s, so that the soft weights are the float ones. The regularizer (equation 24)
///   lambda sum(1 - |2 h(V) - 1|^beta)
/// brings h to 0 or 1 while beta falls.
class SoftRounding : public WeightRounding {
 public:
  SoftRounding(const Tensor& weights, const QuantParams& params);

  /// Weights with h as it is.
  void soft(std::span<float> weights) const override;

  /// Weights on the grid: up where h >= 1/2.
  Tensor hard() const override;
  const QuantParams& params() const override { return params_; }

  /// One step of Adam down the gradient of the loss and the regularizer, of which the first is
  /// given for the soft weights; lambda 0 leaves the second out.
  void update(std::span<const float> weight_gradient, double rate, double lambda, double beta);

  /// The part of weights that are not rounded to nearest.
  double changed() const override;

  void update(std::span<const float> weight_gradient, const Moment& moment) override {
    update(weight_gradient, moment.rate, moment.lambda, moment.beta);
  }

 private:
  float weight(size_t i, float h) const;

  Shape shape_;
  QuantParams params_;
  // Weights are many, so what is kept of each is small.
  std::vector<int16_t> floor_;   ///< in codes, without the zero point
  std::vector<uint8_t> upward_;  ///< the nearest code is the one above
  std::vector<uint32_t> slice_;  ///< which of the parameters is its own
  std::vector<float> lowest_;    ///< by slice: codes less the zero point
  std::vector<float> highest_;
  std::vector<float> v_;
  std::vector<float> first_;  ///< Adam's moments
  std::vector<float> second_;
  int64_t steps_ = 0;
};

/// h(V), and its derivative.
float rectified_sigmoid(float v);
float rectified_sigmoid_slope(float v);

}  // namespace qtool
