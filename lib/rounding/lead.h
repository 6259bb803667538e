// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <span>
#include <vector>

#include "calib/calibrate.h"
#include "ops/op_def.h"
#include "rounding/sample_store.h"

namespace qtool {

/// Samples are computed so many at a time: a number that hardly any other extent has.
inline constexpr size_t kLeadBatch = 17;

/// Tensors of all samples, by value.
using Stores = std::map<ValueId, std::shared_ptr<SampleStore>>;

/// All samples, input by input. Errors (unsupported): an input that does not count them in front.
Stores gather(const Graph& graph, const FeedSource& source, size_t count, MemoryBudget& budget);

/// The inputs' shapes for batches of `batch`.
std::map<std::string, Shape> batch_shapes(const Stores& inputs, const Graph& graph, size_t batch);

/// Computes these nodes of a graph for all samples, of which `facts` has `batch` at a time:
/// `inputs` are read from the stores, `outputs` are added to them, those that do not count the
/// samples in front as whole rows.
void lead(const Graph& graph, const OpRegistry& ops, const Facts& facts,
          std::span<const NodeId> nodes, std::span<const ValueId> inputs,
          std::span<const ValueId> outputs, size_t samples, size_t batch, MemoryBudget& budget,
          Stores& stores);

}  // namespace qtool
