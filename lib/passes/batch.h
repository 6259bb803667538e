// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ops/op_def.h"

namespace qtool {

/// The model for batches of `batch` where it was exported for batches of one: every input of rank 2
/// and more that begins with 1 begins with `batch`, a Reshape of samples to a constant shape that
/// begins with 1 copies the extent instead, and types that the file declares are inferred anew. As
/// it is where no input begins with 1. Errors (input): the graph does not allow it, because a node
/// contradicts that (it is named), or because an output would not be a batch.
Graph with_batch(const Graph& graph, const OpRegistry& ops, int64_t batch);

/// The same with the extent left open. Values and nodes keep their ids. Errors: as with_batch.
Graph with_open_batch(const Graph& graph, const OpRegistry& ops);

}  // namespace qtool
