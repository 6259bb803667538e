// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "passes/normed_layers.h"
#include "train/fake_quantize.h"

namespace qtool {

class TrainingStep;

/// What is folded: of statistics in training those of the batch, else the running ones.
enum class Statistics { batch, running };

/// Trains layers and their batch norms as one (Jacob et al. 2018, arXiv:1712.05877, section 3.2;
/// Krishnamoorthi 2018, arXiv:1806.08342, section 3.2.2): in a graph with FakeQuantize the weight
/// becomes w, the bias beta, gamma is a parameter as well, and before it is rounded, the weight is
/// w gamma / sqrt(variance + epsilon). With statistics of the batch, the layer runs once more with
/// w alone, which gives them; gradients flow through. The batch is a shard of the training step.
/// Layers whose weight or bias is no parameter stay folded.
void train_batch_norms(QuantizedTraining& training, const std::vector<NormedLayer>& layers,
                       Statistics statistics);

/// What TrainingStep has observed, over several batches.
class StatisticsMean {
 public:
  void add(const TrainingStep& step, size_t samples);

  /// Sets the running statistics to the mean and variance of all samples that were added.
  void put(std::vector<Parameter>& parameters, const std::vector<TrainedNorm>& norms) const;

 private:
  std::vector<std::vector<double>> means_;    ///< by parameter; of means sums
  std::vector<std::vector<double>> squares_;  ///< of mean squares, sums
  double samples_ = 0;
};

}  // namespace qtool
