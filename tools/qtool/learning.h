// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "calibration.h"

namespace qtool {

/// Whether the recipe has a method that learns weights or biases from samples beside the table.
bool learns(const Recipe& recipe);

/// Whether it has any method that does.
bool reads_samples(const Recipe& recipe);

/// The first samples as batches for a graph, at most `usual` without --samples, as they are asked
/// for; progress under this name.
FeedSource first_samples(const Graph& graph, const DataOptions& data, size_t usual,
                         const char* name, const Globals& globals, Log& log);

/// Learns how weights are rounded, as the recipe wishes, from the samples: graph and plan are then
/// what was learned. `memory_limit`: what the process may have resident; samples beyond go to
/// files. Errors (input): no samples; (unsupported): as of learn_rounding.
void learn(Graph& graph, QuantPlan& plan, const Recipe& recipe, const DataOptions& data,
           std::optional<uint64_t> memory_limit, const Globals& globals, Log& log);

}  // namespace qtool
