// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ir/graph.h"

namespace qtool {

/// For training: outputs that a Cast makes of float32 values, as compute_in_float leaves those of
/// a model in halves, are these values themselves. What is left keeps its ids.
void output_floats(Graph& graph);

}  // namespace qtool
