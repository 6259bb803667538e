// SPDX-License-Identifier: Apache-2.0
// before: %c = Constant() {value=...}
// after:  the initializer %c
// when:   the value has a dense form and is not itself a graph output
// maths:  none
#include "passes/passes.h"

namespace qtool {

namespace {

struct Lift {
  NodeId node;
  ValueId value;
  Constant elements;
};

template <class T>
Constant vector_of(const std::vector<T>& elements) {
  return make_constant(Tensor::of<T>({static_cast<int64_t>(elements.size())}, elements));
}

struct AsConstant {
  Constant operator()(const TensorAttribute& value) const { return value.tensor; }
  Constant operator()(float value) const { return make_constant(Tensor::scalar(value)); }
  Constant operator()(int64_t value) const { return make_constant(Tensor::scalar(value)); }
  Constant operator()(const std::vector<float>& value) const { return vector_of(value); }
  Constant operator()(const std::vector<int64_t>& value) const { return vector_of(value); }
  Constant operator()(const std::string& value) const {
    return make_constant(Tensor::of_strings({}, {value}));
  }
  Constant operator()(const std::vector<std::string>& value) const {
    return make_constant(Tensor::of_strings({static_cast<int64_t>(value.size())}, value));
  }
  Constant operator()(const auto&) const { return nullptr; }
};

Constant elements_of(const Attributes& attributes) {
  for (const char* name : {"value", "value_float", "value_floats", "value_int", "value_ints",
                           "value_string", "value_strings"}) {
    if (const Attribute* value = attributes.find(name)) return std::visit(AsConstant{}, *value);
  }
  return nullptr;
}

std::optional<Lift> match(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  if (node.op != OpKey{"", "Constant"} || node.outputs.size() != 1) return std::nullopt;
  const ValueId made = node.outputs[0];
  if (made == ValueId::none || graph.is_output(made)) return std::nullopt;
  Constant elements = elements_of(node.attributes);
  if (elements == nullptr) return std::nullopt;
  return Lift{id, made, std::move(elements)};
}

void apply(Graph& graph, const Lift& lift) {
  graph.erase(lift.node);
  graph.set_constant(lift.value, lift.elements);
  graph.annotations(lift.value).listed = false;
}

}  // namespace

PassPtr lift_constants() {
  return std::make_shared<RulePass<Lift>>("lift_constants", Rule<Lift>{match, apply});
}

}  // namespace qtool
