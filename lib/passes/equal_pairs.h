// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <limits>
#include <span>
#include <vector>

#include "ir/graph.h"

namespace qtool {

// Moving a factor per channel from one convolution into the next, through a Relu between:
// W2 relu(W1 x + b1) = (W2 S) relu(S^-1 W1 x + S^-1 b1) for S = diag(s), s > 0.

/// Two Convs (any groups) with constant weights. Nothing else reads what is between them.
struct EqualPair {
  NodeId first = NodeId::none;
  NodeId second = NodeId::none;
  ValueId result = ValueId::none;   ///< what the first makes
  ValueId between = ValueId::none;  ///< what the second reads: the same, or a Relu's or Clip's
  int64_t channels = 0;
  float bound = std::numeric_limits<float>::infinity();  ///< upper end of a Clip from 0
};

/// By order of the graph.
std::vector<EqualPair> equal_pairs(const Graph& graph);

/// Whether a constant can move through as well: an activation stands between, both have biases,
/// and the second pads nothing, where 0 would stand for what was moved.
bool passes_shifts(const Graph& graph, const EqualPair& pair);

/// Takes `shift` off what the first makes and gives the second's biases what that does to its
/// sums: W2 (relu(z) - c) + W2 c. Results stay, up to rounding, where z >= c (and below a Clip's
/// bound). One number a channel, >= 0; the pair passes shifts (internal error otherwise).
void shift_between(Graph& graph, const EqualPair& pair, std::span<const float> shift);

/// What quantization has to know of a Conv's weights.
struct ConvSizes {
  std::vector<double> output;  ///< largest |w| by output channel
  std::vector<double> input;   ///< largest |w| by input channel
  int64_t rows_of_group = 0;   ///< output channels that read one input channel
  int64_t per_group = 0;       ///< input channels that one output channel reads
  int64_t positions = 0;       ///< elements of the kernel
  /// Sum of squares over the kernel, [output channels, per_group].
  std::vector<double> energy;

  /// The input channel behind column k of output channel n.
  size_t input_of(size_t n, size_t k) const {
    return n / static_cast<size_t>(rows_of_group) * static_cast<size_t>(per_group) + k;
  }
};
ConvSizes conv_sizes(const Graph& graph, NodeId conv);

/// Divides the channels between the two by `scale`; what the second makes stays as it was, up to
/// rounding, as long as no channel meets the bound, before or after. One factor a channel, > 0
/// (internal error otherwise).
void divide_between(Graph& graph, const EqualPair& pair, std::span<const float> scale);

}  // namespace qtool
