// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>

#include "numerics/affine.h"

namespace qtool {

/// How a weight's codes are learned by gradients.
class WeightRounding {
 public:
  WeightRounding() = default;
  WeightRounding(const WeightRounding&) = delete;
  WeightRounding& operator=(const WeightRounding&) = delete;
  virtual ~WeightRounding() = default;

  /// The weights that the model is run with in training.
  virtual void soft(std::span<float> weights) const = 0;

  /// On the grid params().
  virtual Tensor hard() const = 0;
  virtual const QuantParams& params() const = 0;

  /// Where a training stands.
  struct Moment {
    double part = 0;    ///< of the iterations that are done
    double rate = 0;    ///< of the variables
    double lambda = 0;  ///< of the regularizer, 0 while there is none
    double beta = 0;    ///< its exponent
  };

  /// One step down the gradient of the loss for the soft weights.
  virtual void update(std::span<const float> weight_gradient, const Moment& moment) = 0;

  /// The part of weights that are not rounded to nearest.
  virtual double changed() const = 0;
};

}  // namespace qtool
