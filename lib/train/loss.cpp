// SPDX-License-Identifier: Apache-2.0
#include "train/loss.h"

#include "ops/gradient.h"

namespace qtool {

namespace {

class Attacher {
 public:
  Attacher(Graph& graph, ValueId scores, const LossSpec& spec) : graph_(graph), spec_(spec) {
    scores_ = logits_of(graph, scores);
    graph_.model.opsets[kTrainingDomain] = 1;
  }

  AttachedLoss run() {
    if (spec_.cross_entropy > 0) {
      result_.labels = input({DType::int64, std::vector<Dim>{Dim{}}}, "~labels");
      Attributes attributes;
      attributes.set("smoothing", static_cast<float>(spec_.label_smoothing));
      add({kTrainingDomain, "CrossEntropy"}, result_.labels, std::move(attributes),
          spec_.cross_entropy);
    }
    if (spec_.distillation > 0 || spec_.mean_squared_error > 0) {
      result_.teacher = input(graph_.value(scores_).type, "~teacher");
    }
    if (spec_.distillation > 0) {
      Attributes attributes;
      attributes.set("temperature", static_cast<float>(spec_.temperature));
      add({kTrainingDomain, "Distillation"}, result_.teacher, std::move(attributes),
          spec_.distillation);
    }
    if (spec_.mean_squared_error > 0) {
      add({kTrainingDomain, "MeanSquaredError"}, result_.teacher, {}, spec_.mean_squared_error);
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

  void add(OpKey op, ValueId target, Attributes attributes, double weight) {
    ValueId term = node(std::move(op), {scores_, target}, std::move(attributes));
    if (weight != 1) {
      const ValueId factor = add_fresh_value(graph_, "weight");
      graph_.set_constant(factor, make_constant(Tensor::scalar(static_cast<float>(weight))));
      term = node({"", "Mul"}, {term, factor}, {});
    }
    const bool first = result_.loss == ValueId::none;
    result_.loss = first ? term : node({"", "Add"}, {result_.loss, term}, {});
  }

  Graph& graph_;
  const LossSpec& spec_;
  ValueId scores_;
  AttachedLoss result_;
};

}  // namespace

AttachedLoss attach_loss(Graph& graph, ValueId scores, const LossSpec& spec) {
  const AttachedLoss attached = Attacher(graph, scores, spec).run();
  const size_t outputs = graph.outputs().size();
  for (size_t i = 0; i < outputs; ++i) graph.set_graph_output(i, attached.loss);
  graph.erase_dead();
  return attached;
}

}  // namespace qtool
