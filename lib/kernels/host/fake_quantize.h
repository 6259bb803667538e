// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/kernel.h"
#include "tensor/tensor.h"

namespace qtool {

/// Quantization that stays in float, with parameters that change between runs: scale and zero
/// point are kernel inputs, the zero point a float that is rounded to the grid. The tensor is
/// [outer, channels, inner], with one scale and zero point a channel; channels = 1: per tensor.
struct FakeQuantizeSpec {
  int64_t outer = 1;
  int64_t channels = 1;
  int64_t inner = 1;
  int32_t lowest = 0;
  int32_t highest = 255;
};

/// Inputs x, scale, zero point or null (0); output dequantize(quantize(x)): the same bits as
/// quantize_value and dequantize_value give.
KernelPtr make_fake_quantize(const FakeQuantizeSpec& spec);

/// Inputs gy, x, scale, zero point or null; outputs gx, and the gradients of scale and zero point,
/// or null. The straight-through estimator, with the scale's gradient of LSQ (Esser et al. 2020,
/// arXiv:1902.08153, equation 3) and the zero point's of LSQ+ (Bhalgat et al. 2020,
/// arXiv:2004.09576, equation 6, in units of the grid):
///   t = x / s, low and high the grid's ends less the zero point
///   low <= t <= high:  gx = gy,  gs = sum gy (round(t) - t),  gz = 0
///   below:             gx = 0,   gs = sum gy low,             gz = -s sum gy
///   above:             gx = 0,   gs = sum gy high,            gz = -s sum gy
/// Both sums are multiplied by `share`, and do not depend on threads. Two variants:
///   outside_only: the scale learns from what saturates alone, as PACT's bound does (Choi et al.
///     2018, arXiv:1805.06085, equation 3): inside gs = 0
///   steer d: inside gx = gy (1 + d sign(gy) (t - round(t))), so that an element is pushed less
///     the nearer it is to the code it is pushed to (EWGS, Lee et al. 2021, arXiv:2104.00903,
///     equation 5, with distances in steps of the grid)
struct FakeQuantizeGradientRule {
  float share = 1;
  bool outside_only = false;
  float steer = 0;
};
KernelPtr make_fake_quantize_gradient(const FakeQuantizeSpec& spec,
                                      const FakeQuantizeGradientRule& rule);

}  // namespace qtool
