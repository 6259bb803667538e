// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "quant/selection.h"

namespace qtool {

/// A recipe's rules, settled for the nodes of one graph: what the rules that match a node say,
/// later ones over earlier ones, key by key.
class Rules {
 public:
  /// Errors (usage): a pattern that matches no node.
  explicit Rules(const PlanContext& context);

  /// For a node's own weights.
  const Wishes& of(NodeId id) const;

  /// For activations that share their parameters: what is wished by the nodes that read any of
  /// them as data, the last such node counting.
  Wishes reading(std::span<const ValueId> values) const;

 private:
  std::vector<Wishes> nodes_;   ///< by node; empty without rules
  std::vector<Wishes> values_;  ///< by value
};

}  // namespace qtool
