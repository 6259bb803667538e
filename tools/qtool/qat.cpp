// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <cmath>
#include <cstdio>

#include "evaluate.h"
#include "exec/session_runner.h"
#include "onnx_io/onnx_io.h"
#include "passes/batch.h"
#include "passes/pipelines.h"
#include "qat_log.h"
#include "qat_model.h"
#include "quant/summary.h"
#include "support/file.h"
#include "support/text.h"
#include "train/checkpoint.h"

namespace qtool {

namespace {

constexpr size_t kEvaluationBatch = 32;

std::string percent(double share) { return fmt::format("{:.2f} %", 100 * share); }

DataOptions::Opened open_labelled(const DataOptions& options, bool needed, const char* remedy) {
  DataOptions::Opened opened = options.open();
  if (needed && !opened.dataset->labelled())
    throw input_error(options.data + " has no labels", remedy);
  return opened;
}

/// One training, from the flags to the table at the end.
class Qat {
 public:
  Qat(const QatFlags& flags, const Globals& globals)
      : flags_(flags), globals_(globals), log_(globals.log_level()),
        training_log_(flags.log, flags.log_steps),
        data_(open_labelled(flags.data, flags.loss.labelled(),
                            "--distill learns from the float model instead of labels.")) {
    if (flags.validation.given())
      validation_ = open_labelled(flags.validation, true, "--val measures accuracy.");
    model_.emplace(flags, data_.order.size(), globals, log_);
    begin();
  }

  int run() {
    if (flags_.dry_run) return dry_run();
    if (flags_.resume) resume();
    if (validation_) measure_before();
    train_epochs();
    return finish();
  }

 private:
  void begin() {
    state_.emplace(
        TrainState{0, Optimizer(flags_.train.optimizer, model_->parameters()), {}, 0, {}, {}});
  }

  void resume() {
    const size_t stage = stage_of(flags_.stages, epochs_in_checkpoint(flags_.checkpoint));
    const int done = epochs_in_checkpoint(flags_.checkpoint);
    const bool frozen = flags_.freeze_bn_after && done >= *flags_.freeze_bn_after;
    if (stage > 0 || frozen) {
      model_->enter(stage, frozen ? Statistics::running : Statistics::batch);
      begin();
    }
    read_checkpoint(flags_.checkpoint, identity(), model_->parameters(), *state_);
    training_log_.resume(state_->epochs_done);
    say(fmt::format("resumed after epoch {}", state_->epochs_done));
  }

  void say(const std::string& line) const {
    if (globals_.json || globals_.quiet) return;
    fmt::print("{}\n", line);
    std::fflush(stdout);
  }

  /// What --resume must find unchanged.
  Json identity() const {
    const TrainOptions& train = flags_.train;
    return {{"model", model_->file().file.sha256},
            {"data", data_.provenance()},
            {"target", model_->target().name},
            {"bits", flags_.plan.bits},
            {"method", flags_.plan.method},
            {"epochs", train.epochs},
            {"batch", train.batch},
            {"lr", train.rate},
            {"warmup", train.warm_up},
            {"optimizer", flags_.optimizer},
            {"schedule", flags_.schedule},
            {"momentum", train.optimizer.momentum},
            {"weight_decay", train.optimizer.weight_decay},
            {"grid_lr", train.optimizer.grid_rate},
            {"clip_norm", train.optimizer.clip_norm},
            {"accumulate", train.accumulate},
            {"ema", train.average},
            {"quantizer", flags_.quantizer},
            {"damping", train.oscillation.damping},
            {"freeze_oscillating", train.oscillation.freeze},
            {"progressive", flags_.progressive},
            {"bn", flags_.batch_norms},
            {"freeze_bn_after", flags_.freeze_bn_after.value_or(-1)},
            {"freeze_ranges_after", flags_.freeze_ranges_after.value_or(-1)},
            {"bn_samples", flags_.bn_samples},
            {"augment", flags_.augment},
            {"label_smoothing", flags_.loss.label_smoothing},
            {"loss", flags_.loss_terms},
            {"temperature", flags_.loss.temperature},
            {"freeze", flags_.freeze},
            {"seed", train.seed}};
  }

  bool keeps_best() const { return validation_ && flags_.export_epoch == "best"; }

  /// The epoch whose model is exported.
  const EpochResult& kept() const {
    const bool best = keeps_best() && state_->best_epoch > 0;
    return best ? state_->history.at(static_cast<size_t>(state_->best_epoch) - 1)
                : state_->history.back();
  }

  double accuracy(Graph graph, const char* label) {
    run_pipeline(graph, preparation_pipeline(), {builtin_ops(), &log_});
    if (flags_.train.batch > 1) graph = with_open_batch(graph, builtin_ops());
    const auto runner = open_session(std::make_shared<Graph>(std::move(graph)), builtin_ops());
    ClassificationMetrics metrics;
    Progress progress(label, "samples", validation_->order.size(), globals_.progress());
    const size_t batch = batch_size(runner->inputs(), {}, kEvaluationBatch);
    for_each_batch(*runner, *validation_, batch, progress,
                   [&](const Batch& done, TensorMap& outputs) {
                     const Tensor* scores = class_scores(outputs, *runner);
                     if (scores == nullptr)
                       throw unsupported_error("the model has no output of class scores [N,C]");
                     metrics.add(*scores, done.labels, done.ids);
                   });
    return metrics.accuracy().top1.value_or(0);
  }

  void measure_before() {
    float_accuracy_ = accuracy(model_->float_graph(), "float");
    ptq_accuracy_ = accuracy(model_->untrained(), "ptq");
    say(fmt::format("float {}, quantized without training {}", percent(*float_accuracy_),
                    percent(*ptq_accuracy_)));
  }

  /// What a training is made of and takes; nothing is written.
  int dry_run() {
    Order some = data_.order;
    some.resize(std::min(some.size(), flags_.train.batch));
    std::optional<double> seconds;
    for (int step = 0; step < 3; ++step) {  // the first also compiles
      Batch batch = make_batch(*data_.dataset, some);
      const std::vector<int64_t> labels = batch.labels;
      Mixed mixed;
      const double alpha = flags_.train.augmentation.mixup;
      if (alpha > 0) mixed = mix(batch, alpha, flags_.train.seed, 1, 1);
      TensorMap inputs = feeds(batch, model_->inputs());
      feed(mixed, inputs);
      const auto start = std::chrono::steady_clock::now();
      model_->step().run(inputs, labels, model_->parameters());
      const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
      if (step > 0) seconds = std::min(seconds.value_or(spent.count()), spent.count());
    }
    const double batches = std::ceil(static_cast<double>(data_.order.size()) /
                                     static_cast<double>(flags_.train.batch));
    const TrainingSize size = training_size(model_->parameters());
    const uint64_t memory = static_cast<uint64_t>(threads_used()) * model_->step().arena_bytes() +
                            training_bytes(model_->parameters(), flags_.train);
    const double epoch = batches * *seconds;
    if (globals_.json) {
      std::fputs(to_text(Json{{"schema", "qtool.qat-dry-run/1"},
                              {"weights", size.weights},
                              {"biases", size.biases},
                              {"scales", size.scales},
                              {"zero_points", size.zero_points},
                              {"gammas", size.norms},
                              {"samples", data_.order.size()},
                              {"steps", batches * flags_.train.epochs},
                              {"memory_bytes", memory},
                              {"seconds_per_epoch", epoch}})
                     .c_str(),
                 stdout);
      return 0;
    }
    fmt::print("{}", summary(model_->plan(), model_->float_graph()));
    fmt::print("to be trained: {} weights, {} biases, {} scales, {} zero points{}\n", size.weights,
               size.biases, size.scales, size.zero_points,
               size.norms > 0 ? fmt::format(", {} gammas", size.norms) : "");
    fmt::print("{} samples in batches of {}: {:.0f} steps in {} epochs\n", data_.order.size(),
               flags_.train.batch, batches * flags_.train.epochs, flags_.train.epochs);
    fmt::print("memory beside the data: about {}\n", human_bytes(memory));
    fmt::print(
        "time: {:.1f} s per epoch, {:.1f} minutes in all ({:.1f} ms per step), without "
        "validation\n",
        epoch, epoch * flags_.train.epochs / 60, 1000 * *seconds);
    return 0;
  }

  void train_epochs() {
    if (state_->epochs_done >= flags_.train.epochs) return;
    std::optional<Progress> progress;
    size_t step = 0;  // of the epoch
    TrainHooks hooks;
    hooks.feeds = [&](Batch& batch) { return feeds(batch, model_->inputs()); };
    hooks.advance = [&](size_t samples, double loss, double rate) {
      if (!progress) {
        step = 0;
        progress.emplace(fmt::format("epoch {}", state_->epochs_done + 1), "samples",
                         data_.order.size(), globals_.progress());
      }
      progress->note(fmt::format("step {}, loss {:.4f}, rate {:.2g}", ++step, loss, rate));
      progress->advance(samples);
      training_log_.step(state_->epochs_done + 1, loss, rate);
    };
    if (validation_) {
      hooks.validate = [&]() -> std::optional<double> {
        progress.reset();
        return accuracy(model_->exported().graph, "validate");
      };
    }
    hooks.measure_statistics = [&] {
      progress.reset();
      if (model_->observes()) measure_statistics();
    };
    hooks.epoch_done = [&](const EpochResult& result) {
      progress.reset();
      epoch_done(result);
    };
    TrainOptions options = flags_.train;
    options.start = std::chrono::steady_clock::now();
    TrainEnd end = TrainEnd::epochs;
    for (size_t stage = stage_of(flags_.stages, state_->epochs_done);
         stage < flags_.stages.size() && end == TrainEnd::epochs; ++stage) {
      const bool last = stage + 1 == flags_.stages.size();
      options.patience = last ? flags_.train.patience : 0;
      if (state_->epochs_done > 0 && stage > stage_of(flags_.stages, state_->epochs_done)) {
        model_->advance(stage, *state_);
      }
      options.weight_grids = model_->grids_of_weights();
      const int until = flags_.stages[stage].until;
      const auto go = [&](int epochs) {
        end = train(model_->parameters(), model_->step(), *state_, *data_.dataset, data_.order,
                    data_.preprocessing, options, hooks, epochs);
      };
      const int observing = model_->observes() ? *flags_.freeze_bn_after : until;
      if (state_->epochs_done < observing && observing < until) go(observing);
      if (end != TrainEnd::epochs) break;
      if (model_->observes() && state_->epochs_done >= observing) model_->freeze_statistics();
      go(until);
    }
    if (end == TrainEnd::patience) say("no better accuracy: ended early");
    if (end == TrainEnd::time) say("the time is over");
  }

  /// The statistics of the samples as they are, not augmented, some of them in random order.
  void measure_statistics() {
    const size_t each = flags_.train.batch;
    size_t count = std::min(flags_.bn_samples, data_.order.size());
    if (count > each) count -= count % each;
    const Order places = shuffled(data_.order.size(), flags_.train.seed, 0);
    StatisticsMean mean;
    for (size_t first = 0; first < count; first += each) {
      Order some;
      for (size_t i = first; i < std::min(first + each, count); ++i) {
        some.push_back(data_.order[places[i]]);
      }
      Batch batch = make_batch(*data_.dataset, some);
      const std::vector<int64_t> labels = batch.labels;
      const Mixed unmixed{flags_.loss.mixed ? labels : std::vector<int64_t>{}, 1};
      TensorMap inputs = feeds(batch, model_->inputs());
      feed(unmixed, inputs);
      model_->step().run(inputs, labels, model_->parameters());
      mean.add(model_->step(), batch.size);
    }
    mean.put(model_->parameters(), model_->norms());
  }

  void epoch_done(const EpochResult& result) {
    if (result.best || !keeps_best()) {
      const Averaged averaged(model_->parameters(), *state_);
      save();
    }
    std::string line =
        fmt::format("epoch {}/{}: loss {:.4f}", result.epoch, flags_.train.epochs, result.loss);
    if (result.accuracy) {
      line += fmt::format(", accuracy {} (float {:+.2f}, ptq {:+.2f}{})", percent(*result.accuracy),
                          100 * (*result.accuracy - *float_accuracy_),
                          100 * (*result.accuracy - *ptq_accuracy_), result.best ? ", best" : "");
    }
    say(line + fmt::format(", {:.0f} samples/s", result.samples_per_second));
    training_log_.write(state_->history);  // first, for --resume to find these steps
    if (!flags_.checkpoint.empty()) {
      write_checkpoint(flags_.checkpoint, identity(), model_->parameters(), *state_);
    }
  }

  void save() {
    const QatModel::Exported made = model_->exported();
    const SaveOptions save = save_options(flags_.external_data);
    written_bytes_ = save_model(made.graph, flags_.output, save);
    if (!flags_.plan_file.empty()) write_plan(flags_.plan_file, made.plan, model_->float_graph());
  }

  int finish() {
    const bool best = keeps_best() && state_->best_epoch > 0;
    for (size_t i = 0; best && i < state_->best.size(); ++i) {
      model_->parameters()[i].value = state_->best[i].clone();
    }
    if (!best) deployed_.emplace(model_->parameters(), *state_);
    save();
    const ModelFile& before = model_->file().file;
    const uint64_t bytes = written_bytes_;
    if (globals_.json) {
      print_json(before.bytes, bytes);
      return 0;
    }
    if (float_accuracy_ && kept().accuracy) {
      const auto row = [&](const std::string& name, double accuracy) {
        const double change = 100 * (accuracy - *float_accuracy_);
        return std::vector{name, percent(accuracy), fmt::format("{:+.2f} points", change)};
      };
      const std::vector<std::vector<std::string>> rows{
          {"model", "top-1", "against float"},
          {"float", percent(*float_accuracy_), ""},
          row("ptq", *ptq_accuracy_),
          row(fmt::format("qat, epoch {}", kept().epoch), *kept().accuracy)};
      fmt::print("{}", text_table(rows));
    }
    fmt::print("{}", narrow_grids(model_->exported().plan));
    fmt::print("{}: {} -> {} ({:.2f} of the float file)\n", flags_.output,
               human_bytes(before.bytes), human_bytes(bytes),
               static_cast<double>(bytes) / static_cast<double>(before.bytes));
    return 0;
  }

  void print_json(uint64_t float_bytes, uint64_t bytes) const {
    Json json{{"schema", "qtool.qat/1"},    {"target", model_->target().name},
              {"output", flags_.output},    {"bytes", bytes},
              {"float_bytes", float_bytes}, {"epochs", Json::array()}};
    for (const EpochResult& epoch : state_->history) json["epochs"].push_back(to_json(epoch));
    if (float_accuracy_) json["float_accuracy"] = *float_accuracy_;
    if (ptq_accuracy_) json["ptq_accuracy"] = *ptq_accuracy_;
    if (kept().accuracy) json["accuracy"] = *kept().accuracy;
    json["epoch"] = kept().epoch;
    std::fputs(to_text(json).c_str(), stdout);
  }

  const QatFlags& flags_;
  const Globals& globals_;
  Log log_;
  QatLog training_log_;
  DataOptions::Opened data_;
  std::optional<DataOptions::Opened> validation_;
  std::optional<QatModel> model_;
  std::optional<TrainState> state_;
  std::optional<Averaged> deployed_;  ///< from the end of the training on
  std::optional<double> float_accuracy_;
  std::optional<double> ptq_accuracy_;
  uint64_t written_bytes_ = 0;
};

}  // namespace

std::function<int()> declare_qat(CLI::App& app, const Globals& globals) {
  auto flags = std::make_shared<QatFlags>();
  declare(app, *flags);
  return [flags, &globals] {
    check(*flags);
    return Qat(*flags, globals).run();
  };
}

}  // namespace qtool
