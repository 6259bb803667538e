// SPDX-License-Identifier: Apache-2.0
#include "train/loss.h"

#include <cmath>
#include <map>

#include "ops/gradient.h"
#include "support/text.h"

namespace qtool {

namespace {

class Attacher {
 public:
  Attacher(Graph& graph, const LossTargets& targets, const LossSpec& spec)
      : graph_(graph), targets_(targets), spec_(spec) {
    graph_.model.opsets[kTrainingDomain] = 1;
    if (!spec.scored()) return;
    scores_ = logits_of(graph, targets.scores);
    if (spec.binary > 0) scores_ = before_sigmoid(graph, scores_);
  }

  AttachedLoss run() {
    if (spec_.labelled()) {
      result_.labels = input({DType::int64, std::vector<Dim>{Dim{}}}, "~labels");
    }
    if (spec_.cross_entropy > 0) {
      Attributes attributes;
      attributes.set("smoothing", static_cast<float>(spec_.label_smoothing));
      std::vector<ValueId> inputs{scores_, result_.labels};
      if (spec_.mixed) {
        inputs.push_back(input({DType::int64, std::vector<Dim>{Dim{}}}, "~partners"));
        inputs.push_back(input({DType::float32, std::vector<Dim>{Dim{}}}, "~share"));
      }
      add(training("CrossEntropy", std::move(inputs), std::move(attributes)), spec_.cross_entropy);
    }
    if (spec_.binary > 0) add(binary(), spec_.binary);
    if (spec_.distillation > 0) {
      Attributes attributes;
      attributes.set("temperature", static_cast<float>(spec_.temperature));
      add(training("Distillation", {scores_, taught(scores_, targets_.teacher)},
                   std::move(attributes)),
          spec_.distillation);
    }
    const auto outputs = static_cast<double>(targets_.outputs.size());
    for (const ValueId output : targets_.outputs) {
      if (spec_.mean_squared_error > 0) {
        add(training("MeanSquaredError", {output, taught(output)}),
            spec_.mean_squared_error / outputs);
      }
      if (spec_.absolute_error > 0) {
        const ValueId error = onnx("Sub", {output, taught(output)});
        add(mean(onnx("Abs", {error})), spec_.absolute_error / outputs);
      }
    }
    if (spec_.features > 0) {
      for (const LossTargets::Feature& feature : targets_.features) {
        add(relative_error(feature),
            spec_.features / static_cast<double>(targets_.features.size()));
      }
    }
    QTOOL_CHECK(result_.loss != ValueId::none, "a loss without terms");
    return result_;
  }

 private:
  ValueId input(TensorType type, const char* name) {
    if (type.dtype == DType::undefined) type.dtype = DType::float32;
    const ValueId id = graph_.add_value(graph_.unique_name(name), std::move(type));
    graph_.add_input(id);
    return id;
  }

  /// The input that holds the float model's tensor of this id.
  ValueId taught(ValueId value, ValueId teacher = ValueId::none) {
    if (teacher == ValueId::none) teacher = value;
    for (const auto& lesson : result_.teacher) {
      if (lesson.value == teacher) return lesson.input;
    }
    const ValueId id = input(graph_.value(value).type, "~teacher");
    result_.teacher.push_back({id, teacher});
    return id;
  }

  ValueId node(OpKey op, std::vector<ValueId> inputs, Attributes attributes) {
    Node made;
    made.op = std::move(op);
    made.inputs = std::move(inputs);
    made.attributes = std::move(attributes);
    made.outputs = {add_fresh_value(graph_, made.op.type)};
    const ValueId output = made.outputs[0];
    graph_.add_node(std::move(made));
    return output;
  }

  ValueId training(const char* op, std::vector<ValueId> inputs, Attributes attributes = {}) {
    return node({kTrainingDomain, op}, std::move(inputs), std::move(attributes));
  }

  ValueId onnx(const char* op, std::vector<ValueId> inputs, Attributes attributes = {}) {
    return node({"", op}, std::move(inputs), std::move(attributes));
  }

  ValueId number(double value) {
    const ValueId id = add_fresh_value(graph_, "number");
    graph_.set_constant(id, make_constant(Tensor::scalar(static_cast<float>(value))));
    return id;
  }

  ValueId mean(ValueId x) {
    Attributes attributes;
    attributes.set("keepdims", int64_t{0});
    return onnx("ReduceMean", {x}, std::move(attributes));
  }

  /// -(y log p + (1 - y) log(1 - p)) for p = 1 / (1 + exp(-x)) is softplus(x) - x y.
  ValueId binary() {
    const ValueId wanted = training("BinaryTargets", {scores_, result_.labels});
    const ValueId linear = onnx("Mul", {scores_, wanted});
    return mean(onnx("Sub", {onnx("Softplus", {scores_}), linear}));
  }

  ValueId relative_error(const LossTargets::Feature& feature) {
    constexpr double kSmall = 1e-6;  // for tensors of zeros
    const ValueId wanted = taught(feature.teacher);
    const ValueId power = onnx("Add", {mean(onnx("Mul", {wanted, wanted})), number(kSmall)});
    return onnx("Div", {training("MeanSquaredError", {feature.value, wanted}), power});
  }

  void add(ValueId term, double weight) {
    if (weight != 1) term = onnx("Mul", {term, number(weight)});
    const bool first = result_.loss == ValueId::none;
    result_.loss = first ? term : onnx("Add", {result_.loss, term});
  }

  Graph& graph_;
  const LossTargets& targets_;
  const LossSpec& spec_;
  ValueId scores_ = ValueId::none;
  AttachedLoss result_;
};

double weight_of(const std::string& term, const std::string& text) {
  double weight = 0;
  size_t read = 0;
  try {
    weight = std::stod(text, &read);
  } catch (const std::exception&) {
    read = 0;
  }
  if (read == text.size() && weight > 0 && weight < 1e6) return weight;
  throw usage_error("the weight of the loss \"" + term + "\" is no number above 0",
                    "Write distill:0.5, for instance.");
}

}  // namespace

LossSpec parse_loss(const std::string& text) {
  LossSpec spec;
  spec.cross_entropy = 0;
  const std::map<std::string, double*> terms{
      {"cross-entropy", &spec.cross_entropy}, {"bce", &spec.binary},
      {"distill", &spec.distillation},        {"mse", &spec.mean_squared_error},
      {"l1", &spec.absolute_error},           {"features", &spec.features}};
  for (const std::string& term : split(text, ',')) {
    const size_t colon = term.find(':');
    const auto found = terms.find(term.substr(0, colon));
    if (found == terms.end()) {
      throw usage_error(
          "there is no loss \"" + term + '"',
          "Write cross-entropy, bce, distill, mse, l1, features, or several with commas between.");
    }
    *found->second = colon == std::string::npos ? 1 : weight_of(term, term.substr(colon + 1));
  }
  return spec;
}

AttachedLoss attach_loss(Graph& graph, const LossTargets& targets, const LossSpec& spec) {
  const AttachedLoss attached = Attacher(graph, targets, spec).run();
  const size_t outputs = graph.outputs().size();
  for (size_t i = 0; i < outputs; ++i) graph.set_graph_output(i, attached.loss);
  graph.erase_dead();
  return attached;
}

}  // namespace qtool
