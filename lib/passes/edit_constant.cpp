// SPDX-License-Identifier: Apache-2.0
#include "passes/edit_constant.h"

namespace qtool {

void edit_constant(Graph& graph, const Use& use, Tensor elements, std::string_view stem) {
  const Node& node = graph.node(use.node);
  Constant constant = make_constant(std::move(elements));
  if (!has_input(node, static_cast<size_t>(use.slot))) {
    const ValueId made = graph.add_constant(graph.unique_name(stem), std::move(constant));
    graph.set_input(use.node, use.slot, made);
    return;
  }
  const ValueId old = node.inputs[static_cast<size_t>(use.slot)];
  const Value& value = graph.value(old);
  if (value.uses.size() == 1 && !graph.is_output(old)) {
    graph.set_constant(old, std::move(constant));
    return;
  }
  const ValueId copy =
      graph.add_constant(graph.unique_name(value.name + "_folded"), std::move(constant));
  graph.set_input(use.node, use.slot, copy);
}

Constant float_constant(const Graph& graph, const Node& node, size_t slot) {
  if (!has_input(node, slot)) return nullptr;
  Constant constant = graph.constant(node.inputs[slot]);
  return constant != nullptr && constant->dtype() == DType::float32 ? constant : nullptr;
}

Tensor to_float_tensor(const Shape& shape, std::span<const double> elements) {
  Tensor tensor(DType::float32, shape);
  const auto to = tensor.data<float>();
  QTOOL_CHECK(to.size() == elements.size(), "element count");
  for (size_t i = 0; i < to.size(); ++i) to[i] = static_cast<float>(elements[i]);
  return tensor;
}

std::string stem_of(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  if (!node.name.empty()) return node.name;
  for (const ValueId made : node.outputs) {
    if (made != ValueId::none) return graph.value(made).name;
  }
  return node.op.type;
}

}  // namespace qtool
