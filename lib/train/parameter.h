// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace qtool {

/// A number or tensor that training changes: an input of the training graph.
struct Parameter {
  enum class Kind {
    weight,      ///< decays
    bias,        ///< added to channels; does not decay
    scale,       ///< of a grid
    zero_point,  ///< of a grid, as a float
    norm,        ///< gamma of a batch norm; does not decay
    statistic,   ///< mean or variance of a batch norm: observed, without a gradient
  };
  Kind kind = Kind::weight;
  ValueId id = ValueId::none;
  std::string name;
  Tensor value;  ///< float32
  /// A weight for which bounded_weights (ops/gradients/grids.h) stands in the graph: the bounds,
  /// one or one a channel of `axis`. Empty: it stands for itself.
  std::vector<float> bound = {};
  std::optional<int> axis = {};
  bool decays = false;  ///< a scale that weight decay makes smaller, as weights
  bool fixed = false;   ///< not changed by the optimizer for the time being
  float lowest = -std::numeric_limits<float>::infinity();  ///< kept inside of these bounds
  float highest = std::numeric_limits<float>::infinity();
};

/// A batch norm that is trained with the layer in front of it; indices of parameters.
struct TrainedNorm {
  size_t weight = 0;
  size_t bias = 0;  ///< beta
  size_t gamma = 0;
  size_t mean = 0;      ///< running
  size_t variance = 0;  ///< running
  float epsilon = 1e-5F;
  std::vector<int64_t> channels;  ///< [1, C, 1 ...], to go with the weight
  /// Where statistics are those of the batch: their values in the graph.
  ValueId batch_mean = ValueId::none;
  ValueId batch_variance = ValueId::none;
};

/// A graph whose parameters are inputs.
struct TrainableGraph {
  Graph graph;
  std::vector<Parameter> parameters;
  std::vector<TrainedNorm> norms = {};
};

/// The weight and bias of a layer that has its batch norm, with running statistics, in it.
struct FoldedNorm {
  Tensor weight;
  Tensor bias;
};
FoldedNorm folded(const TrainedNorm& norm, const std::vector<Parameter>& parameters);

}  // namespace qtool
