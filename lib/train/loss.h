// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "ir/graph.h"

namespace qtool {

/// What is minimised: the weighted sum of the terms, each a mean over the samples.
struct LossSpec {
  double cross_entropy = 1;    ///< with the labels; 0: labels are not needed
  double label_smoothing = 0;  ///< 0 to 1
  bool mixed = false;  ///< cross-entropy with the labels of two samples each (data/augment.h: mix)
  double binary = 0;  ///< cross-entropy of each score's sigmoid: 1 at the label's class, else 0; of
                      ///< one score alone: the label itself, 0 or 1
  double distillation = 0;        ///< toward the float model's scores
  double temperature = 4;         ///< of the distillation, > 0
  double mean_squared_error = 0;  ///< toward the float model's outputs
  double absolute_error = 0;      ///< toward the float model's outputs: the mean of |difference|
  double features = 0;  ///< toward the float model's tensors between layers: the mean over them of
                        ///< the squared error over the mean square

  bool labelled() const { return cross_entropy > 0 || binary > 0; }
  bool scored() const { return labelled() || distillation > 0; }
};

/// The terms "cross-entropy", "bce", "distill", "mse", "l1", "features" with commas between, each
/// with a weight if need be, as in "cross-entropy,distill:0.5". Errors (usage): another text.
LossSpec parse_loss(const std::string& text);

/// What the loss is attached to; ids of scores and outputs are those of the float graph as well.
struct LossTargets {
  ValueId scores = ValueId::none;  ///< [N, C]; for terms with classes
  std::vector<ValueId> outputs;    ///< for errors
  struct Feature {
    ValueId value = ValueId::none;    ///< here
    ValueId teacher = ValueId::none;  ///< in the float graph
  };
  std::vector<Feature> features;
  /// Of the float graph, what is compared with the scores, or with what a Softmax makes them of,
  /// where a grid stands between; none: what has that id.
  ValueId teacher = ValueId::none;
};

/// Adds the loss of class scores (or of probabilities that a Softmax or Sigmoid makes; the loss
/// then looks in front of it) and of other values to a graph, in the place of all its outputs. The
/// inputs "~labels" int64 [N], for mixed samples "~partners" int64 [N] and "~share" [N], and
/// "~teacher", "~teacher_1" ... where terms read them.
struct AttachedLoss {
  ValueId loss = ValueId::none;
  ValueId labels = ValueId::none;
  struct Lesson {
    ValueId input = ValueId::none;
    ValueId value = ValueId::none;  ///< of the float graph, to be fed
  };
  std::vector<Lesson> teacher;
};
AttachedLoss attach_loss(Graph& graph, const LossTargets& targets, const LossSpec& spec);

}  // namespace qtool
