// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <vector>

#include "ops/op_def.h"

namespace qtool {

enum class Granularity {
  layer,  ///< one layer with weights each
  block,  ///< from one place where a single tensor passes to the next: residual blocks
};

/// Consecutive nodes, and what passes between them and the others. `quantized` is the float graph
/// with FakeQuantize and RoundBias in it; ids of what both have are the same.
struct Segment {
  std::vector<NodeId> nodes;          ///< of the quantized graph, in order
  std::vector<NodeId> float_nodes;    ///< of the float graph, in order
  std::vector<NodeId> layers;         ///< those of them that read weights to be rounded
  std::vector<ValueId> inputs;        ///< read here, made before (or fed), in the quantized graph
  std::vector<ValueId> float_inputs;  ///< the same of the float graph
  std::vector<ValueId> kept;          ///< made here, read later, in the quantized graph
  std::vector<ValueId> float_kept;
  std::vector<ValueId> targets;  ///< real numbers made here that are read later or are results
};

struct SegmentGraphs {
  const Graph& float_graph;
  const Facts& float_facts;  ///< for batches of `batch`
  const Graph& quantized;
  const Facts& facts;
  int64_t batch;
  std::function<bool(NodeId)> is_layer;
};

/// Cuts both graphs at the same places. A place is fit where all that passes has the batch in
/// front; in block mode also where only one tensor of the float graph passes, or six layers have
/// gone by.
std::vector<Segment> segments(const SegmentGraphs& graphs, Granularity granularity);

/// The float graph's value that this value of the quantized graph stands for.
ValueId float_value(const SegmentGraphs& graphs, ValueId quantized);

}  // namespace qtool
