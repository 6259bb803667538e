// SPDX-License-Identifier: Apache-2.0
#include "tuner.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "evaluate.h"
#include "exec/session_runner.h"
#include "learning.h"
#include "measure.h"
#include "passes/pipelines.h"
#include "ptq_modes.h"
#include "ptq_weights.h"
#include "quant/widths.h"
#include "report/number_text.h"
#include "support/file.h"

namespace qtool {

namespace {

constexpr size_t kBatch = 16;

}  // namespace

Tuner::Tuner(const TuneFlags& flags, const Globals& globals, Log& log)
    : flags_(flags), globals_(globals), log_(log), model_(open_model(flags.model)),
      reference_(open_session(prepared(model_, log), builtin_ops())),
      validation_(flags.validation.open(reference_->inputs(), &log)),
      start_(std::chrono::steady_clock::now()) {
  if (!flags.time_budget.empty()) budget_ = parse_time("--time-budget", flags.time_budget);
}

void Tuner::run() {
  const Target target = flags_.plan.load();
  const std::vector<Trial> list =
      trials({.target = flags_.plan.target.empty() ? target.name : flags_.plan.target,
              .bits = flags_.plan.bits,
              .one_scale = !target.per_channel,
              .cpu = target.name == "ort-cpu" || target.name == "onednn",
              .packed = flags_.mixed.packed(),
              .few = flags_.mixed.wanted()});
  if (flags_.mixed.wanted()) return run_mixed(list);
  for (const Trial& trial : list) {
    if (!trial.learns && !trial.last) attempt(trial);
  }
  roll_back();
  for (const Trial& trial : list) {
    if (trial.learns && !flags_.no_learning) attempt(trial);
  }
  if (best_ && best_->trial.learns) roll_back();
  for (const Trial& trial : list) {
    if (trial.last) attempt(trial);
  }
}

double Tuner::elapsed() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

bool Tuner::good(const Score& score) const {
  if (score.latency_ratio && *score.latency_ratio > *flags_.max_latency_ratio) return false;
  if (labelled_) return score.drop <= flags_.max_drop;
  return !score.sqnr_db || *score.sqnr_db >= flags_.min_sqnr;
}

/// With labels by accuracy first; what decides between equals, and without labels, is the error.
bool Tuner::better(const Score& a, const Score& b) const {
  const auto fast = [&](const Score& score) {
    return !score.latency_ratio || *score.latency_ratio <= *flags_.max_latency_ratio;
  };
  if (fast(a) != fast(b)) return fast(a);
  if (labelled_ && a.drop != b.drop) return a.drop < b.drop;
  return a.sqnr_db.value_or(1000) > b.sqnr_db.value_or(1000);
}

bool Tuner::may_begin() {
  out_of_time_ = out_of_time_ || (budget_ && elapsed() > *budget_);
  return !out_of_time_;
}

/// What the trial gives, with its score; nothing where it gives no model.
std::optional<Made> Tuner::make(const Trial& trial) {
  const double begin = elapsed();
  Tried tried{trial, {}, 0, {}};
  std::optional<Made> made;
  try {
    made = quantized(trial);
    made->score = scored(made->model);
    tried.score = made->score;
  } catch (const Error& error) {
    if (error.kind() != Error::Kind::unsupported) throw;
    tried.problem = error.message();
    made.reset();
  }
  tried.seconds = elapsed() - begin;
  tried_.push_back(std::move(tried));
  if (!globals_.json && !globals_.quiet) say(tried_.back());
  return made;
}

void Tuner::attempt(const Trial& trial) {
  const bool in_time = may_begin() || (trial.last && best_);
  if (reached() || !in_time) return;
  std::optional<Made> made = make(trial);
  if (made && (!best_ || better(made->score, best_->score))) best_ = std::move(made);
}

void Tuner::say(const Tried& tried) const {
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

PlanningData Tuner::planning_data() {
  return {model_, flags_.data, flags_.plan, {}, globals_, log_};
}

const CalibrationTable& Tuner::table_for(const Graph& graph, const Target& target) {
  const auto found = tables_.find(target.opset);
  if (found != tables_.end()) return found->second;
  return tables_.emplace(target.opset, planning_data().table(graph)).first->second;
}

Made Tuner::quantized(const Trial& trial) {
  const Recipe recipe = parse_recipe(trial.yaml);
  if (recipe.mode == "weight-only") {
    ConvertedModel made = convert_weights(model_, flags_.data, recipe, "qdq", {}, globals_, log_);
    stamp(made.graph, model_, recipe.mode);
    return {trial, {}, {model_.path, std::move(made.graph), model_.file}, {}};
  }
  if (!recipe.mode.empty()) {
    ModeFlags mode;
    mode.mode = recipe.mode;
    ConvertedModel made = convert(model_, mode, flags_.data, {}, globals_, log_);
    stamp(made.graph, model_, recipe.mode);
    return {trial, {}, {model_.path, std::move(made.graph), model_.file}, {}};
  }
  const Target target = with_bits(flags_.plan.load(), recipe);
  Made made{trial, {}, {model_.path, quantizable_graph(model_, target, log_), model_.file}, {}};
  Graph& graph = made.model.graph;
  return within_frame(
      [&] { return flags_.model; },
      [&] {
        CalibrationTable table = table_for(graph, target);
        const PlanningData data = planning_data();
        QuantPlan plan = static_plan(graph, table, target, recipe, &data);
        if (plan.placements.empty() && plan.dynamic.empty())
          throw unsupported_error(model_.path.string() + ": nothing of it would be quantized");
        for (const NodeId id : plan.quantized) made.quantized.push_back(graph.node(id).name);
        if (learns(recipe)) learn(graph, plan, recipe, flags_.data, {}, globals_, log_);
        carry_out(graph, plan);
        stamp(graph, model_, plan.target);
        return std::move(made);
      });
}

/// Both models on the same samples, so that memory does not grow with them.
Score Tuner::scored(const LoadedModel& candidate) {
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
  Score score = score_of(ours, theirs, fidelity);
  if (flags_.max_latency_ratio) score.latency_ratio = latency_ratio(*runner);
  return score;
}

/// Medians of runs that take turns.
double Tuner::latency_ratio(Runner& runner) {
  const TensorMap inputs = timing_feeds(reference_->inputs(), 1);
  const std::array<std::function<void()>, 2> jobs{[&] { reference_->run(inputs); },
                                                  [&] { runner.run(inputs); }};
  auto times = time_interleaved(jobs, {});
  for (auto& each : times) std::ranges::sort(each);
  return times[1][times[1].size() / 2] / times[0][times[0].size() / 2];
}

Score Tuner::score_of(const ClassificationMetrics& ours, const ClassificationMetrics& theirs,
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

/// Leaves the layers that add the largest errors in float: one, two, four ... half of them.
void Tuner::roll_back() {
  if (reached() || !best_ || out_of_time_) return;
  const Trial trial = best_->trial;
  const std::vector<std::string> worst = worst_layers(*best_);
  const size_t most = std::max<size_t>(1, best_->quantized.size() / 2);
  for (size_t count = 1; count <= std::min(most, worst.size()); count *= 2)
    attempt(without(trial, {worst.begin(), worst.begin() + static_cast<std::ptrdiff_t>(count)}));
}

std::vector<std::string> Tuner::worst_layers(const Made& made) {
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

}  // namespace qtool
