// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>

#include "calibration.h"
#include "exec/runner.h"
#include "mixed.h"
#include "report/fidelity.h"
#include "report/metrics.h"
#include "static_plan.h"
#include "tune_trials.h"

namespace qtool {

struct TuneFlags {
  std::string model;
  std::string output;
  std::string recipe_output;
  DataOptions data;
  DataOptions validation;
  PlanOptions plan;  ///< target and bits
  double max_drop = 0.5;
  double min_sqnr = 30;
  std::string time_budget;
  bool no_learning = false;
  std::optional<double> max_latency_ratio;
  MixedFlags mixed;
};

/// How good a quantized model is.
struct Score {
  std::optional<double> top1;  ///< a share; absent without labels
  double drop = 0;             ///< of the float model's top-1, in points
  std::optional<double> sqnr_db;
  std::optional<double> latency_ratio;  ///< of float's, where it is bounded
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

/// Tries recipes in their order on a model until one is good enough: by accuracy where the samples
/// that decide have labels, by the error of the outputs otherwise.
class Tuner {
 public:
  Tuner(const TuneFlags& flags, const Globals& globals, Log& log);

  void run();

  bool labelled() const { return labelled_; }
  const std::vector<Tried>& tried() const { return tried_; }
  const std::optional<Made>& best() const { return best_; }
  const LoadedModel& model() const { return model_; }
  bool reached() const { return best_ && good(best_->score); }
  bool out_of_time() const { return out_of_time_; }
  const DataOptions::Opened& validation() const { return validation_; }
  const std::optional<MixedWidths>& mixed() const { return mixed_; }
  const std::optional<WidthAssignment>& widths() const { return widths_; }

 private:
  double elapsed() const;
  bool good(const Score& score) const;
  bool better(const Score& a, const Score& b) const;
  bool may_begin();
  std::optional<Made> make(const Trial& trial);
  void attempt(const Trial& trial);
  void say(const Tried& tried) const;
  PlanningData planning_data();
  const CalibrationTable& table_for(const Graph& graph, const Target& target);
  Made quantized(const Trial& trial);
  Score scored(const LoadedModel& candidate);
  Score score_of(const ClassificationMetrics& ours, const ClassificationMetrics& theirs,
                 const std::map<std::string, FidelityMetrics>& fidelity);
  double latency_ratio(Runner& runner);
  void roll_back();
  std::vector<std::string> worst_layers(const Made& made);
  void run_mixed(const std::vector<Trial>& list);
  void descend(const Trial& trial);
  uint64_t bits_within_size(const Trial& trial);
  uint64_t size_of(const Made& made) const;

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
  std::map<int64_t, CalibrationTable> tables_;  ///< by opset
  std::vector<Tried> tried_;
  std::optional<Made> best_;
  std::optional<MixedWidths> mixed_;
  std::optional<WidthAssignment> widths_;  ///< the chosen ones
};

}  // namespace qtool
