// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ops/op_def.h"

namespace qtool {

/// A tensor that a float model and a quantized copy of it both compute.
struct SharedTensor {
  std::string name;                   ///< as the float model calls it
  std::string node;                   ///< of the quantized model, that makes it; may have no name
  std::string op;                     ///< of that node; "" for an input
  ValueId reference = ValueId::none;  ///< in the float graph
  ValueId source = ValueId::none;     ///< in the quantized graph: its floats
  ValueId candidate = ValueId::none;  ///< its codes there where it has any, else its floats
  std::optional<QuantParams> params;  ///< of the codes
  Range represented;                  ///< what the codes can hold, and a Clip in front lets through
  NodeId quantizer = NodeId::none;    ///< that makes the codes
};

/// All of them, paired by name, in the order in which the quantized graph computes them. Both
/// graphs are prepared (preparation_pipeline). A quantized tensor goes by its codes, so that
/// looking at it keeps nothing from being fused; floats that only wait for their QuantizeLinear
/// (a Conv's result in front of its Relu) are left out for the same reason.
std::vector<SharedTensor> shared_tensors(const Graph& reference, const Graph& candidate,
                                         const OpRegistry& ops);

/// The quantized graph with every shared tensor that a node computes cut: it is computed as
/// before, but whoever reads it reads a graph input instead, named by `inputs` (by the tensor's
/// place in `tensors`; "" where it is not cut), which takes the float model's tensor. So each layer
/// shows its own error alone. Ids of tensors are kept.
struct CutGraph {
  Graph graph;
  std::vector<std::string> inputs;
};
CutGraph cut_at(const Graph& candidate, const std::vector<SharedTensor>& tensors);

}  // namespace qtool
