// SPDX-License-Identifier: Apache-2.0
#include "train/batch_norm.h"

#include <algorithm>
#include <cmath>

#include "ops/gradient.h"
#include "train/step.h"

namespace qtool {

namespace {

/// [1, C, 1 ...] for weights of this shape.
std::vector<int64_t> along_channels(const Shape& shape, size_t axis) {
  std::vector<int64_t> result(shape.size(), 1);
  result[axis] = shape[axis];
  return result;
}

class Attacher {
 public:
  Attacher(TrainableGraph& trainable, Statistics statistics)
      : graph_(trainable.graph), trainable_(trainable), statistics_(statistics) {
    graph_.model.opsets[kTrainingDomain] = 1;
  }

  void attach(const NormedLayer& layer) {
    const auto weight = find(layer.weight);
    const auto bias = find(layer.bias);
    if (!weight || !bias || !graph_.is_input(layer.weight) || !graph_.is_input(layer.bias)) return;
    QTOOL_CHECK(trainable_.parameters[*weight].bound.empty(), "weights that are bounded");
    TrainedNorm norm;
    norm.weight = *weight;
    norm.bias = *bias;
    norm.epsilon = layer.epsilon;
    norm.channels = along_channels(layer.raw.shape(), layer.axis);
    trainable_.parameters[*weight].value = layer.raw.clone();
    trainable_.parameters[*bias].value = layer.beta.clone();
    const std::string stem = trainable_.parameters[*weight].name;
    norm.gamma = add(Parameter::Kind::norm, stem + "_gamma", layer.gamma);
    norm.mean = add(Parameter::Kind::statistic, stem + "_mean", layer.mean);
    norm.variance = add(Parameter::Kind::statistic, stem + "_variance", layer.variance);
    fold(layer, norm);
    trainable_.norms.push_back(norm);
  }

 private:
  std::optional<size_t> find(ValueId id) const {
    const auto found = std::ranges::find(trainable_.parameters, id, &Parameter::id);
    if (found == trainable_.parameters.end()) return {};
    return static_cast<size_t>(found - trainable_.parameters.begin());
  }

  size_t add(Parameter::Kind kind, const std::string& name, const Tensor& value) {
    Parameter parameter;
    parameter.kind = kind;
    parameter.name = name;
    parameter.value = value.clone();
    if (kind == Parameter::Kind::statistic && name.ends_with("_variance")) parameter.lowest = 0;
    parameter.id = add_fresh_value(graph_, name);
    graph_.set_type(parameter.id, TensorType(DType::float32, value.shape()));
    graph_.add_input(parameter.id);
    trainable_.parameters.push_back(std::move(parameter));
    return trainable_.parameters.size() - 1;
  }

  std::vector<ValueId> node(OpKey op, std::vector<ValueId> inputs, size_t outputs = 1,
                            Attributes attributes = {}) {
    Node made;
    made.op = std::move(op);
    made.inputs = std::move(inputs);
    made.attributes = std::move(attributes);
    for (size_t i = 0; i < outputs; ++i) {
      made.outputs.push_back(add_fresh_value(graph_, made.op.type));
    }
    std::vector<ValueId> results = made.outputs;
    graph_.add_node(std::move(made));
    return results;
  }

  ValueId onnx(const char* op, std::vector<ValueId> inputs) {
    return node({"", op}, std::move(inputs))[0];
  }

  ValueId constant(Tensor tensor) {
    const ValueId id = add_fresh_value(graph_, "constant");
    graph_.set_constant(id, make_constant(std::move(tensor)));
    return id;
  }

  /// What read the parameters reads what they are folded to. In the arithmetic of folded_weight().
  void fold(const NormedLayer& layer, TrainedNorm& norm) {
    const ValueId weight = layer.weight;
    const ValueId bias = layer.bias;
    const std::vector<Use> weight_uses = graph_.value(weight).uses;
    const std::vector<Use> bias_uses = graph_.value(bias).uses;
    ValueId mean = trainable_.parameters[norm.mean].id;
    ValueId variance = trainable_.parameters[norm.variance].id;
    if (statistics_ == Statistics::batch) {
      const Node& own = graph_.node(layer.node);
      const auto made = node(own.op, {own.inputs[0], weight}, 1, own.attributes);
      const auto observed = node({kTrainingDomain, "BatchStatistics"}, made, 2);
      mean = norm.batch_mean = observed[0];
      variance = norm.batch_variance = observed[1];
    }
    const ValueId epsilon = constant(Tensor::scalar(layer.epsilon));
    const ValueId deviation = onnx("Sqrt", {onnx("Add", {variance, epsilon})});
    const ValueId factor = onnx("Div", {trainable_.parameters[norm.gamma].id, deviation});
    const auto rank = static_cast<int64_t>(norm.channels.size());
    const ValueId shape = constant(Tensor::of<int64_t>({rank}, norm.channels));
    const ValueId folded = onnx("Mul", {weight, onnx("Reshape", {factor, shape})});
    const ValueId shifted = onnx("Sub", {bias, onnx("Mul", {mean, factor})});
    graph_.replace_uses(weight, folded, weight_uses);
    graph_.replace_uses(bias, shifted, bias_uses);
  }

  Graph& graph_;
  TrainableGraph& trainable_;
  Statistics statistics_;
};

}  // namespace

void train_batch_norms(QuantizedTraining& training, const std::vector<NormedLayer>& layers,
                       Statistics statistics) {
  Attacher attacher(training.trainable, statistics);
  for (const NormedLayer& layer : layers) attacher.attach(layer);
}

FoldedNorm folded(const TrainedNorm& norm, const std::vector<Parameter>& parameters) {
  FoldedNorm result{parameters[norm.weight].value.clone(), parameters[norm.bias].value.clone()};
  const auto gamma = parameters[norm.gamma].value.data<float>();
  const auto mean = parameters[norm.mean].value.data<float>();
  const auto variance = parameters[norm.variance].value.data<float>();
  const auto bias = result.bias.data<float>();
  const auto weight = result.weight.data<float>();
  std::vector<float> factor;
  for (size_t c = 0; c < gamma.size(); ++c) {
    factor.push_back(gamma[c] / std::sqrt(variance[c] + norm.epsilon));
    bias[c] -= mean[c] * factor[c];
  }
  const auto first = std::ranges::find_if(norm.channels, [](int64_t n) { return n != 1; });
  int64_t inner = first == norm.channels.end() ? result.weight.size() : 1;
  for (auto d = first == norm.channels.end() ? first : first + 1; d != norm.channels.end(); ++d) {
    inner *= result.weight.shape()[static_cast<size_t>(d - norm.channels.begin())];
  }
  for (size_t i = 0; i < weight.size(); ++i) {
    weight[i] *= factor[i / static_cast<size_t>(inner) % factor.size()];
  }
  return result;
}

void StatisticsMean::add(const TrainingStep& step, size_t samples) {
  const auto observed = step.statistics();
  means_.resize(observed.size());
  squares_.resize(observed.size());
  const auto share = static_cast<double>(samples);
  samples_ += share;
  for (size_t p = 0; p < observed.size(); ++p) {
    if (observed[p].dtype() == DType::undefined) continue;
    const auto values = observed[p].data<float>();
    means_[p].resize(values.size());
    squares_[p].resize(values.size());
    for (size_t c = 0; c < values.size(); ++c) {
      const auto value = static_cast<double>(values[c]);
      means_[p][c] += share * value;
      squares_[p][c] += share * value * value;
    }
  }
}

void StatisticsMean::put(std::vector<Parameter>& parameters,
                         const std::vector<TrainedNorm>& norms) const {
  for (const TrainedNorm& norm : norms) {
    if (samples_ == 0 || means_.at(norm.mean).empty()) continue;
    const auto mean = parameters[norm.mean].value.data<float>();
    const auto variance = parameters[norm.variance].value.data<float>();
    for (size_t c = 0; c < mean.size(); ++c) {
      const double centre = means_[norm.mean][c] / samples_;
      const double between = squares_[norm.mean][c] / samples_ - centre * centre;
      mean[c] = static_cast<float>(centre);
      variance[c] =
          static_cast<float>(means_[norm.variance][c] / samples_ + std::max(between, 0.0));
    }
  }
}

}  // namespace qtool
