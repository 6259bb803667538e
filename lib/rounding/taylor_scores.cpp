// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "exec/session_runner.h"
#include "ops/gradient.h"
#include "quant/names.h"
#include "rounding/sensitivity.h"
#include "support/rng.h"
#include "train/fake_quantize.h"
#include "train/step.h"

namespace qtool {

namespace {

/// The sum over the outputs of v . y, with v the inputs of these names.
struct Projection {
  AttachedLoss loss;
  std::vector<std::pair<std::string, std::string>> signs;  ///< input v, output y
};

ValueId emit(Graph& graph, const char* op, std::vector<ValueId> inputs,
             Attributes attributes = {}) {
  Node node;
  node.op = {"", op};
  node.inputs = std::move(inputs);
  node.attributes = std::move(attributes);
  node.outputs = {add_fresh_value(graph, "~projected")};
  const ValueId made = node.outputs[0];
  graph.add_node(std::move(node));
  return made;
}

Projection project(Graph& graph, const TensorMap& outputs) {
  Projection made;
  const size_t count = graph.outputs().size();
  for (const ValueId id : graph.outputs()) {
    const std::string name = graph.value(id).name;
    const Tensor& example = outputs.at(name);
    if (example.dtype() != DType::float32) continue;
    const ValueId v = add_fresh_value(graph, "~signs");
    graph.set_type(v, TensorType(DType::float32, example.shape()));
    graph.add_input(v);
    Attributes whole;
    whole.set("keepdims", int64_t{0});
    const ValueId term = emit(graph, "ReduceMean", {emit(graph, "Mul", {id, v})}, std::move(whole));
    made.loss.loss =
        made.loss.loss == ValueId::none ? term : emit(graph, "Add", {made.loss.loss, term});
    made.signs.emplace_back(graph.value(v).name, name);
  }
  if (made.signs.empty()) throw unsupported_error("no output of floats has a gradient");
  for (size_t i = 0; i < count; ++i) graph.set_graph_output(i, made.loss.loss);
  graph.erase_dead();
  return made;
}

std::map<std::string, double> powers_of(const std::vector<TensorMap>& outputs) {
  std::map<std::string, double> powers;
  for (const TensorMap& batch : outputs) {
    for (const auto& [name, tensor] : batch) {
      if (tensor.dtype() != DType::float32) continue;
      double& sum = powers[name];
      for (const float x : tensor.data<float>()) sum += static_cast<double>(x) * x;
    }
  }
  for (auto& [name, sum] : powers) sum = std::max(sum, 1e-30);
  return powers;
}

/// What a plan adds to a parameter.
std::vector<float> change(const Graph& graph, const QuantPlan& plan, const LayerSensitivity& layer,
                          ValueId value) {
  std::vector<float> delta;
  const auto mine = [&](NodeId id) {
    return std::ranges::find(layer.nodes, own_name(graph, id)) != layer.nodes.end();
  };
  for (const Placement& placement : plan.placements) {
    if (placement.value != value || placement.kind != Placement::Kind::constant) continue;
    if (placement.uses.empty() || !mine(placement.uses[0].node)) continue;
    const Tensor after = fake_quantize(*graph.constant(value), placement.params);
    const auto from = graph.constant(value)->data<float>();
    for (size_t i = 0; i < from.size(); ++i) delta.push_back(after.data<float>()[i] - from[i]);
    return delta;
  }
  for (const BiasPlacement& bias : plan.biases) {
    if (bias.value == value && mine(bias.use.node)) return bias.shift;
  }
  return delta;
}

}  // namespace

void taylor_scores(const SensitivityTask& task, std::vector<LayerSensitivity>& layers) {
  if (task.batches.empty()) throw input_error("there are no samples to measure layers with");
  const auto runner = open_session(std::make_shared<const Graph>(task.graph), builtin_ops());
  std::vector<TensorMap> outputs;
  for (const TensorMap& batch : task.batches) outputs.push_back(runner->run(batch));
  const std::map<std::string, double> powers = powers_of(outputs);
  TrainableGraph training = trainable(task.graph, training_ops());
  const Projection projection = project(training.graph, outputs[0]);
  TrainingStep step(training.graph, projection.loss, training.parameters, nullptr);

  struct Change {
    double* score;
    std::vector<std::pair<size_t, std::vector<float>>> deltas;  ///< by parameter
  };
  std::vector<Change> changes;
  for (LayerSensitivity& layer : layers) {
    for (const auto& [bits, plan] : task.plans) {
      Change made{&layer.widths[bits].taylor.emplace(0), {}};
      for (size_t p = 0; p < training.parameters.size(); ++p) {
        auto delta = change(task.graph, plan, layer, training.parameters[p].id);
        if (!delta.empty()) made.deltas.emplace_back(p, std::move(delta));
      }
      changes.push_back(std::move(made));
    }
  }
  Rng rng(1, 11);
  for (size_t b = 0; b < task.batches.size(); ++b) {
    TensorMap feeds;
    for (const auto& [name, tensor] : task.batches[b]) feeds.emplace(name, tensor.clone());
    for (const auto& [v, y] : projection.signs) {
      const Tensor& output = outputs[b].at(y);
      Tensor signs(DType::float32, output.shape());
      const double size = static_cast<double>(output.size()) /
                          std::sqrt(powers.at(y) * static_cast<double>(projection.signs.size()));
      for (float& sign : signs.data<float>())
        sign = static_cast<float>((rng.next() & 1U) != 0 ? size : -size);
      feeds.emplace(v, std::move(signs));
    }
    step.run(feeds, {}, training.parameters);
    for (Change& each : changes) {
      double along = 0;
      for (const auto& [p, delta] : each.deltas) {
        const Tensor& gradient = step.gradients()[p];
        if (gradient.dtype() == DType::undefined) continue;
        const auto g = gradient.data<float>();
        for (size_t i = 0; i < delta.size(); ++i)
          along += static_cast<double>(g[i]) * static_cast<double>(delta[i]);
      }
      *each.score += along * along;
    }
  }
}

}  // namespace qtool
