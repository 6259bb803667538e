// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <set>

#include "ops/op_def.h"

namespace qtool {

/// The graph with each GELU that is spelled out in elementary ops (by Erf, or approximated by
/// Tanh) as one node, which a product in front can compute as it stores; nothing where there is
/// none. Values in `kept` stay. Results differ from those of the spelled-out form by a few units
/// in the last place.
std::optional<Graph> with_gelu(const Graph& graph, const std::set<ValueId>& kept);

}  // namespace qtool
