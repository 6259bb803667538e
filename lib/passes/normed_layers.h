// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "ir/graph.h"

namespace qtool {

/// A layer whose batch norm was folded into it, as both were before: y = gamma (x w - mean) /
/// sqrt(variance + epsilon) + beta. A bias that the layer had is taken off the mean.
struct NormedLayer {
  NodeId node = NodeId::none;      ///< of the folded graph, as the rest
  ValueId weight = ValueId::none;  ///< gamma w / sqrt(variance + epsilon)
  ValueId bias = ValueId::none;
  Tensor raw;   ///< w
  Tensor beta;  ///< float [C], as the rest
  Tensor gamma;
  Tensor mean;
  Tensor variance;
  float epsilon = 1e-5F;
  size_t axis = 0;  ///< the dimension of the weights that counts channels
};

/// The layers (Conv, Gemm) of `folded` that batch norms of `unfolded`, the same model otherwise,
/// went into; those whose constants no one else reads.
std::vector<NormedLayer> normed_layers(const Graph& unfolded, const Graph& folded);

}  // namespace qtool
