// SPDX-License-Identifier: Apache-2.0
#include "ops/gradient.h"

#include "ops/gradients/gradients.h"

namespace qtool {

GradContext::GradContext(const Graph& forward, const NodeView& view, const OpDef& record, NodeId id,
                         Graph& target, std::vector<ValueId> upstream, std::vector<bool> wanted)
    : node(view), def(record), forward_(&forward.node(id)), target_(target),
      upstream_(std::move(upstream)), wanted_(std::move(wanted)) {}

ValueId GradContext::input(size_t slot) const {
  return slot < forward_->inputs.size() ? forward_->inputs[slot] : ValueId::none;
}

ValueId GradContext::output(size_t slot) const {
  return slot < forward_->outputs.size() ? forward_->outputs[slot] : ValueId::none;
}

std::vector<ValueId> GradContext::add(OpKey key, std::vector<ValueId> inputs, Attributes attributes,
                                      const std::vector<bool>& present) {
  Node made;
  made.op = std::move(key);
  made.inputs = std::move(inputs);
  made.attributes = std::move(attributes);
  for (const bool there : present) {
    made.outputs.push_back(there ? add_fresh_value(target_, made.op.type) : ValueId::none);
  }
  std::vector<ValueId> outputs = made.outputs;
  target_.add_node(std::move(made));
  return outputs;
}

ValueId GradContext::emit(const char* op, std::vector<ValueId> inputs, Attributes attributes) {
  return add({kTrainingDomain, op}, std::move(inputs), std::move(attributes), {true})[0];
}

std::vector<ValueId> GradContext::emit_several(const char* op, std::vector<ValueId> inputs,
                                               Attributes attributes,
                                               const std::vector<bool>& present) {
  return add({kTrainingDomain, op}, std::move(inputs), std::move(attributes), present);
}

ValueId GradContext::emit_onnx(const char* op, std::vector<ValueId> inputs, Attributes attributes) {
  return add({"", op}, std::move(inputs), std::move(attributes), {true})[0];
}

ValueId GradContext::constant(Tensor tensor) {
  const ValueId id = add_fresh_value(target_, "constant");
  target_.set_constant(id, make_constant(std::move(tensor)));
  return id;
}

void GradContext::give(size_t slot, ValueId gradient) {
  if (wants(slot)) given_.emplace_back(slot, gradient);
}

ValueId add_fresh_value(Graph& graph, std::string_view stem) {
  // The bound grows with every value, so that the first try is free but for hostile names.
  std::string name;
  for (size_t n = graph.value_id_bound();; ++n) {
    name = "~" + std::string(stem) + std::to_string(n);
    if (!graph.find_value(name)) return graph.add_value(name);
  }
}

const OpRegistry& training_ops() {
  static const OpRegistry registry = [] {
    OpRegistry ops;
    for (const OpDef& def : builtin_ops().all()) ops.add(def);
    register_training_activation(ops);
    register_training_arithmetic(ops);
    register_training_movement(ops);
    register_training_product(ops);
    register_training_convolution(ops);
    register_training_pooling(ops);
    register_training_selection(ops);
    register_training_softmax(ops);
    register_training_recurrent(ops);
    register_training_batch_statistics(ops);
    register_training_normalization(ops);
    register_training_fake_quantize(ops);
    register_training_loss(ops);
    return ops;
  }();
  return registry;
}

}  // namespace qtool
