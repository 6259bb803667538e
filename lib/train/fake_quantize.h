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
  bool power_of_two = false;         ///< the scale is the power of two nearest to the parameter
};

struct QuantizedTraining {
  TrainableGraph trainable;
  std::vector<LearnedGrid> grids;  ///< one a placement, by placement
};

/// How weights and scales learn in front of a rounding that has no slope.
enum class Quantizer {
  lsq,     ///< scales and zero points by LSQ and LSQ+
  ewgs,    ///< the same, with the gradients of elements scaled (EWGS)
  pact,    ///< activations by PACT, weights by DoReFa
  dorefa,  ///< weights by DoReFa; activations keep the ranges that they were calibrated to
};

/// Errors (usage): another word.
Quantizer parse_quantizer(const std::string& text);

/// The formulas are in kernels/host/fake_quantize.h and ops/gradients/fake_quantize.cpp. DoReFa's
/// weights begin as they are in the float model, on a grid that ends at the largest of a channel.
struct GridOptions {
  Quantizer quantizer = Quantizer::lsq;
  bool power_of_two_activations = false;  ///< scales learn, but are rounded to powers of two
  bool power_of_two_weights = false;
  bool learn_scales = true;
  bool learn_zero_points = true;  ///< those strictly inside of their grid
  /// Grids that only these nodes read stay as the plan has them; null: none.
  std::function<bool(NodeId)> frozen = {};
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

/// A copy of `graph` with the trained weights and biases; batch norms are folded into theirs.
Graph with_learned_constants(const Graph& graph, const std::vector<Parameter>& parameters,
                             const std::vector<TrainedNorm>& norms = {});

}  // namespace qtool
