// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <set>

#include "ops/op_def.h"

namespace qtool {

/// A node with several results that moves dequantized data (Split) starts no group, so it would
/// move floats. In the returned graph it moves the codes, and its results are dequantized behind
/// it or, where nothing but an equal QuantizeLinear reads one, not at all. Values in `kept` stay
/// what they are. Nothing where there is no such node.
std::optional<Graph> with_split_codes(const Graph& graph, const OpRegistry& ops,
                                      const std::set<ValueId>& kept);

}  // namespace qtool
