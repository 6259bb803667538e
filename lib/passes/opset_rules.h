// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "ops/facts.h"

namespace qtool {

/// A node on its way to a newer opset. `type` is what inference knows of the node's first input.
struct OpsetEdit {
  Graph& graph;
  NodeId node;
  const TensorType& type;
};

/// How an op's form changed in a version of ai.onnx. Versions that only allow more (types, negative
/// axes, new optional attributes) have no entry: such nodes are valid as they stand.
struct OpsetRule {
  std::string_view op;
  int64_t version;              ///< the first with the new form
  void (*convert)(OpsetEdit&);  ///< null: qtool cannot convert it
};

/// By version; complete from opset 7 (kOldestOpset) to 21 (kNewestOpset).
std::span<const OpsetRule> opset_rules();

inline constexpr int64_t kOldestOpset = 7;
inline constexpr int64_t kNewestOpset = 21;

}  // namespace qtool
