// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "ir/graph.h"

namespace qtool {

// Moving a factor per channel from what a product reads into its weights: x W = (x / s) (s W).

/// The constant matrix that a Gemm or MatMul multiplies its input 0 with.
struct ProductWeights {
  int64_t channels;    ///< of input 0: its last dimension
  bool channels_last;  ///< stored [results, channels] (Gemm's transB)
};
std::optional<ProductWeights> product_weights(const Graph& graph, NodeId id);

/// The value and those in front of it that would be divided as well, if what makes the value can
/// divide its channels: nothing but these products reads it, and it comes from constants by
/// channel (a LayerNormalization's scale and bias, the columns of a product's weights, a Mul or an
/// Add of a vector). Empty if not.
std::vector<ValueId> divided_at_source(const Graph& graph, ValueId value,
                                       std::span<const NodeId> readers);

/// Multiplies the weights of these products by `scale`, and has them read the value divided by it:
/// by what makes it (see above), or else by a Mul behind it. The results stay as they were, up to
/// rounding; other readers see no change. The readers are products of the value with as many
/// channels (internal error otherwise).
void divide_channels(Graph& graph, ValueId value, std::span<const NodeId> readers,
                     std::span<const float> scale, bool at_source);

}  // namespace qtool
