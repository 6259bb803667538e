// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <span>
#include <vector>

#include "ops/op_def.h"

namespace qtool {

/// Some nodes of a graph as a graph of their own. Values keep their names, not their ids.
struct Extract {
  Graph graph;
  std::map<ValueId, ValueId> id_of;  ///< from the whole graph's ids to these
};

/// `nodes` in an order in which they can run. What they read is one of `inputs`, made by one of
/// them, or a constant of the graph. `constants` stands for further values that are fixed here.
/// Inputs have the types of `facts` with the first extent open. Errors (unsupported): a node with
/// a body.
Extract extract(const Graph& whole, const Facts& facts, std::span<const NodeId> nodes,
                std::span<const ValueId> inputs, std::span<const ValueId> outputs,
                const std::map<ValueId, Constant>& constants = {});

}  // namespace qtool
