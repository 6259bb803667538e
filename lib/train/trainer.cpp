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
    const size_t each = options.batch * options.accumulate;
    const size_t batches = (order.size() + each - 1) / each;  // that make a step
    schedule_.kind = options.schedule;
    schedule_.rate = options.rate;
    schedule_.steps = static_cast<int64_t>(batches) * options.epochs;
    schedule_.warm_up = static_cast<int64_t>(
        std::llround(std::max(0.0, options.warm_up) * static_cast<double>(batches)));
  }

  TrainEnd run(int until) {
    while (state_.epochs_done < until) {
      const double before = spent();
      EpochResult result = epoch(state_.epochs_done + 1);
      ++state_.epochs_done;
      if (hooks_.measure_statistics) {
        const Averaged averaged(parameters_, state_);
        hooks_.measure_statistics();
      }
      judge(result);
      state_.history.push_back(result);
      if (hooks_.epoch_done) hooks_.epoch_done(result);
      if (options_.patience > 0 && state_.best_epoch > 0 &&
          state_.epochs_done - state_.best_epoch >= options_.patience) {
        return TrainEnd::patience;
      }
      const double after = spent();
      if (options_.seconds > 0 && after + (after - before) > options_.seconds) {
        return TrainEnd::time;
      }
    }
    return TrainEnd::epochs;
  }

 private:
  double spent() const {
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - options_.start;
    return passed.count();
  }

  void judge(EpochResult& result) {
    if (!hooks_.validate) return;
    const Averaged averaged(parameters_, state_);
    result.accuracy = hooks_.validate();
    if (!result.accuracy || (state_.best_accuracy && *result.accuracy <= *state_.best_accuracy)) {
      return;
    }
    result.best = true;
    state_.best_accuracy = result.accuracy;
    state_.best_epoch = result.epoch;
    state_.best = copies(parameters_);
  }

  EpochResult epoch(int number) {
    const auto start = std::chrono::steady_clock::now();
    const auto stream = static_cast<uint64_t>(number);
    Order order = order_;
    const Order places = shuffled(order.size(), options_.seed, stream);
    for (size_t i = 0; i < order.size(); ++i) order[i] = order_[places[i]];
    const Augmented augmented(data_, options_.augmentation, steps_, options_.seed, stream);
    Loader loader(augmented, std::move(order), {.batch_size = options_.batch});
    for (Parameter& parameter : parameters_) {
      const bool grid =
          parameter.kind == Parameter::Kind::scale || parameter.kind == Parameter::Kind::zero_point;
      parameter.fixed =
          grid && options_.freeze_grids_after && number > *options_.freeze_grids_after;
    }
    EpochResult result;
    result.epoch = number;
    if (!state_.history.empty()) result.rate = state_.history.back().rate;
    size_t samples = 0;
    int64_t count = 0;
    while (auto batch = loader.next()) {
      ++count;
      const double loss = one_batch(*batch, number, count);
      result.loss += loss * static_cast<double>(batch->size);
      samples += batch->size;
      if (waiting_.batches == options_.accumulate || samples == order_.size()) {
        result.rate = update(number, count, loss);
      }
      if (hooks_.advance) hooks_.advance(batch->size, loss, result.rate);
    }
    result.loss /= static_cast<double>(std::max<size_t>(samples, 1));
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    result.samples_per_second = static_cast<double>(samples) / spent.count();
    return result;
  }

  double one_batch(Batch& batch, int number, int64_t count) {
    const std::vector<int64_t> labels = batch.labels;
    Mixed mixed;
    const double alpha = options_.augmentation.mixup;
    if (alpha > 0) {
      mixed = mix(batch, alpha, options_.seed, static_cast<uint64_t>(number),
                  static_cast<uint64_t>(count));
    }
    TensorMap inputs = hooks_.feeds(batch);
    feed(mixed, inputs);
    const double loss =
        within_frame([&] { return fmt::format("epoch {}, step {}", number, count); },
                     [&] { return step_.run(inputs, labels, parameters_); });
    // Beyond a millionfold of where it began nothing is learned any more, NaN or not.
    if (!first_loss_) first_loss_ = loss;
    if (!(std::abs(loss) <= 1e6 * (std::abs(*first_loss_) + 1))) diverged(number, count, loss);
    follow_statistics();
    ++waiting_.batches;
    waiting_.samples += batch.size;
    if (options_.accumulate > 1) accumulate(batch.size);
    return loss;
  }

  void follow_statistics() {
    const auto share = static_cast<float>(options_.statistics_momentum);
    const auto observed = step_.statistics();
    for (size_t p = 0; p < observed.size(); ++p) {
      if (observed[p].dtype() == DType::undefined) continue;
      const auto from = observed[p].data<float>();
      const auto to = parameters_[p].value.data<float>();
      for (size_t c = 0; c < from.size(); ++c) to[c] += share * (from[c] - to[c]);
    }
  }

  /// Sums of gradients, times the samples of each batch.
  void accumulate(size_t samples) {
    const auto share = static_cast<float>(samples);
    waiting_.sums.resize(parameters_.size());
    for (size_t p = 0; p < parameters_.size(); ++p) {
      const Tensor& gradient = step_.gradients()[p];
      if (gradient.dtype() == DType::undefined) continue;
      Tensor& sum = waiting_.sums[p];
      if (sum.dtype() == DType::undefined) sum = Tensor(DType::float32, gradient.shape());
      const auto from = gradient.data<float>();
      const auto to = sum.data<float>();
      for (size_t i = 0; i < from.size(); ++i) to[i] += share * from[i];
    }
  }

  double update(int number, int64_t count, double loss) {
    for (Tensor& sum : waiting_.sums) {
      if (sum.dtype() == DType::undefined) continue;
      for (float& g : sum.data<float>()) g /= static_cast<float>(waiting_.samples);
    }
    const bool one = waiting_.sums.empty();
    const std::span<const Tensor> gradients = one ? step_.gradients() : waiting_.sums;
    const double done = options_.seconds > 0 ? spent() / options_.seconds : 0;
    const double rate = schedule_.at(std::max(
        state_.optimizer.steps(),
        static_cast<int64_t>(std::min(done, 1.0) * static_cast<double>(schedule_.steps - 1))));
    const double norm =
        state_.optimizer.update(parameters_, damped(gradients, schedule_.steps), rate);
    if (!std::isfinite(norm)) diverged(number, count, loss);
    if (options_.oscillation.freeze > 0) {
      freeze_oscillating(options_.oscillation, options_.weight_grids, parameters_,
                         state_.oscillation);
    }
    average();
    waiting_ = {};
    return rate;
  }

  std::span<const Tensor> damped(std::span<const Tensor> gradients, int64_t steps) {
    if (options_.oscillation.damping <= 0) return gradients;
    damped_.clear();
    for (const Tensor& gradient : gradients) damped_.push_back(gradient.clone());
    const auto done = static_cast<double>(state_.optimizer.steps());
    dampen(options_.oscillation, options_.weight_grids, parameters_,
           done / static_cast<double>(std::max<int64_t>(steps, 1)), damped_);
    return damped_;
  }

  void average() {
    if (options_.average <= 0) return;
    if (state_.average.empty()) state_.average = copies(parameters_);
    const auto t = static_cast<double>(state_.optimizer.steps());
    const auto keep = static_cast<float>(std::min(options_.average, (1 + t) / (10 + t)));
    for (size_t p = 0; p < parameters_.size(); ++p) {
      const auto from = parameters_[p].value.data<float>();
      const auto to = state_.average[p].data<float>();
      for (size_t i = 0; i < from.size(); ++i) to[i] = keep * to[i] + (1 - keep) * from[i];
    }
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
  std::vector<Tensor> damped_;        ///< gradients of one step
  std::optional<double> first_loss_;  ///< of this run

  /// What the next step is made of.
  struct Waiting {
    size_t batches = 0;
    size_t samples = 0;
    std::vector<Tensor> sums = {};  ///< by parameter; empty: one batch makes a step
  };
  Waiting waiting_;
};

}  // namespace

Averaged::Averaged(std::vector<Parameter>& parameters, TrainState& state)
    : parameters_(parameters), state_(state) {
  for (size_t p = 0; p < state.average.size(); ++p) {
    std::swap(parameters[p].value, state.average[p]);
  }
}

Averaged::~Averaged() {
  for (size_t p = 0; p < state_.average.size(); ++p) {
    std::swap(parameters_[p].value, state_.average[p]);
  }
}

void feed(const Mixed& mixed, TensorMap& inputs) {
  if (mixed.partners.empty()) return;
  const auto samples = static_cast<int64_t>(mixed.partners.size());
  const std::vector<float> shares(mixed.partners.size(), mixed.share);
  inputs.emplace("~share", Tensor::of<float>({samples}, shares));
  inputs.emplace("~partners", Tensor::of<int64_t>({samples}, mixed.partners));
}

TrainingSize training_size(const std::vector<Parameter>& parameters) {
  TrainingSize size;
  for (const Parameter& parameter : parameters) {
    switch (parameter.kind) {
      case Parameter::Kind::weight: size.weights += parameter.value.size(); break;
      case Parameter::Kind::bias: size.biases += parameter.value.size(); break;
      case Parameter::Kind::scale: size.scales += parameter.value.size(); break;
      case Parameter::Kind::zero_point: size.zero_points += parameter.value.size(); break;
      case Parameter::Kind::norm: size.norms += parameter.value.size(); break;
      case Parameter::Kind::statistic: break;
    }
  }
  return size;
}

uint64_t training_bytes(const std::vector<Parameter>& parameters, const TrainOptions& options) {
  const TrainingSize size = training_size(parameters);
  const auto one = static_cast<uint64_t>(size.weights + size.biases + size.scales +
                                         size.zero_points + size.norms) *
                   sizeof(float);
  const uint64_t shards = (options.batch + kShard - 1) / kShard;
  const uint64_t moments = options.optimizer.kind == OptimizerSpec::Kind::sgd ? 1 : 2;
  const uint64_t averages = options.average > 0 ? 1 : 0;
  const uint64_t sums = options.accumulate > 1 ? 1 : 0;
  return one * (2 + shards + moments + averages + sums);
}

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

TrainEnd train(std::vector<Parameter>& parameters, TrainingStep& step, TrainState& state,
               const Dataset& data, const Order& order, const Preprocessing& steps,
               const TrainOptions& options, const TrainHooks& hooks, int until) {
  return Training(parameters, step, state, data, order, steps, options, hooks)
      .run(until > 0 ? until : options.epochs);
}

}  // namespace qtool
