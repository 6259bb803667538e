// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "quant/rules.h"

namespace qtool {

/// The target as a recipe with 16-bit activations needs it: all activations have them, as they
/// would be rounded to 8 bits between layers otherwise, and the opset is 21, the first to have such
/// codes, and 4-bit ones, which `pack` asks for.
Target with_bits(Target target, const Recipe& recipe);

/// The grids of one plan: the target's, with the recipe's bits for layers. A layer is a node that
/// the target always quantizes (Conv, Gemm, MatMul); those that join in (additions, poolings) keep
/// the target's bits for what no layer reads. Layers that no layer stands before or behind are the
/// edges: the first and last, which keep the target's bits unless the recipe says otherwise.
class Widths {
 public:
  Widths(const PlanContext& context, const Selection& selection);

  const Rules& rules() const { return rules_; }

  /// Of a layer's weights.
  QuantType weight_type(NodeId layer) const;

  /// Of activations that share their parameters: the recipe's where a layer reads one of them and
  /// no edge does.
  QuantType activation_type(std::span<const ValueId> values) const;

 private:
  void find_edges(const PlanContext& context, const Selection& selection);

  Rules rules_;
  QuantType weights_;
  QuantType activations_;
  std::optional<int> weight_bits_;
  std::optional<int> activation_bits_;
  std::vector<bool> edge_;          ///< by node
  std::vector<bool> read_by_edge_;  ///< by value
  std::vector<bool> read_;          ///< by value: a layer reads it
};

}  // namespace qtool
