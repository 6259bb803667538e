// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "kernels/kernel.h"
#include "kernels/post_op.h"
#include "tensor/tensor.h"

namespace qtool {

// Backward passes of float32 ops that are loops of our own. Sums do not depend on threads.

/// The derivative of a post-op at x; nothing for `add` and what has none. At a kink: the side
/// where the function is constant, else the mean of both.
std::optional<double> derivative(const PostOp& op, double x);

/// Inputs gy, x of `count` elements; output gy * derivative(x). May be in place.
KernelPtr make_unary_gradient(int64_t count, const PostOp& op);

/// A sliding window over [N, spatial..., C] (channels_last); pads are begins then ends.
struct WindowSpec {
  Shape source;       ///< [N, C, spatial...]
  Shape destination;  ///< [N, C, spatial...]
  std::vector<int64_t> kernel;
  std::vector<int64_t> strides;
  std::vector<int64_t> pads;
  std::vector<int64_t> dilations;
};

/// Inputs gy, x; output gx, all channels_last: each gy goes to the first largest element of its
/// window.
KernelPtr make_max_pool_gradient(const WindowSpec& spec);

/// Input gy; output gx, both channels_last: each gy is spread evenly over its window's elements,
/// which the padding is counted among where `include_pads`.
KernelPtr make_average_pool_gradient(const WindowSpec& spec, bool include_pads);

/// Inputs gy, y of [outer, along, inner]; softmax: y (gy - sum gy y), its logarithm:
/// gy - e^y sum gy, sums along the middle.
KernelPtr make_softmax_gradient(int64_t outer, int64_t along, int64_t inner, bool logarithm);

/// A tensor [outer, channels, inner]; inner is 1 where channels are stored last.
struct ChannelSpans {
  int64_t outer = 0;
  int64_t channels = 0;
  int64_t inner = 0;
};

/// Input x; outputs, each [channels] or null: mean and variance (over n elements, not n - 1),
/// summed in double.
KernelPtr make_batch_statistics(const ChannelSpans& spans);

/// Inputs x, mean, gmean, gvariance; output gx.
KernelPtr make_batch_statistics_gradient(const ChannelSpans& spans);

}  // namespace qtool
