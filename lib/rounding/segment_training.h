// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "rounding/lead.h"
#include "rounding/segments.h"
#include "rounding/soft_rounding.h"
#include "train/fake_quantize.h"

namespace qtool {

struct ReconstructionOptions {
  size_t iterations = 2000;    ///< a segment
  size_t batch = 32;           ///< samples of an iteration
  double rate = 0.01;          ///< of the rounding variables
  double scale_rate = 0.0005;  ///< of activation scales, relative to each
  double bias_rate = 0.0005;   ///< of biases, relative to the largest target
  double lambda = 0.01;        ///< of the regularizer
  double warm_up = 0.2;        ///< part of the iterations without it
  bool drop = false;           ///< QDrop
  bool adaquant = false;       ///< weights by AdaQuant (adaquant.h), not AdaRound
  uint64_t memory = 0;         ///< bytes for a batch and its gradients, 0: any; cuts the batch
  uint64_t seed = 1;
  std::function<void(size_t)> advance = {};  ///< told the iterations done
};

/// What a segment's training works on. Stores hold what passes into both graphs and the targets.
struct SegmentTask {
  const SegmentGraphs& graphs;
  const Segment& segment;
  const Stores& quantized;
  const Stores& reference;
  size_t samples;
  std::vector<Parameter*> biases;
  std::vector<Parameter*> scales;  ///< of activations
};

/// A weight to be rounded: the parameter, which ends on the grid, whose scales may learn along.
struct RoundedWeight {
  Parameter* weight = nullptr;
  QuantParams* params = nullptr;
};

struct SegmentResult {
  double before = 0;  ///< squared error over power, rounded to nearest
  double after = 0;
  double changed = 0;  ///< part of the weights that were not rounded to nearest
  size_t batch = 0;    ///< samples of an iteration, fewer than asked for where memory was short
};

/// Learns how the weights of a segment are rounded so that its results come near the float ones
/// for what the quantized model in front gives it: AdaRound (soft_rounding.h) for a layer, BRECQ
/// (Li et al. 2021, arXiv:2102.05426, with plain squared errors) for a block; scales of activations
/// and biases learn along. With `drop`, each element of what comes in, and of what is rounded
/// within, is the float one with probability 1/2 (QDrop, Wei et al. 2022, arXiv:2203.05740).
SegmentResult train_segment(const SegmentTask& task, std::vector<RoundedWeight> weights,
                            const ReconstructionOptions& options);

}  // namespace qtool
