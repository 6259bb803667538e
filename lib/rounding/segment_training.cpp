// SPDX-License-Identifier: Apache-2.0
#include "rounding/segment_training.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "ops/gradient.h"
#include "rounding/adaquant.h"
#include "rounding/extract.h"
#include "support/rng.h"
#include "train/optimizer.h"
#include "train/step.h"

namespace qtool {

namespace {

/// Copies of each tensor of a segment that a step of training may hold at a time.
constexpr uint64_t kAlive = 3;

const OpKey kFakeQuantize{kTrainingDomain, "FakeQuantize"};

/// A switch between a float tensor and its rounded form, an input [N, ...] of zeros and ones.
struct Switch {
  std::string name;
  Shape row;
};

/// y = x + on (rounded(x) - x) behind each rounding of data.
std::vector<Switch> add_switches(Graph& graph, const Facts& facts, const SegmentTask& task,
                                 const Extract& part) {
  std::vector<Switch> switches;
  for (const NodeId id : task.segment.nodes) {
    const Node& whole = task.graphs.quantized.node(id);
    const bool data =
        whole.op == kFakeQuantize && task.graphs.quantized.constant(whole.inputs[0]) == nullptr;
    if (!data || task.graphs.quantized.is_output(whole.outputs[0])) continue;
    const ValueId x = part.id_of.at(whole.inputs[0]);
    const ValueId rounded = part.id_of.at(whole.outputs[0]);
    Shape shape = facts[whole.inputs[0]].type.concrete_shape().value();
    shape.erase(shape.begin());
    const ValueId on = add_fresh_value(graph, "~on");
    TensorType type(DType::float32, shape);
    type.shape->insert(type.shape->begin(), Dim{std::nullopt, "N"});
    graph.set_type(on, type);
    graph.add_input(on);
    switches.push_back({graph.value(on).name, shape});
    const std::vector<Use> readers = graph.value(rounded).uses;
    const auto emit = [&](const char* op, ValueId a, ValueId b) {
      Node node;
      node.op = {"", op};
      node.inputs = {a, b};
      node.outputs = {add_fresh_value(graph, "~drop")};
      const ValueId made = node.outputs[0];
      graph.add_node(std::move(node));
      return made;
    };
    const ValueId result = emit("Add", x, emit("Mul", emit("Sub", rounded, x), on));
    graph.replace_uses(rounded, result, readers);
  }
  return switches;
}

double power_of(const SampleStore& store) {
  double sum = 0;
  size_t count = 0;
  const size_t most = store.form() == RowForm::whole ? 1 : 64;
  for (size_t first = 0; first < store.samples(); first += most) {
    const Tensor batch = store.read(first, std::min(most, store.samples() - first));
    for (const float x : batch.data<float>()) sum += static_cast<double>(x) * x;
    count += static_cast<size_t>(batch.size());
  }
  return count > 0 ? sum / static_cast<double>(count) : 0;
}

class Training {
 public:
  Training(const SegmentTask& task, std::vector<RoundedWeight> weights,
           const ReconstructionOptions& options)
      : task_(task), options_(options), rng_(options.seed, 7), weights_(std::move(weights)) {
    build();
    for (const RoundedWeight& each : weights_) {
      if (options.adaquant) {
        rounding_.push_back(std::make_unique<AdaQuant>(each.weight->value, *each.params));
      } else {
        rounding_.push_back(std::make_unique<SoftRounding>(each.weight->value, *each.params));
      }
    }
  }

  SegmentResult run() {
    SegmentResult result;
    // To nearest first, which tells what learning won.
    for (size_t w = 0; w < weights_.size(); ++w)
      parameters_[w].value = fake_quantize(weights_[w].weight->value, *weights_[w].params);
    result.before = error();
    for (size_t i = 0; i < options_.iterations; ++i) {
      iterate(i);
      if (options_.advance) options_.advance(1);
    }
    for (size_t w = 0; w < weights_.size(); ++w) {
      parameters_[w].value = rounding_[w]->hard();
      *weights_[w].params = rounding_[w]->params();
      result.changed = std::max(result.changed, rounding_[w]->changed());
    }
    result.after = error();
    result.batch = batch_;
    hand_back();
    return result;
  }

 private:
  /// Samples of a batch: fewer where what they make would not fit, gradients and all.
  size_t fitting_batch() const {
    if (options_.memory == 0) return options_.batch;
    const auto bytes = [&](const Graph& graph, const Facts& facts, ValueId id) {
      const auto shape = facts[id].type.concrete_shape();
      if (!shape || graph.constant(id) != nullptr) return uint64_t{0};
      return 4 * static_cast<uint64_t>(element_count(*shape));
    };
    uint64_t sum = 0;  // of as many samples as the facts are for
    for (const NodeId id : task_.segment.nodes) {
      for (const ValueId output : task_.graphs.quantized.node(id).outputs) {
        if (output != ValueId::none)
          sum += kAlive * bytes(task_.graphs.quantized, task_.graphs.facts, output);
      }
    }
    for (const ValueId id : task_.segment.inputs)
      sum += kAlive * bytes(task_.graphs.quantized, task_.graphs.facts, id);
    const uint64_t each = sum / static_cast<uint64_t>(task_.graphs.batch) + 1;
    return static_cast<size_t>(std::clamp<uint64_t>(options_.memory / each, 1, options_.batch));
  }

  void build() {
    batch_ = fitting_batch();
    const Segment& segment = task_.segment;
    std::vector<ValueId> inputs = segment.inputs;
    for (const RoundedWeight& each : weights_) outer_.push_back(each.weight);
    outer_.insert(outer_.end(), task_.biases.begin(), task_.biases.end());
    outer_.insert(outer_.end(), task_.scales.begin(), task_.scales.end());
    for (const Parameter* each : outer_) inputs.push_back(each->id);
    Extract part =
        extract(task_.graphs.quantized, task_.graphs.facts, segment.nodes, inputs, segment.targets);
    Graph& graph = part.graph;
    for (const Parameter* each : outer_) {
      graph.set_type(part.id_of.at(each->id), TensorType(DType::float32, each->value.shape()));
      Parameter mine;
      mine.kind = each->kind;
      mine.id = part.id_of.at(each->id);
      mine.name = each->name;
      mine.value = each->value.clone();
      mine.lowest = each->lowest;
      mine.highest = each->highest;
      parameters_.push_back(std::move(mine));
    }
    if (options_.drop) switches_ = add_switches(graph, task_.graphs.facts, task_, part);
    LossTargets targets;
    double power = 0;
    for (const ValueId id : segment.targets) {
      targets.outputs.push_back(part.id_of.at(id));
      power = std::max(power, power_of(*task_.reference.at(id)));
      if (task_.reference.at(id)->form() == RowForm::whole) batch_ = 1;
    }
    const Shape shape = task_.graphs.facts[segment.targets.at(0)].type.concrete_shape().value();
    const int64_t channels = shape.size() == 3 ? shape[2] : shape.size() > 1 ? shape[1] : 1;
    power_ = std::max(power, 1e-12);
    weight_of_error_ = static_cast<float>(static_cast<double>(channels) / power_);
    LossSpec spec;
    spec.cross_entropy = 0;
    spec.mean_squared_error = 1;
    AttachedLoss loss = attach_loss(graph, targets, spec);
    for (const AttachedLoss::Lesson& lesson : loss.teacher) {
      const auto found = std::ranges::find(targets.outputs, lesson.value);
      lessons_.emplace_back(graph.value(lesson.input).name,
                            segment.targets[static_cast<size_t>(found - targets.outputs.begin())]);
    }
    loss.teacher.clear();  // fed here, from the stores
    step_ = std::make_unique<TrainingStep>(graph, loss, parameters_, nullptr);
    OptimizerSpec adam;
    adam.kind = OptimizerSpec::Kind::adam;
    adam.clip_norm = 0;
    adam.weight_decay = 0;
    for (size_t p = weights_.size(); p < parameters_.size(); ++p)
      optimizers_.emplace_back(adam, std::span(&parameters_[p], 1));
  }

  /// Some samples: what comes in, mixed with the float model's if so wished, and what is wanted.
  TensorMap batch(std::span<const size_t> rows, bool drop) {
    TensorMap feeds;
    for (const ValueId id : task_.segment.inputs) {
      Tensor x = task_.quantized.at(id)->read(rows);
      const ValueId exact = float_value(task_.graphs, id);
      if (drop && x.dtype() == DType::float32) {
        const Tensor other = task_.reference.at(exact)->read(rows);
        mix(x.data<float>(), other.data<float>());
      }
      feeds.emplace(task_.graphs.quantized.value(id).name, std::move(x));
    }
    for (const auto& [name, id] : lessons_) feeds.emplace(name, task_.reference.at(id)->read(rows));
    for (const Switch& each : switches_) {
      Shape shape{static_cast<int64_t>(rows.size())};
      shape.insert(shape.end(), each.row.begin(), each.row.end());
      Tensor on(DType::float32, shape);
      flip(on.data<float>(), drop);
      feeds.emplace(each.name, std::move(on));
    }
    return feeds;
  }

  void mix(std::span<float> x, std::span<const float> other) {
    uint32_t bits = 0;
    for (size_t i = 0; i < x.size(); ++i, bits >>= 1) {
      if (i % 32 == 0) bits = rng_.next();
      x[i] = (bits & 1) != 0 ? x[i] : other[i];
    }
  }

  void flip(std::span<float> on, bool drop) {
    uint32_t bits = 0;
    for (size_t i = 0; i < on.size(); ++i, bits >>= 1) {
      if (i % 32 == 0) bits = drop ? rng_.next() : ~0U;
      on[i] = static_cast<float>(bits & 1);
    }
  }

  void iterate(size_t i) {
    std::vector<size_t> rows(std::min(batch_, task_.samples));
    for (size_t& row : rows) row = rng_.below(static_cast<uint32_t>(task_.samples));
    for (size_t w = 0; w < rounding_.size(); ++w)
      rounding_[w]->soft(parameters_[w].value.data<float>());
    step_->run(batch(rows, options_.drop), {}, parameters_);
    const auto gradients = step_->gradients();
    const double at = static_cast<double>(i) / static_cast<double>(options_.iterations);
    const bool pulled = at >= options_.warm_up;
    const double left = pulled ? (1 - at) / (1 - options_.warm_up) : 1;
    const double beta = 2 + 18 * left;
    for (size_t w = 0; w < rounding_.size(); ++w) {
      if (gradients[w].dtype() == DType::undefined) continue;
      std::vector<float> gradient(gradients[w].data<float>().begin(),
                                  gradients[w].data<float>().end());
      for (float& each : gradient) each *= weight_of_error_;
      rounding_[w]->update(gradient, {at, options_.rate, pulled ? options_.lambda : 0, beta});
    }
    const double cosine = 0.5 * (1 + std::cos(3.14159265358979 * at));
    for (size_t p = weights_.size(); p < parameters_.size(); ++p) {
      if (gradients[p].dtype() == DType::undefined) continue;
      Parameter& parameter = parameters_[p];
      const bool scale = parameter.kind == Parameter::Kind::scale;
      const double relative =
          scale ? options_.scale_rate *
                      static_cast<double>(std::as_const(outer_[p]->value).data<float>()[0])
                : options_.bias_rate * std::sqrt(power_);
      optimizers_[p - weights_.size()].update(std::span(&parameter, 1), gradients.subspan(p, 1),
                                              relative * cosine);
    }
  }

  /// Over up to 256 samples, nothing dropped: squared error over power.
  double error() {
    double sum = 0;
    const size_t samples = std::min<size_t>(256, task_.samples);
    for (size_t first = 0; first < samples; first += batch_) {
      const size_t count = std::min(batch_, samples - first);
      std::vector<size_t> rows(count);
      for (size_t r = 0; r < count; ++r) rows[r] = first + r;
      sum += step_->run(batch(rows, false), {}, parameters_) * static_cast<double>(count);
    }
    return sum / static_cast<double>(samples) / power_;
  }

  void hand_back() {
    for (size_t p = 0; p < parameters_.size(); ++p) outer_[p]->value = parameters_[p].value.clone();
  }

  const SegmentTask& task_;
  const ReconstructionOptions& options_;
  Rng rng_;
  size_t batch_ = 1;  ///< samples of an iteration
  std::vector<RoundedWeight> weights_;
  std::vector<Parameter*> outer_;      ///< weights, biases, scales
  std::vector<Parameter> parameters_;  ///< the same in the segment's graph
  std::vector<std::unique_ptr<WeightRounding>> rounding_;
  std::vector<Optimizer> optimizers_;  ///< of biases and scales
  std::vector<Switch> switches_;
  std::vector<std::pair<std::string, ValueId>> lessons_;
  std::unique_ptr<TrainingStep> step_;
  double power_ = 1;
  float weight_of_error_ = 1;
};

}  // namespace

SegmentResult train_segment(const SegmentTask& task, std::vector<RoundedWeight> weights,
                            const ReconstructionOptions& options) {
  return Training(task, std::move(weights), options).run();
}

}  // namespace qtool
