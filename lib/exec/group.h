// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <set>
#include <vector>

#include "ops/op_def.h"

namespace qtool {

/// A node and what follows it in a straight line, that one kernel may be able to compute: post-ops
/// (activations, a residual Add) and at the end a QuantizeLinear.
struct Chain {
  std::vector<NodeId> members;      ///< the anchor first
  std::vector<int> residual_slots;  ///< per member: the slot of an Add's other operand, else -1
  bool ends_in_quantize = false;
};

/// The longest chain behind `anchor` that its op's record allows: each link's value has one reader,
/// is no graph output and is not in `kept`, and no link is in another chain (`taken`, by node id).
Chain longest_chain(const Graph& graph, const OpRegistry& ops, const Facts& facts, NodeId anchor,
                    const std::set<ValueId>& kept, const std::vector<bool>& taken);

/// The parameters of the DequantizeLinear that produces this value, and the codes it reads;
/// nothing where there is none with constant parameters for 2- to 16-bit codes.
struct Dequantized {
  ValueId codes = ValueId::none;
  QuantParams params;
};
std::optional<Dequantized> dequantized(const Graph& graph, const OpRegistry& ops,
                                       const Facts& facts, ValueId value);

/// A view of a node for its op's functions.
NodeView view(const Graph& graph, const Facts& facts, NodeId id);

}  // namespace qtool
