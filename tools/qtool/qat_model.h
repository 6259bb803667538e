// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "qat_flags.h"
#include "train/batch_norm.h"
#include "train/progressive.h"

namespace qtool {

/// The model that `qtool qat` trains, from the file to what is exported: the prepared float graph,
/// where the plan quantizes it, the graph with FakeQuantize in these places, one step of training.
/// There is a plan for each stage; one stage is in training at a time.
class QatModel {
 public:
  /// Errors (input, unsupported): what opening, calibrating and planning refuse; nothing to
  /// quantize; no class scores; an op without a gradient.
  QatModel(const QatFlags& flags, size_t samples, const Globals& globals, Log& log);

  const Graph& float_graph() const { return graph_; }
  const LoadedModel& file() const { return model_; }
  const Target& target() const { return target_; }
  const std::vector<RunnerValue>& inputs() const { return inputs_; }
  const QuantPlan& plan() const { return plans_[stage_]; }
  std::vector<Parameter>& parameters() { return training_.trainable.parameters; }
  TrainingStep& step() { return *step_; }
  std::vector<WeightGrid> grids_of_weights() const { return weight_grids(training_, plan()); }

  const std::vector<TrainedNorm>& norms() const { return training_.trainable.norms; }

  /// Puts another stage in training; the first is so at the beginning.
  void enter(size_t stage, Statistics statistics);

  /// Whether batch norms train with statistics of the batch.
  bool observes() const { return statistics_ == Statistics::batch && !norms().empty(); }

  /// From here on batch norms keep their running statistics; all parameters stay as they are.
  void freeze_statistics();

  /// The same, going on from what the present one has learned.
  void advance(size_t stage, TrainState& state);

  /// What `ptq` would make of the same table and recipe.
  Graph untrained() const;

  /// The model as it is to be deployed, with parameters as they are now, and its plan.
  struct Exported {
    Graph graph;
    QuantPlan plan;
  };
  Exported exported() const;

 private:
  void find_batch_norms();
  void make_plans(const Globals& globals, size_t samples);
  ValueId find_scores() const;
  void begin_with_corrected_biases();
  LossTargets loss_targets() const;
  std::vector<LossTargets::Feature> features() const;
  std::shared_ptr<const Graph> teacher_of(const AttachedLoss& loss) const;

  const QatFlags& flags_;
  Log& log_;
  LoadedModel model_;
  Target target_;
  Graph graph_;    ///< what is exported, with learned constants
  Graph batched_;  ///< the same for any number of samples, of the same ids: what is trained
  std::vector<RunnerValue> inputs_;
  std::vector<QuantPlan> plans_;  ///< by stage
  size_t stage_ = 0;
  Statistics statistics_ = Statistics::batch;
  std::vector<NormedLayer> layers_;  ///< whose batch norms train
  QuantPlan untrained_;              ///< what `ptq` makes
  QuantizedTraining training_;
  std::unique_ptr<TrainingStep> step_;
};

}  // namespace qtool
