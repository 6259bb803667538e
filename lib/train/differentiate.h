// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <span>

#include "ops/gradient.h"

namespace qtool {

/// A graph and, in it, the gradients of its loss. Ids of the forward graph's values and nodes are
/// the same here; the gradients are no outputs yet.
struct Differentiated {
  Graph graph;
  std::map<ValueId, ValueId> gradient_of;  ///< by parameter; none for those the loss ignores
};

/// Emits the backward pass of `loss` (one number, a value of the graph) for the values
/// `parameters`, node by node in reverse order, by each record's `gradient`; what several readers
/// contribute is added in the order of the nodes. The result is an ordinary graph for a Session
/// with training_ops(). Errors (unsupported): an op without a gradient between a parameter and the
/// loss, with the node and the parameter.
Differentiated differentiate(const Graph& forward, const OpRegistry& ops, ValueId loss,
                             std::span<const ValueId> parameters);

}  // namespace qtool
