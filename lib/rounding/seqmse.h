// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "rounding/gptq.h"

namespace qtool {

/// Sequential MSE (AIMET's, aimet_torch.seq_mse, Qualcomm Innovation Center; an extension of the
/// search for a scale in Choukroun et al. 2019, arXiv:1902.06822, to the layers' results): layer by
/// layer, for what the quantized layers in front make of the samples, each scale is the one of 28
/// between 0.35 and 1.25 times the plan's that leaves the least squared error
///   d^T H d,  d = w' - w rounded to nearest,
/// in the results, H the columns' second moments [groups, columns, columns] as in gptq.h. Scales
/// that share a result (blocks) are chosen one after the other, given the others. Powers of two
/// stay such: half, the same or double. Never worse than the plan; gives the scales.
std::vector<float> seqmse(const Tensor& weights, const WeightMatrix& layout,
                          const QuantParams& params, std::span<const double> moments);

}  // namespace qtool
