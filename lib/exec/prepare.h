// SPDX-License-Identifier: Apache-2.0
// Internal to this room: what compilation looks up in a graph before it makes anything.
#pragma once

#include <set>
#include <vector>

#include "ops/op_def.h"

namespace qtool {

/// Errors (unsupported): an op that the registry does not have, also in bodies.
void check_ops(const Graph& graph, const OpRegistry& ops);

/// By node: whether its results reach an output or a value in `kept`, other than by what is known
/// before the run.
std::vector<bool> needed_nodes(const Graph& graph, const Facts& facts,
                               const std::set<ValueId>& kept);

/// By value: channels_last for those that end up, through ops that keep what they get, in one that
/// wants it.
std::vector<Layout> wanted_layouts(const Graph& graph, const OpRegistry& ops,
                                   const std::vector<NodeId>& order);

}  // namespace qtool
