// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ops/op_def.h"
#include "quant/plan.h"

namespace qtool {

/// Indices of the placements of what the bias's node multiplies: its data and its weights.
struct BiasOperands {
  size_t data = 0;
  size_t weights = 0;
};
BiasOperands bias_operands(const Graph& graph, const OpRegistry& ops, const QuantPlan& plan,
                           const BiasPlacement& bias);

/// The least scale above `wanted`, inside of what scales may be.
float raised_scale(double wanted, bool power_of_two);

/// Makes the biases of a plan fit its other parameters again, after these were changed: scale =
/// the input's times the weights'. Where a bias (as in the graph) would leave 2^30 steps, the
/// weights' scale of that channel is raised first, as in planning (to a power of two where all
/// are).
void settle_biases(const Graph& graph, const OpRegistry& ops, QuantPlan& plan);

}  // namespace qtool
