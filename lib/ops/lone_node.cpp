// SPDX-License-Identifier: Apache-2.0
#include "ops/lone_node.h"

namespace qtool {

LoneNode::LoneNode(const NodeView& in_place_of, OpKey op, int64_t opset,
                   const std::vector<TensorType>& inputs)
    : def_(builtin_ops().find(op, opset)) {
  if (def_ == nullptr) {
    throw unsupported_error("qtool does not know " + to_string(op) + " of opset " +
                            std::to_string(opset));
  }
  graph_.model.opsets[op.domain] = opset;
  Node node;
  node.op = std::move(op);
  for (const Attributes::Entry& entry : in_place_of.attributes().entries()) {
    node.attributes.append(entry);
  }
  facts_ = Facts(inputs.size() + 1);
  for (size_t i = 0; i < inputs.size(); ++i) {
    const ValueId id = graph_.add_value("in" + std::to_string(i), inputs[i]);
    node.inputs.push_back(inputs[i].dtype == DType::undefined ? ValueId::none : id);
    facts_[id].type = inputs[i];
  }
  node.outputs = {graph_.add_value("out")};
  id_ = graph_.add_node(std::move(node));
}

NodeView LoneNode::view() const {
  return {graph_, id_, facts_, graph_.model.opset(graph_.node(id_).op.domain)};
}

TensorType LoneNode::result() const {
  std::vector<ValueFacts> results(1);
  const NodeView node = view();
  InferContext context(node, results);
  def_->infer(context);
  return results[0].type;
}

Tensor LoneNode::evaluate(std::span<const Tensor* const> inputs) const {
  const NodeView node = view();
  return std::move(def_->reference({node, inputs}).at(0));
}

}  // namespace qtool
