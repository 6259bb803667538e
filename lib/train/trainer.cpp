// SPDX-License-Identifier: Apache-2.0
#include "train/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

namespace qtool {

namespace {

std::vector<Tensor> copies(const std::vector<Parameter>& parameters) {
  std::vector<Tensor> all;
  for (const Parameter& parameter : parameters) all.push_back(parameter.value.clone());
  return all;
}

class Training {
 public:
  Training(std::vector<Parameter>& parameters, TrainingStep& step, TrainState& state,
           const Dataset& data, const Order& order, const Preprocessing& steps,
           const TrainOptions& options, const TrainHooks& hooks)
      : parameters_(parameters), step_(step), state_(state), data_(data), order_(order),
        steps_(steps), options_(options), hooks_(hooks) {
    const size_t batches = (order.size() + options.batch - 1) / options.batch;
    schedule_.kind = options.schedule;
    schedule_.rate = options.rate;
    schedule_.steps = static_cast<int64_t>(batches) * options.epochs;
    schedule_.warm_up = static_cast<int64_t>(
        std::llround(std::max(0.0, options.warm_up) * static_cast<double>(batches)));
  }

  void run() {
    while (state_.epochs_done < options_.epochs) {
      EpochResult result = epoch(state_.epochs_done + 1);
      ++state_.epochs_done;
      if (hooks_.validate) result.accuracy = hooks_.validate();
      if (result.accuracy && (!state_.best_accuracy || *result.accuracy > *state_.best_accuracy)) {
        result.best = true;
        state_.best_accuracy = result.accuracy;
        state_.best_epoch = result.epoch;
        state_.best = copies(parameters_);
      }
      state_.history.push_back(result);
      if (hooks_.epoch_done) hooks_.epoch_done(result);
    }
  }

 private:
  EpochResult epoch(int number) {
    const auto start = std::chrono::steady_clock::now();
    const auto stream = static_cast<uint64_t>(number);
    Order order = order_;
    const Order places = shuffled(order.size(), options_.seed, stream);
    for (size_t i = 0; i < order.size(); ++i) order[i] = order_[places[i]];
    const Augmented augmented(data_, options_.augmentation, steps_, options_.seed, stream);
    Loader loader(augmented, std::move(order), {.batch_size = options_.batch});
    EpochResult result;
    result.epoch = number;
    size_t samples = 0;
    int64_t count = 0;
    while (auto batch = loader.next()) {
      ++count;
      const double loss = one_step(*batch, number, count, result.rate);
      result.loss += loss * static_cast<double>(batch->size);
      samples += batch->size;
      if (hooks_.advance) hooks_.advance(batch->size, loss);
    }
    result.loss /= static_cast<double>(std::max<size_t>(samples, 1));
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    result.samples_per_second = static_cast<double>(samples) / spent.count();
    return result;
  }

  double one_step(Batch& batch, int number, int64_t count, double& rate) {
    const std::vector<int64_t> labels = batch.labels;
    const TensorMap inputs = hooks_.feeds(batch);
    const double loss =
        within_frame([&] { return fmt::format("epoch {}, step {}", number, count); },
                     [&] { return step_.run(inputs, labels, parameters_); });
    rate = schedule_.at(state_.optimizer.steps());
    const double norm = state_.optimizer.update(parameters_, step_.gradients(), rate);
    // Beyond a millionfold of where it began nothing is learned any more, NaN or not.
    if (!first_loss_) first_loss_ = loss;
    const bool lost = !(std::abs(loss) <= 1e6 * (std::abs(*first_loss_) + 1));
    if (lost || !std::isfinite(norm)) diverged(number, count, loss);
    return loss;
  }

  [[noreturn]] void diverged(int number, int64_t count, double loss) const {
    std::string where;
    for (size_t p = 0; p < parameters_.size() && where.empty(); ++p) {
      const Tensor& gradient = step_.gradients()[p];
      if (gradient.dtype() == DType::undefined) continue;
      if (!std::ranges::all_of(gradient.data<float>(), [](float g) { return std::isfinite(g); })) {
        where = "; the gradient of \"" + parameters_[p].name + "\" is not finite";
      }
    }
    throw input_error(fmt::format("training diverged in epoch {}, step {}: the loss is {}{}",
                                  number, count, loss, where),
                      "Take a smaller --lr, a warm-up, or --clip-norm 1.");
  }

  std::vector<Parameter>& parameters_;
  TrainingStep& step_;
  TrainState& state_;
  const Dataset& data_;
  const Order& order_;
  const Preprocessing& steps_;
  const TrainOptions& options_;
  const TrainHooks& hooks_;
  Schedule schedule_;
  std::optional<double> first_loss_;  ///< of this run
};

}  // namespace

Json to_json(const EpochResult& result) {
  Json json{{"epoch", result.epoch}, {"loss", result.loss}, {"lr", result.rate}};
  if (result.accuracy) json["accuracy"] = *result.accuracy;
  return json;
}

EpochResult epoch_from_json(const Json& json) {
  EpochResult result;
  result.epoch = member<int>(json, "epoch");
  result.loss = member<double>(json, "loss");
  result.rate = member<double>(json, "lr");
  if (json.contains("accuracy")) result.accuracy = member<double>(json, "accuracy");
  return result;
}

void train(std::vector<Parameter>& parameters, TrainingStep& step, TrainState& state,
           const Dataset& data, const Order& order, const Preprocessing& steps,
           const TrainOptions& options, const TrainHooks& hooks) {
  Training(parameters, step, state, data, order, steps, options, hooks).run();
}

}  // namespace qtool
