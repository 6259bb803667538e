// SPDX-License-Identifier: Apache-2.0
#include "qat_model.h"

#include "exec/session_runner.h"
#include "ops/gradient.h"
#include "quant/insert_qdq.h"

namespace qtool {

namespace {
constexpr size_t kCalibrationSamples = 500;
}

QatModel::QatModel(const QatFlags& flags, size_t samples, const Globals& globals, Log& log)
    : flags_(flags), log_(log), model_(open_model(flags.model)),
      target_(load_target(flags.plan.target)), graph_(quantizable_graph(model_, target_, log)),
      inputs_(declared_inputs(graph_)) {
  within_frame([&] { return flags_.model; },
               [&] {
                 make_plans(globals, samples);
                 enter(0);
               });
}

void QatModel::make_plans(const Globals& globals, size_t samples) {
  DataOptions some = flags_.data;
  some.samples = std::min(samples, kCalibrationSamples);
  some.batch.reset();
  const CalibrationTable table = flags_.calibration.empty()
                                     ? calibrate_model(model_, some, flags_.plan, {}, globals, log_)
                                     : table_of(model_, flags_.calibration);
  Recipe recipe = flags_.plan.recipe();
  untrained_ = plan_quantization(graph_, builtin_ops(), table, target_, recipe);
  recipe.bias_correction = false;
  for (const Stage& stage : flags_.stages) {
    Recipe own = recipe;
    if (!stage.bits.empty()) set_bits(own, stage.bits);
    plans_.push_back(plan_quantization(graph_, builtin_ops(), table, target_, own));
  }
  if (plans_.back().placements.empty()) {
    throw unsupported_error("nothing of it would be quantized", "qtool ptq --dry-run says why.");
  }
}

ValueId QatModel::find_scores() const {
  const Facts facts = infer_facts(graph_, builtin_ops());
  for (const ValueId id : graph_.outputs()) {
    const TensorType& type = facts[id].type;
    const bool ranked = type.shape && type.shape->size() >= 2;
    if (type.dtype == DType::float32 && ranked) return id;
  }
  throw unsupported_error("the model has no output of class scores [N,C]");
}

void QatModel::advance(size_t stage, TrainState& state) {
  const QuantPlan& plan = plans_[stage_];
  const Averaged averaged(parameters(), state);
  const QuantizedTraining before = std::move(training_);
  enter(stage);
  carry_over(before, plan, training_, state, flags_.train.optimizer);
}

void QatModel::enter(size_t stage) {
  stage_ = stage;
  Recipe frozen;
  frozen.exclude = flags_.freeze;
  const std::vector<std::string> reasons = exclusions(graph_, frozen);
  TrainableGraph start = trainable(
      graph_, training_ops(), [&](NodeId id) { return !reasons[static_cast<size_t>(id)].empty(); });
  GridOptions grids;
  grids.learn_zero_points = target_.activation_scheme == Scheme::asymmetric;
  training_ = insert_fake_quant(std::move(start), training_ops(), plans_[stage], grids);
  const ValueId scores = find_scores();
  Graph forward = training_.trainable.graph;
  const AttachedLoss loss = attach_loss(forward, scores, flags_.loss);
  std::shared_ptr<Graph> teacher;
  if (loss.teacher != ValueId::none) {
    teacher = std::make_shared<Graph>(graph_);
    const ValueId wanted = logits_of(graph_, scores);
    for (size_t i = 0; i < graph_.outputs().size(); ++i) teacher->set_graph_output(i, wanted);
    teacher->erase_dead();
  }
  step_ = std::make_unique<TrainingStep>(forward, loss, parameters(), std::move(teacher));
}

Graph QatModel::untrained() const {
  Graph result = graph_;
  insert_qdq(result, untrained_);
  return result;
}

QatModel::Exported QatModel::exported() const {
  Graph result = with_learned_constants(graph_, training_.trainable.parameters);
  QuantPlan plan = learned_plan(result, builtin_ops(), plans_[stage_], training_);
  insert_qdq(result, plan);
  stamp(result, model_, plan);
  return {std::move(result), std::move(plan)};
}

}  // namespace qtool
