// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/onednn/primitives.h"

namespace qtool::onednn {

/// A float32 convolution whose weights change between runs: [M, C / groups, kernel...] row-major,
/// brought into oneDNN's order in each run. Images lie channels_last.
struct TrainedConvolution {
  Shape source;       ///< [N, C, spatial...]
  Shape weights;      ///< [M, C / groups, kernel...]
  Shape destination;  ///< [N, M, spatial...]
  int64_t groups = 1;
  std::vector<int64_t> strides;
  std::vector<int64_t> pads;       ///< begins, then ends
  std::vector<int64_t> dilations;  ///< 1: dense
};

/// Inputs x, w, b where biased, then what post-ops add (in place); output y.
MadeKernel make_trained_convolution(const TrainedConvolution& spec, bool biased,
                                    const std::vector<PostOpSpec>& post_ops);

/// Inputs gy, w; output gx.
MadeKernel make_convolution_input_gradient(const TrainedConvolution& spec);

/// Inputs x, gy; outputs gw, and gb where biased.
MadeKernel make_convolution_weight_gradient(const TrainedConvolution& spec, bool biased);

}  // namespace qtool::onednn
