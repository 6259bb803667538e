// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "calib/calibrate.h"
#include "quant/plan.h"
#include "rounding/segment_training.h"

namespace qtool {

enum class Learning {
  nearest,         ///< for measured biases or searched scales alone
  second_moments,  ///< GPTQ
  reconstruction,  ///< AdaRound, AdaQuant, BRECQ, QDrop
};

struct RoundingOptions {
  Learning learning = Learning::reconstruction;
  bool search_scales = false;  ///< SeqMSE first; not with reconstruction, which learns them
  bool measure_bias = false;   ///< not with reconstruction, which learns them
  /// Biases take off the mean error that a layer's own rounding adds; not with measured ones.
  bool keep_means = false;
  Granularity granularity = Granularity::layer;
  ReconstructionOptions training;
  bool learn_scales = false;  ///< of activations
  size_t batch = kLeadBatch;  ///< samples computed at a time; 1 where the graph takes no more
  uint64_t memory = uint64_t{1} << 30;  ///< bytes of samples in memory; the rest goes to files
  /// Second moments are taken of so many columns at a time: GPTQ then feeds errors back within
  /// these only, SeqMSE leaves wider layers as they are.
  size_t most_columns = 8192;
  /// Told what is begun: segment i of n, the first of its layers, iterations in all.
  std::function<void(size_t, size_t, const std::string&)> begin = {};
};

/// A float graph whose rounded weights lie on their plan's grids, and the plan, whose activation
/// scales and biases learned along.
struct RoundedModel {
  Graph graph;
  QuantPlan plan;
  std::vector<std::string> notes;  ///< a line a segment
  size_t batch = 0;                ///< samples of an iteration, where they were fewest
};

/// Leads samples through the float and the quantized model side by side, segment by segment, and
/// learns the rounding of each segment's weights (segment_training.h, gptq.h). Measured biases take
/// off, layer by layer, the mean difference between what the quantized layer makes in the
/// quantized model and what the float one makes, by channel (Nagel et al. 2019, arXiv:1906.04721,
/// appendix D). Memory is that of what
/// passes between two segments for all samples, beyond the limit on disk. The same samples and
/// options give the same bits, at any number of threads. Errors (unsupported): nothing to round;
/// a node with a body or without a gradient; (input): no samples. `count`: how many samples come.
RoundedModel learn_rounding(const Graph& graph, const QuantPlan& plan, const FeedSource& samples,
                            size_t count, const RoundingOptions& options);

}  // namespace qtool
