// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "ir/graph.h"

namespace qtool {

/// How large a model's constants are: its initializers and the tensors in its nodes' attributes,
/// those of subgraphs included.
struct ModelFacts {
  uint64_t parameters =
      0;  ///< elements, without int64, bool and string (shapes, conditions, names)
  std::map<std::string, uint64_t> weight_bytes;  ///< by ONNX's name of the element type
  friend bool operator==(const ModelFacts&, const ModelFacts&) = default;
};

/// Errors (input): subgraphs nested deeper than 64, sums beyond 2^64.
ModelFacts model_facts(const Graph& graph);

}  // namespace qtool
