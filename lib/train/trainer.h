// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>

#include "data/augment.h"
#include "data/batch.h"
#include "support/json.h"
#include "train/fake_quantize.h"
#include "train/optimizer.h"
#include "train/step.h"

namespace qtool {

struct TrainOptions {
  int epochs = 1;
  size_t batch = 64;
  OptimizerSpec optimizer = {};
  Schedule::Kind schedule = Schedule::Kind::cosine;
  double rate = 0.01;
  double warm_up = 0;  ///< epochs
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
};

/// {"accuracy", "epoch", "loss", "lr"}: what does not change from run to run.
Json to_json(const EpochResult& result);
EpochResult epoch_from_json(const Json& json);

/// What the trainer is told and asked.
struct TrainHooks {
  std::function<TensorMap(Batch&)> feeds;                         ///< inputs of the model
  std::function<std::optional<double>()> validate = {};           ///< accuracy, after an epoch
  std::function<void(const EpochResult&)> epoch_done = {};        ///< state and best are settled
  std::function<void(size_t samples, double loss)> advance = {};  ///< after each step
};

/// Trains the parameters from state.epochs_done to options.epochs. Samples are shuffled by seed and
/// epoch; the same options give the same bits at any thread count, and so does going on from a
/// state between two epochs. Errors (input): a loss or gradient that is not finite, with the
/// epoch and step and the tensor; parameters and state are then of no more use.
void train(std::vector<Parameter>& parameters, TrainingStep& step, TrainState& state,
           const Dataset& data, const Order& order, const Preprocessing& steps,
           const TrainOptions& options, const TrainHooks& hooks);

}  // namespace qtool
