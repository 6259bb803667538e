// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "quant/plan.h"
#include "quant/ranges.h"

namespace qtool {

/// Adds to the plan the placements of weights, other constant operands and biases of all quantized
/// nodes.
///
/// A bias has the scale of the product, s_x * s_w[c], so its code can leave 32 bits where the
/// weights of a channel are tiny beside its bias. Then that channel's s_w is raised until the bias
/// takes 2^30 steps, which leaves as much again for the sum. A channel whose weights are all zero
/// has no scale of its own: it gets the one that gives its bias 2^20 steps. Consumers of one
/// constant share its codes where axis and parameters agree.
void plan_constants(const PlanContext& context, const Selection& selection,
                    const std::map<ValueId, ValueParams>& activations, QuantPlan& plan);

}  // namespace qtool
