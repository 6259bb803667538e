// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "quant/plan.h"

namespace qtool {

/// Carries out a plan that was made for this graph: only edits, no decisions. Each activation gets
/// one QuantizeLinear and one DequantizeLinear that all of its uses share (ONNX Runtime's
/// quantizer writes them so too, and the runtime itself gives each node unit its own); constants
/// become codes behind a DequantizeLinear; float constants that nobody reads any more go. Graph
/// inputs and outputs keep names and types. New names derive from the tensor's, and collide with
/// none. Errors (unsupported): the graph imports an opset older than the plan's.
void insert_qdq(Graph& graph, const QuantPlan& plan);

}  // namespace qtool
