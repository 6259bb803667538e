// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <optional>

#include "data/augment.h"
#include "data/batch.h"
#include "support/json.h"
#include "train/fake_quantize.h"
#include "train/optimizer.h"
#include "train/oscillation.h"
#include "train/step.h"

namespace qtool {

struct TrainOptions {
  int epochs = 1;
  size_t batch = 64;
  size_t accumulate = 1;  ///< batches whose mean gradient makes one step
  OptimizerSpec optimizer = {};
  Schedule::Kind schedule = Schedule::Kind::cosine;
  double rate = 0.01;
  double warm_up = 0;  ///< epochs
  /// Share of the old in the running average of the parameters, below 1; 0: none. It begins as
  /// min(average, (1 + t) / (10 + t)) after t steps, so that the start is soon forgotten.
  double average = 0;
  double statistics_momentum = 0.1;  ///< share of the new in running statistics of batch norms
  /// Epochs after which scales and zero points stay as they are; none: they always learn.
  std::optional<int> freeze_grids_after = {};
  OscillationSpec oscillation = {};
  std::vector<WeightGrid> weight_grids = {};  ///< that `oscillation` is about
  int patience = 0;  ///< ends after so many epochs without a better accuracy; 0: never
  /// Ends with the epoch after which another would not fit; 0: no end. The learning rate then falls
  /// by the time spent where that is further on than the steps, so results differ from run to run.
  double seconds = 0;
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();  ///< of seconds
  Augmentation augmentation = {};
  uint64_t seed = 1;
};

struct EpochResult {
  int epoch = 0;  ///< counted from 1
  double loss = 0;
  double rate = 0;                ///< learning rate of the last step
  double samples_per_second = 0;  ///< not kept by checkpoints
  std::optional<double> accuracy;
  bool best = false;
};

/// What a training is made of besides the parameters: all that a checkpoint must hold.
struct TrainState {
  int epochs_done = 0;
  Optimizer optimizer;
  std::optional<double> best_accuracy;  ///< of the epochs validated
  int best_epoch = 0;                   ///< counted from 1; 0: none yet
  std::vector<Tensor> best;             ///< parameters after it
  std::vector<EpochResult> history = {};
  std::vector<Tensor> oscillation = {};  ///< of freeze_oscillating()
  std::vector<Tensor> average = {};      ///< running, of the parameters; empty: none is kept
};

/// Puts the running averages, where there are any, in the parameters' place, until it ends: what
/// validation and export are to see.
class Averaged {
 public:
  Averaged(std::vector<Parameter>& parameters, TrainState& state);
  ~Averaged();
  Averaged(const Averaged&) = delete;
  Averaged& operator=(const Averaged&) = delete;

 private:
  std::vector<Parameter>& parameters_;
  TrainState& state_;
};

/// {"accuracy", "epoch", "loss", "lr"}: what does not change from run to run.
Json to_json(const EpochResult& result);
EpochResult epoch_from_json(const Json& json);

/// What the trainer is told and asked.
struct TrainHooks {
  std::function<TensorMap(Batch&)> feeds;  ///< inputs of the model
  /// After each epoch, with averaged parameters: running statistics are to be measured anew.
  std::function<void()> measure_statistics = {};
  std::function<std::optional<double>()> validate = {};     ///< accuracy, of averaged parameters
  std::function<void(const EpochResult&)> epoch_done = {};  ///< state and best are settled
  /// After each batch; `rate` is the learning rate of the last step.
  std::function<void(size_t samples, double loss, double rate)> advance = {};
};

/// Adds what a loss of mixed samples reads (LossSpec::mixed); nothing where no labels were mixed.
void feed(const Mixed& mixed, TensorMap& inputs);

/// How many numbers are trained.
struct TrainingSize {
  int64_t weights = 0;
  int64_t biases = 0;
  int64_t scales = 0;
  int64_t zero_points = 0;
  int64_t norms = 0;  ///< gammas of batch norms
};
TrainingSize training_size(const std::vector<Parameter>& parameters);

/// Bytes for parameters, their gradients (the batch's and each shard's), momentum and averages.
uint64_t training_bytes(const std::vector<Parameter>& parameters, const TrainOptions& options);

/// Why a training came to its end.
enum class TrainEnd { epochs, patience, time };

/// Trains the parameters from state.epochs_done to `until` of options.epochs (0: to all of them).
/// Samples are shuffled by seed and epoch; the same options give the same bits at any thread count,
/// and so does going on from a state between two epochs. Errors (input): a loss or gradient that
/// is not finite, with the epoch and step and the tensor; parameters and state are then of no more
/// use.
TrainEnd train(std::vector<Parameter>& parameters, TrainingStep& step, TrainState& state,
               const Dataset& data, const Order& order, const Preprocessing& steps,
               const TrainOptions& options, const TrainHooks& hooks, int until = 0);

}  // namespace qtool
