// SPDX-License-Identifier: Apache-2.0
// SoftmaxGradient (gy, y) → gx, of Softmax or, with `logarithm`, of LogSoftmax. Before opset 13
// both ran over all dimensions from the axis on (`coerced`).
#include <cmath>

#include "kernels/host/gradient.h"
#include "ops/along_axis.h"
#include "ops/gradients/gradients.h"
#include "ops/lowering.h"
#include "ops/reals.h"
#include "ops/shapes.h"

namespace qtool {

namespace {

AlongAxis span_of(const NodeView& node, Shape shape) {
  const bool coerced = node.attributes().integer("coerced", 0) != 0;
  const int64_t axis = normalized_axis(node.attributes().integer("axis", -1),
                                       static_cast<int64_t>(shape.size()), coerced);
  if (coerced) {
    const auto first = shape.begin() + static_cast<std::ptrdiff_t>(axis);
    const int64_t rest = element_count({first, shape.end()});
    shape.erase(first, shape.end());
    shape.push_back(rest);
  }
  return {shape, axis};
}

bool logarithm(const NodeView& node) { return node.attributes().integer("logarithm", 0) != 0; }

std::vector<Tensor> softmax_gradient_reference(const ReferenceCall& call) {
  const AlongAxis span = span_of(call.node, call.input(0).shape());
  std::vector<double> gradient = reals(call, 0);
  const std::vector<double> y = reals(call, 1);
  const bool log = logarithm(call.node);
  span.for_lines([&](int64_t o, int64_t i) {
    double sum = 0;
    for (int64_t k = 0; k < span.along; ++k) {
      const size_t at = span.index(o, k, i);
      sum += log ? gradient[at] : gradient[at] * y[at];
    }
    for (int64_t k = 0; k < span.along; ++k) {
      const size_t at = span.index(o, k, i);
      gradient[at] = log ? gradient[at] - std::exp(y[at]) * sum : y[at] * (gradient[at] - sum);
    }
  });
  return one_result(real_tensor(call.input(0).dtype(), call.input(0).shape(), gradient));
}

Lowering lower_softmax_gradient(const LowerContext& context) {
  if (context.inputs[0].dtype != DType::float32) return Lowering::refuse("not float32");
  const AlongAxis span = span_of(context.node, context.inputs[0].shape);
  return lowering(
      make_softmax_gradient(span.outer, span.along, span.inner, logarithm(context.node)),
      {Layout::plain, Layout::plain});
}

void give_softmax(GradContext& context, bool log) {
  const bool coerced = context.def.since_version < 13;
  Attributes attributes;
  attributes.set("axis", context.node.attributes().integer("axis", coerced ? 1 : -1));
  attributes.set("coerced", static_cast<int64_t>(coerced));
  attributes.set("logarithm", static_cast<int64_t>(log));
  context.give(0, context.emit("SoftmaxGradient", {context.upstream(), context.output(0)},
                               std::move(attributes)));
}

}  // namespace

ValueId logits_of(const Graph& graph, ValueId scores) {
  const NodeId producer = graph.value(scores).producer;
  if (producer == NodeId::none) return scores;
  const Node& node = graph.node(producer);
  if (node.op != OpKey{"", "Softmax"}) return scores;
  // Over the classes: axis 1, or the last of two. Before opset 13 the default was 1.
  const int64_t axis = node.attributes.integer("axis", graph.model.opset() < 13 ? 1 : -1);
  const auto& type = graph.value(scores).type.shape;
  const bool last_of_two = axis == -1 && (!type || type->size() == 2);
  return axis == 1 || last_of_two ? node.inputs.at(0) : scores;
}

ValueId before_sigmoid(const Graph& graph, ValueId scores) {
  const NodeId producer = graph.value(scores).producer;
  const bool found = producer != NodeId::none && graph.node(producer).op == OpKey{"", "Sigmoid"};
  return found ? graph.node(producer).inputs.at(0) : scores;
}

void softmax_gradient(GradContext& context) { give_softmax(context, false); }
void log_softmax_gradient(GradContext& context) { give_softmax(context, true); }

void register_training_softmax(OpRegistry& ops) {
  OpDef def =
      training_record("SoftmaxGradient", {2, 2}, {1, 1}, infer_like<0>, softmax_gradient_reference);
  def.lower = lower_softmax_gradient;
  ops.add(std::move(def));
}

}  // namespace qtool
