// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "ir/graph.h"

namespace qtool {

/// Gives one use of a constant other elements. A constant that somebody else reads too stays, and
/// this use gets a copy with a name of its own. Without a constant there (an absent bias), one
/// named after `stem` is made.
void edit_constant(Graph& graph, const Use& use, Tensor elements, std::string_view stem);

/// The constant behind an input of a node if it is there, known and of type float.
Constant float_constant(const Graph& graph, const Node& node, size_t slot);

inline bool has_input(const Node& node, size_t slot) {
  return slot < node.inputs.size() && node.inputs[slot] != ValueId::none;
}

/// Rounds once, from double.
Tensor to_float_tensor(const Shape& shape, std::span<const double> elements);

/// What new constants of a node are named after: its name, or its first output's.
std::string stem_of(const Graph& graph, NodeId id);

}  // namespace qtool
