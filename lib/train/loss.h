// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "ir/graph.h"

namespace qtool {

/// What is minimised: the weighted sum of the terms, each a mean over the samples.
struct LossSpec {
  double cross_entropy = 1;       ///< with the labels; 0: labels are not needed
  double label_smoothing = 0;     ///< 0 to 1
  double distillation = 0;        ///< toward the float model's scores
  double temperature = 4;         ///< of the distillation, > 0
  double mean_squared_error = 0;  ///< toward the float model's scores
};

/// Adds the loss of class scores [N, C] (or probabilities that a Softmax makes; the loss then looks
/// in front of it) to a graph, in the place of all its outputs; the inputs "~labels" int64 [N] and
/// "~teacher" (scores of the same kind) where terms read them.
struct AttachedLoss {
  ValueId loss = ValueId::none;
  ValueId labels = ValueId::none;
  ValueId teacher = ValueId::none;
};
AttachedLoss attach_loss(Graph& graph, ValueId scores, const LossSpec& spec);

}  // namespace qtool
