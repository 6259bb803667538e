// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "rounding/element_grids.h"
#include "rounding/weight_rounding.h"

namespace qtool {

/// AdaQuant (Hubara et al. 2020, arXiv:2006.10518, equation 2): each weight is w + V rounded to
/// nearest on a grid whose scale learns along, so that it may move by more than one code, unlike
/// AdaRound's. The rounding has slope 1 inside of the grid and 0 beyond; a scale has LSQ's slope
/// (Esser et al. 2019, arXiv:1902.08153). V moves in steps of the scale, Adam's, whose rate falls
/// with half a cosine; powers of two stay as they are.
class AdaQuant : public WeightRounding {
 public:
  AdaQuant(const Tensor& weights, const QuantParams& params);

  void soft(std::span<float> weights) const override;
  Tensor hard() const override;
  const QuantParams& params() const override { return params_; }
  void update(std::span<const float> weight_gradient, const Moment& moment) override;
  double changed() const override;

 private:
  struct Adam {
    std::vector<float> first;
    std::vector<float> second;
    float step(size_t i, float gradient, double correction1, double correction2);
  };

  Shape shape_;
  QuantParams params_;
  ElementGrids grids_;
  std::vector<float> start_;    ///< w
  std::vector<float> weights_;  ///< w + V
  std::vector<float> first_scale_;
  Adam of_weights_;
  Adam of_scales_;
  int64_t steps_ = 0;
  bool fixed_scales_ = false;
};

}  // namespace qtool
