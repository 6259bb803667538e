// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "ops/op_def.h"
#include "quant/plan.h"

namespace qtool {

/// What a plan does to its graph, for the terminal: tensors by kind, nodes per op type on codes
/// and in float, what stays float and why (nodes with the same reason together), activations that
/// go, warnings.
std::string summary(const QuantPlan& plan, const Graph& graph);

/// The tensors on grids of fewer than 8 bits and how these are stored, a line a width; else "".
std::string narrow_grids(const QuantPlan& plan);

}  // namespace qtool
