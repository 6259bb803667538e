// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>

#include "train/loss.h"
#include "train/parameter.h"

namespace qtool {

/// Samples that are computed together; a batch is cut into shards of so many.
inline constexpr size_t kShard = 16;

/// Loss and gradients of batches. A batch is cut into shards of kShard samples; each runs on one
/// thread, whichever is free, through a session that was compiled for one thread, and the shards'
/// gradients are added in order. So the result does not depend on the number of threads, to the
/// last bit, and nothing waits inside of a shard.
class TrainingStep {
 public:
  /// `forward` ends in `loss`; its parameters are inputs. `teacher` (null where the loss has no use
  /// for it) makes what loss.teacher names of the same inputs, as outputs in that order.
  /// Errors (unsupported): an op without a gradient.
  /// Of `norms` those with statistics of the batch are observed.
  TrainingStep(const Graph& forward, const AttachedLoss& loss,
               std::span<const Parameter> parameters, std::shared_ptr<const Graph> teacher,
               const std::vector<TrainedNorm>& norms = {});
  ~TrainingStep();

  /// The mean loss over the batch, and by parameter its gradient, undefined where the loss does not
  /// depend on it. Inputs by name; labels may be empty where the loss has no use for them. Errors
  /// (input): labels that are no classes, inputs that do not fit.
  double run(const TensorMap& inputs, std::span<const int64_t> labels,
             std::span<const Parameter> parameters);
  std::span<const Tensor> gradients() const;

  /// By parameter, for those of batch norms: mean and variance of the last batch as a whole. (What
  /// the graph uses are those of each shard.)
  std::span<const Tensor> statistics() const;

  /// Memory for activations of one thread, after the first run.
  size_t arena_bytes() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace qtool
