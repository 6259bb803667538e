// SPDX-License-Identifier: Apache-2.0
#include "qat_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "exec/session_runner.h"
#include "ops/gradient.h"
#include "passes/batch.h"
#include "passes/float_outputs.h"
#include "passes/passes.h"
#include "passes/pipelines.h"
#include "quant/algorithms/equalize.h"
#include "quant/insert_qdq.h"
#include "static_plan.h"

namespace qtool {

namespace {
constexpr size_t kCalibrationSamples = 500;

/// The model in the file; one with QuantizeLinear and DequantizeLinear as what it approximates.
LoadedModel open_float_model(const QatFlags& flags, Log& log) {
  LoadedModel model = open_model(flags.model);
  if (flags.plan.allow_quantized) return model;
  const int dropped = within_frame([&] { return flags.model; },
                                   [&] {
                                     Graph graph = model.graph;
                                     const PassContext context{builtin_ops(), &log};
                                     run_pipeline(graph, preparation_pipeline(), context);
                                     const int count = drop_qdq()->run(graph, context);
                                     if (count > 0) model.graph = std::move(graph);
                                     return count;
                                   });
  if (dropped > 0) {
    log.warn(flags.model +
             ": its QuantizeLinear and DequantizeLinear are taken out; ranges are calibrated anew, "
             "weights begin as their codes say");
  }
  return model;
}

}  // namespace

QatModel::QatModel(const QatFlags& flags, size_t samples, const Globals& globals, Log& log)
    : flags_(flags), log_(log), model_(open_float_model(flags, log)), target_(flags.plan.load()),
      graph_(quantizable_graph(model_, target_, log)) {
  within_frame([&] { return flags_.model; },
               [&] {
                 const bool alone = flags_.train.batch == 1;
                 batched_ = alone ? graph_ : with_open_batch(graph_, builtin_ops());
                 output_floats(batched_);
                 inputs_ = declared_inputs(batched_);
                 const size_t fixed = batch_size(inputs_, {}, flags_.train.batch);
                 if (fixed != flags_.train.batch) {
                   throw input_error(
                       fmt::format("the model was exported for batches of {}", fixed),
                       fmt::format("Train with --batch {}, or export it with an open batch "
                                   "dimension.",
                                   fixed));
                 }
                 make_plans(globals, samples);
                 if (flags_.batch_norms == "train") find_batch_norms();
                 const bool frozen = flags_.freeze_bn_after && *flags_.freeze_bn_after == 0;
                 enter(0, frozen ? Statistics::running : Statistics::batch);
               });
}

void QatModel::find_batch_norms() {
  Pipeline pipeline = quantization_pipeline(target_.opset);
  std::erase_if(pipeline,
                [](const auto& step) { return step.pass->name().starts_with("fold_batch_norm"); });
  Graph unfolded = model_.graph;
  run_pipeline(unfolded, pipeline, {builtin_ops(), &log_});
  layers_ = normed_layers(unfolded, graph_);
  if (layers_.empty()) {
    log_.warn(flags_.model +
              ": --bn train: no Conv or Gemm has a BatchNormalization behind it (it may be folded "
              "already)");
  }
}

void QatModel::make_plans(const Globals& globals, size_t samples) {
  DataOptions some = flags_.data;
  some.samples = std::min(samples, kCalibrationSamples);
  some.batch.reset();
  const bool own_table = flags_.calibration.empty();
  CalibrationTable table =
      own_table ? calibrate_graph(model_, graph_, some, flags_.plan, {}, globals, log_)
                : table_of(model_, flags_.calibration);
  Recipe recipe = flags_.plan.recipe();
  if (recipe.equalize) {
    const std::vector<Equalization> equalized = equalizations(graph_, table, target_, recipe);
    equalize(graph_, equalized);
    equalize(batched_, equalized);
    if (own_table) {
      table = calibrate_graph(model_, graph_, some, flags_.plan, {}, globals, log_);
    } else {
      equalize(table, graph_, equalized);
    }
  }
  untrained_ = plan_quantization(graph_, builtin_ops(), table, target_, recipe);
  recipe.smooth_quant = false;
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
  const Facts facts = infer_facts(batched_, builtin_ops());
  for (const ValueId id : batched_.outputs()) {
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
  enter(stage, statistics_);
  carry_over(before, plan, training_, state, flags_.train.optimizer);
}

void QatModel::freeze_statistics() {
  const std::vector<Parameter> kept = std::move(parameters());
  enter(stage_, Statistics::running);
  QTOOL_CHECK(kept.size() == parameters().size(), "the same parameters");
  for (size_t p = 0; p < kept.size(); ++p) parameters()[p].value = kept[p].value.clone();
}

void QatModel::enter(size_t stage, Statistics statistics) {
  stage_ = stage;
  statistics_ = statistics;
  Recipe frozen;
  frozen.exclude = flags_.freeze;
  const std::vector<std::string> reasons = exclusions(graph_, frozen, "--freeze");
  const auto is_frozen = [&](NodeId id) { return !reasons[static_cast<size_t>(id)].empty(); };
  TrainableGraph start = trainable(batched_, training_ops(), is_frozen);
  GridOptions grids;
  grids.frozen = is_frozen;
  grids.learn_zero_points = target_.activation_scheme == Scheme::asymmetric;
  grids.quantizer = parse_quantizer(flags_.quantizer);
  grids.power_of_two_activations = target_.activation_scheme == Scheme::symmetric_power_of_two;
  grids.power_of_two_weights = target_.weight_scheme == Scheme::symmetric_power_of_two;
  training_ = insert_fake_quant(std::move(start), training_ops(), plans_[stage], grids);
  train_batch_norms(training_, layers_, statistics);
  begin_with_corrected_biases();
  Graph forward = training_.trainable.graph;
  const AttachedLoss loss = attach_loss(forward, loss_targets(), flags_.loss);
  step_ = std::make_unique<TrainingStep>(forward, loss, parameters(), teacher_of(loss), norms());
}

/// Where the plan takes the mean error of rounded weights off a bias, training begins there.
void QatModel::begin_with_corrected_biases() {
  std::set<ValueId> done;
  for (const BiasPlacement& bias : plans_[stage_].biases) {
    const auto found = std::ranges::find(parameters(), bias.value, &Parameter::id);
    if (found == parameters().end() || !done.insert(bias.value).second) continue;
    const auto values = found->value.data<float>();
    if (values.size() != bias.shift.size()) continue;
    for (size_t i = 0; i < values.size(); ++i) values[i] += bias.shift[i];
  }
}

LossTargets QatModel::loss_targets() const {
  LossTargets targets;
  if (flags_.loss.scored()) {
    targets.scores = find_scores();
    targets.teacher = logits_of(batched_, targets.scores);
  }
  const Facts facts = infer_facts(batched_, builtin_ops());
  for (const ValueId id : batched_.outputs()) {
    if (facts[id].type.dtype == DType::float32) targets.outputs.push_back(id);
  }
  const bool errors = flags_.loss.mean_squared_error > 0 || flags_.loss.absolute_error > 0;
  if (targets.outputs.empty() && errors)
    throw unsupported_error("the model has no output of real numbers");
  if (flags_.loss.features > 0) targets.features = features();
  if (flags_.loss.features > 0 && targets.features.empty())
    throw unsupported_error("the model has no quantized tensor between layers");
  return targets;
}

/// What layers make, as it is read: behind FakeQuantize, which may stand for a Relu as well.
std::vector<LossTargets::Feature> QatModel::features() const {
  const OpKey fake_quantize{kTrainingDomain, "FakeQuantize"};
  const Graph& graph = training_.trainable.graph;
  std::vector<LossTargets::Feature> found;
  for (const NodeId id : graph.topological_order()) {
    const Node& node = graph.node(id);
    const ValueId source = node.inputs.empty() ? ValueId::none : node.inputs[0];
    if (node.op != fake_quantize || graph.value(source).producer == NodeId::none) continue;
    const auto made = graph_.find_value(graph.value(source).name);
    if (made) found.push_back({node.outputs[0], *made});
  }
  return found;
}

std::shared_ptr<const Graph> QatModel::teacher_of(const AttachedLoss& loss) const {
  if (loss.teacher.empty()) return nullptr;
  auto teacher = std::make_shared<Graph>(batched_);
  for (size_t i = 0; i < teacher->outputs().size(); ++i) {
    teacher->set_graph_output(i, loss.teacher[0].value);
  }
  const size_t outputs = teacher->outputs().size();
  for (size_t i = 1; i < loss.teacher.size(); ++i) {
    if (i < outputs) {
      teacher->set_graph_output(i, loss.teacher[i].value);
    } else {
      teacher->add_output(loss.teacher[i].value);
    }
  }
  teacher->erase_dead();
  return teacher;
}

Graph QatModel::untrained() const {
  Graph result = graph_;
  insert_qdq(result, untrained_);
  return result;
}

QatModel::Exported QatModel::exported() const {
  Graph result = with_learned_constants(graph_, training_.trainable.parameters, norms());
  QuantPlan plan = learned_plan(result, builtin_ops(), plans_[stage_], training_);
  insert_qdq(result, plan);
  stamp(result, model_, plan.target);
  return {std::move(result), std::move(plan)};
}

}  // namespace qtool
