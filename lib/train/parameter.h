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
  float lowest = -std::numeric_limits<float>::infinity();  ///< kept inside of these bounds
  float highest = std::numeric_limits<float>::infinity();
};

/// A graph whose parameters are inputs.
struct TrainableGraph {
  Graph graph;
  std::vector<Parameter> parameters;
};

}  // namespace qtool
