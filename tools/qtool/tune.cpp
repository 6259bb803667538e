// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <cstdio>

#include "calibration.h"
#include "evaluate.h"
#include "exec/session_runner.h"
#include "learning.h"
#include "passes/pipelines.h"
#include "quant/insert_qdq.h"
#include "report/fidelity.h"
#include "report/number_text.h"
#include "report/table.h"
#include "static_plan.h"
#include "support/file.h"
#include "support/text.h"
#include "tune_trials.h"

namespace qtool {

namespace {

struct TuneFlags {
  std::string model;
  std::string output;
  std::string recipe_output;
  DataOptions data;
  DataOptions validation;
  PlanOptions plan;
  double max_drop = 0.5;
  double min_sqnr = 30;
  std::string time_budget;
  bool no_learning = false;
};

constexpr size_t kValidation = 1000;
constexpr size_t kBatch = 16;

/// How good a quantized model is.
struct Score {
  std::optional<double> top1;  ///< a share; absent without labels
  double drop = 0;             ///< of the float model's top-1, in points
  std::optional<double> sqnr_db;
};

struct Tried {
  Trial trial;
  Score score;
  double seconds = 0;
  std::string problem;  ///< why it gave no model, else empty
};

/// What a trial gave, kept while it is the best.
struct Made {
  Trial trial;
  Score score;
  LoadedModel model;
  std::vector<std::string> quantized;  ///< layers, by name
};

class Tuner {
 public:
  Tuner(const TuneFlags& flags, const Globals& globals, Log& log)
      : flags_(flags), globals_(globals), log_(log), model_(open_model(flags.model)),
        reference_(open_session(prepared(model_, log), builtin_ops())),
        validation_(flags.validation.open(reference_->inputs(), &log)),
        start_(std::chrono::steady_clock::now()) {
    if (!flags.time_budget.empty()) budget_ = parse_time("--time-budget", flags.time_budget);
  }

  void run() {
    const Target target = flags_.plan.load();
    const std::vector<Trial> list =
        trials({.target = flags_.plan.target.empty() ? target.name : flags_.plan.target,
                .bits = flags_.plan.bits,
                .one_scale = !target.per_channel});
    for (const Trial& trial : list) {
      if (!trial.learns) attempt(trial);
    }
    roll_back();
    if (flags_.no_learning) return;
    for (const Trial& trial : list) {
      if (trial.learns) attempt(trial);
    }
    if (best_ && best_->trial.learns) roll_back();
  }

  bool labelled() const { return labelled_; }
  double float_top1() const { return float_top1_; }
  const std::vector<Tried>& tried() const { return tried_; }
  const std::optional<Made>& best() const { return best_; }
  const LoadedModel& model() const { return model_; }
  bool reached() const { return best_ && good(best_->score); }
  bool out_of_time() const { return out_of_time_; }
  const DataOptions::Opened& validation() const { return validation_; }

 private:
  double elapsed() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

  bool good(const Score& score) const {
    if (labelled_) return score.drop <= flags_.max_drop;
    return !score.sqnr_db || *score.sqnr_db >= flags_.min_sqnr;
  }

  /// With labels by accuracy first; what decides between equals, and without labels, is the error.
  bool better(const Score& a, const Score& b) const {
    if (labelled_ && a.drop != b.drop) return a.drop < b.drop;
    return a.sqnr_db.value_or(1000) > b.sqnr_db.value_or(1000);
  }

  void attempt(const Trial& trial) {
    if (reached() || (out_of_time_ = out_of_time_ || (budget_ && elapsed() > *budget_))) return;
    const double begin = elapsed();
    Tried tried{trial, {}, 0, {}};
    try {
      Made made = quantized(trial);
      made.score = scored(made.model);
      tried.score = made.score;
      if (!best_ || better(made.score, best_->score)) best_ = std::move(made);
    } catch (const Error& error) {
      if (error.kind() != Error::Kind::unsupported) throw;
      tried.problem = error.message();
    }
    tried.seconds = elapsed() - begin;
    tried_.push_back(std::move(tried));
    if (!globals_.json && !globals_.quiet) say(tried_.back());
  }

  void say(const Tried& tried) const {
    std::string text = tried.problem;
    if (text.empty()) {
      text = tried.score.top1 ? fmt::format("top-1 {:.2f} %, {:+.2f} points, ",
                                            100 * *tried.score.top1, -tried.score.drop)
                              : "";
      text += tried.score.sqnr_db ? fmt::format("SQNR {:.1f} dB", *tried.score.sqnr_db) : "exact";
    }
    std::fputs(fmt::format("{}: {} ({:.1f} s)\n", tried.trial.name, text, tried.seconds).c_str(),
               stderr);
  }

  const CalibrationTable& table_for(const Graph& graph) {
    if (!table_)
      table_ = calibrate_graph(model_, graph, flags_.data, flags_.plan, {}, globals_, log_);
    return *table_;
  }

  Made quantized(const Trial& trial) {
    const Recipe recipe = parse_recipe(trial.yaml);
    const Target target = flags_.plan.load();
    Made made{trial, {}, {model_.path, quantizable_graph(model_, target, log_), model_.file}, {}};
    Graph& graph = made.model.graph;
    return within_frame(
        [&] { return flags_.model; },
        [&] {
          CalibrationTable table = table_for(graph);
          QuantPlan plan = static_plan(graph, table, target, recipe, [&](const Graph& equalized) {
            return calibrate_graph(model_, equalized, flags_.data, flags_.plan, {}, globals_, log_);
          });
          if (plan.placements.empty())
            throw unsupported_error(model_.path.string() + ": nothing of it would be quantized");
          for (const NodeId id : plan.quantized) made.quantized.push_back(graph.node(id).name);
          if (learns(recipe)) learn(graph, plan, recipe, flags_.data, {}, globals_, log_);
          insert_qdq(graph, plan);
          stamp(graph, model_, plan.target);
          return std::move(made);
        });
  }

  /// Both models on the same samples, so that memory does not grow with them.
  Score scored(const LoadedModel& candidate) {
    const auto runner = open_session(prepared(candidate, log_), builtin_ops());
    ClassificationMetrics ours;
    ClassificationMetrics theirs;
    std::map<std::string, FidelityMetrics> fidelity;
    Progress progress("evaluate", "samples", validation_.order.size(), globals_.progress());
    const size_t batch = batch_size(reference_->inputs(), flags_.validation.batch, kBatch);
    Loader loader(*validation_.dataset, validation_.order, {.batch_size = batch});
    while (auto next = loader.next()) {
      const TensorMap inputs = feeds(*next, reference_->inputs());
      const TensorMap wanted = reference_->run(inputs);
      const TensorMap found = runner->run(inputs);
      for (const auto& [name, tensor] : wanted) {
        if (is_floating(tensor.dtype())) fidelity[name].add(tensor, found.at(name));
      }
      const Tensor* scores =
          validation_.dataset->labelled() ? class_scores(wanted, *reference_) : nullptr;
      if (scores != nullptr) {
        theirs.add(*scores, next->labels, next->ids);
        ours.add(*class_scores(found, *runner), next->labels, next->ids);
      }
      progress.advance(next->size);
    }
    return score_of(ours, theirs, fidelity);
  }

  Score score_of(const ClassificationMetrics& ours, const ClassificationMetrics& theirs,
                 const std::map<std::string, FidelityMetrics>& fidelity) {
    Score score;
    for (const auto& [name, metrics] : fidelity) {
      const auto sqnr = metrics.result().sqnr_db;
      if (sqnr && (!score.sqnr_db || *sqnr < *score.sqnr_db)) score.sqnr_db = sqnr;
    }
    labelled_ = theirs.samples() > 0;
    if (!labelled_) return score;
    float_top1_ = theirs.accuracy().top1.value_or(0);
    score.top1 = ours.accuracy().top1;
    score.drop = 100 * (float_top1_ - score.top1.value_or(0));
    return score;
  }

  /// Leaves the layers that add the largest errors in float: one, two, four ... a quarter of them.
  void roll_back() {
    if (reached() || !best_ || out_of_time_) return;
    const Trial trial = best_->trial;
    const std::vector<std::string> worst = worst_layers(*best_);
    const size_t most = std::max<size_t>(1, best_->quantized.size() / 4);
    for (size_t count = 1; count <= std::min(most, worst.size()); count *= 2)
      attempt(without(trial, {worst.begin(), worst.begin() + static_cast<std::ptrdiff_t>(count)}));
  }

  std::vector<std::string> worst_layers(const Made& made) {
    DataOptions::Opened some = flags_.data.open(reference_->inputs());
    some.order.resize(std::min<size_t>(some.order.size(), 16));
    Progress progress("compare", "samples", some.order.size(), globals_.progress());
    const auto layers = compare_tensors(model_, made.model, some, {}, progress, log_);
    std::vector<std::string> names;
    for (const LayerError& layer : layers) {
      const bool known = std::ranges::find(made.quantized, layer.node) != made.quantized.end();
      const bool seen = std::ranges::find(names, layer.node) != names.end();
      if (known && !seen && !layer.node.empty()) names.push_back(layer.node);
    }
    return names;
  }

  const TuneFlags& flags_;
  const Globals& globals_;
  Log& log_;
  LoadedModel model_;
  std::unique_ptr<Runner> reference_;
  DataOptions::Opened validation_;
  std::chrono::steady_clock::time_point start_;
  std::optional<double> budget_;
  bool out_of_time_ = false;
  bool labelled_ = false;
  double float_top1_ = 0;
  std::optional<CalibrationTable> table_;
  std::vector<Tried> tried_;
  std::optional<Made> best_;
};

std::string table_text(const Tuner& tuner) {
  std::vector<std::vector<std::string>> rows{{"tried", "top-1", "points", "SQNR, dB", "seconds"}};
  for (const Tried& tried : tuner.tried()) {
    rows.push_back({tried.trial.name, percent(tried.score.top1),
                    tried.score.top1 ? fmt::format("{:+.2f}", -tried.score.drop) : "-",
                    !tried.problem.empty() ? "no model"
                    : tried.score.sqnr_db  ? fmt::format("{:.1f}", *tried.score.sqnr_db)
                                           : "exact",
                    fmt::format("{:.1f}", tried.seconds)});
  }
  return text_table(rows);
}

Json json_of(const Tuner& tuner, const TuneFlags& flags, uint64_t bytes) {
  Json list = Json::array();
  for (const Tried& tried : tuner.tried()) {
    Json entry{
        {"name", tried.trial.name}, {"recipe", tried.trial.yaml}, {"seconds", tried.seconds}};
    if (tried.score.top1) entry["top1"] = *tried.score.top1;
    if (tried.score.top1) entry["drop_points"] = tried.score.drop;
    if (tried.score.sqnr_db) entry["sqnr_db"] = *tried.score.sqnr_db;
    if (!tried.problem.empty()) entry["problem"] = tried.problem;
    list.push_back(std::move(entry));
  }
  return {{"schema", "qtool.tune/1"},
          {"tried", std::move(list)},
          {"chosen", tuner.best()->trial.name},
          {"reached", tuner.reached()},
          {"out_of_time", tuner.out_of_time()},
          {"random_data", is_random(tuner.validation().provenance())},
          {"recipe", flags.recipe_output},
          {"output", flags.output},
          {"bytes", bytes},
          {"float_bytes", tuner.model().file.bytes}};
}

std::string verdict(const Tuner& tuner, const TuneFlags& flags) {
  const Score& score = tuner.best()->score;
  const std::string goal = tuner.labelled()
                               ? fmt::format("a drop of at most {} points", flags.max_drop)
                               : fmt::format("an SQNR of at least {} dB", flags.min_sqnr);
  const std::string have = tuner.labelled() ? fmt::format("{:+.2f} points", -score.drop)
                           : score.sqnr_db  ? fmt::format("{:.1f} dB", *score.sqnr_db)
                                            : "exact";
  if (tuner.reached()) {
    return fmt::format("chosen: {}, the first with {} ({})", tuner.best()->trial.name, goal, have);
  }
  return fmt::format("chosen: {}, the best of them ({}); {} was not reached{}",
                     tuner.best()->trial.name, have, goal,
                     tuner.out_of_time() ? " within the time" : "");
}

void complete(TuneFlags& flags) {
  check_output("-o", flags.output, {flags.model});
  if (flags.recipe_output.empty()) flags.recipe_output = flags.output + ".recipe.yaml";
  check_output("--recipe-out", flags.recipe_output, {flags.model, flags.output});
  DataOptions& validation = flags.validation;
  validation.preprocess = flags.data.preprocess;
  validation.labels = flags.data.labels;
  validation.usual_samples = kValidation;
  if (!validation.given()) {
    validation.data = flags.data.data;
    validation.split = flags.data.split;
    validation.shapes = flags.data.shapes;
    validation.dtype = flags.data.dtype;
  }
}

int tune(TuneFlags flags, const Globals& globals) {
  complete(flags);
  Log log(globals.log_level());
  if (flags.validation.data == flags.data.data && flags.validation.split == flags.data.split) {
    log.warn("the samples that decide are those that it is calibrated with: --val names others");
  }
  Tuner tuner(flags, globals, log);
  tuner.run();
  if (!tuner.best()) {
    throw unsupported_error(flags.model + ": no trial gave a model" +
                            (tuner.tried().empty() ? ": the time was over before the first"
                                                   : ": " + tuner.tried().back().problem));
  }
  const uint64_t bytes = save_model(tuner.best()->model.graph, flags.output, save_options(false));
  write_file(flags.recipe_output, fmt::format("# Found by qtool tune for {}.\n{}",
                                              tuner.model().file.file, tuner.best()->trial.yaml));
  if (globals.json) {
    std::fputs(to_text(json_of(tuner, flags, bytes)).c_str(), stdout);
  } else {
    fmt::print("{}\n{}\n{} and {}: {} -> {}\n", table_text(tuner), verdict(tuner, flags),
               flags.output, flags.recipe_output, human_bytes(tuner.model().file.bytes),
               human_bytes(bytes));
  }
  return tuner.reached() ? 0 : 3;
}

}  // namespace

std::function<int()> declare_tune(CLI::App& app, const Globals& globals) {
  auto flags = std::make_shared<TuneFlags>();
  app.add_option("MODEL", flags->model, "the float ONNX model")->required();
  app.add_option("-o,--output", flags->output, "the quantized model to write")
      ->type_name("FILE")
      ->required();
  app.add_option("--recipe-out", flags->recipe_output,
                 "the recipe that makes it again with qtool ptq; default: OUTPUT.recipe.yaml")
      ->type_name("FILE");
  flags->data.declare(app, true, "samples to calibrate and learn with, as in ptq");
  app.add_option("--val", flags->validation.data,
                 "other samples, which decide; with labels by top-1, 1000 without --val-samples")
      ->type_name("PATH");
  app.add_option("--val-split", flags->validation.split, "its part, as --split")->type_name("NAME");
  app.add_option("--val-samples", flags->validation.samples, "use only its first N samples")
      ->type_name("N");
  app.add_option("--val-skip", flags->validation.skip, "leave out its first N samples")
      ->type_name("N");
  app.add_option("--target", flags->plan.target, "as in ptq; default: ort-cpu")->type_name("NAME");
  app.add_option("--bits", flags->plan.bits, "as in ptq, such as w4a8; default: the target's")
      ->type_name("WIDTHS");
  app.add_option("--max-drop", flags->max_drop,
                 "stop at the first model that loses at most so many points of top-1")
      ->capture_default_str();
  app.add_option("--min-sqnr", flags->min_sqnr, "the same without labels, in dB of the outputs")
      ->capture_default_str();
  app.add_option("--time-budget", flags->time_budget, "begin nothing new after: 90s, 10m, 2h")
      ->type_name("TIME");
  app.add_flag("--no-learning", flags->no_learning,
               "leave out the methods that learn, which take minutes");
  app.footer(
      "Tries ranges, bias and channel corrections, then leaves the worst layers in float, then\n"
      "methods that learn. Exit code 3: the goal was not reached; the best model is written.\n"
      "Example: qtool tune model.onnx --data train/ --val test/ --max-drop 0.5 -o q.onnx");
  return [flags, &globals] { return tune(*flags, globals); };
}

}  // namespace qtool
