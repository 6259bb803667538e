// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>

#include "ops/op_def.h"
#include "quant/plan.h"
#include "train/parameter.h"

namespace qtool {

/// Makes the weights and biases of a float graph inputs to be trained: constants of these roles in
/// the records of the nodes that read them. `frozen` says which nodes keep theirs (null: none).
TrainableGraph trainable(const Graph& graph, const OpRegistry& ops,
                         const std::function<bool(NodeId)>& frozen = {});

/// Where the parameters of a plan's grids are found after insert_fake_quant.
struct LearnedGrid {
  size_t placement = 0;              ///< in the plan
  size_t scale = 0;                  ///< in the parameters
  std::optional<size_t> zero_point;  ///< in the parameters; nothing: as in the plan
};

struct QuantizedTraining {
  TrainableGraph trainable;
  std::vector<LearnedGrid> grids;  ///< one a placement, by placement
};

struct GridOptions {
  bool learn_scales = true;
  bool learn_zero_points = true;  ///< those strictly inside of their grid
};

/// Puts FakeQuantize where insert_qdq would put QuantizeLinear and DequantizeLinear, with the
/// plan's parameters to start from, RoundBias on biases, and takes away the nodes that the plan
/// removes. Values that
/// moves tie together share one learned scale, and are rounded once, where they are made. A
/// learned scale stays so small that a removed Clip remains implied by its grid. Gradients of
/// scales are multiplied by 1 / sqrt(n Q), n elements (of one sample, for activations) on a grid
/// with Q steps to its farther end (LSQ, arXiv:1902.08153, section 2.2).
QuantizedTraining insert_fake_quant(TrainableGraph float_graph, const OpRegistry& ops,
                                    const QuantPlan& plan, const GridOptions& options = {});

/// The plan with what was learned: parameters of grids, scales of biases to match, no shifts.
QuantPlan learned_plan(const Graph& graph, const OpRegistry& ops, const QuantPlan& plan,
                       const QuantizedTraining& learned);

/// A copy of `graph` with the trained weights and biases.
Graph with_learned_constants(const Graph& graph, const std::vector<Parameter>& parameters);

}  // namespace qtool
