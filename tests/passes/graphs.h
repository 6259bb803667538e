// SPDX-License-Identifier: Apache-2.0
// Making small graphs in a line a node, and running them by the ops' references alone.
#pragma once

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "catch.h"
#include "ops/op_def.h"
#include "support/rng.h"

namespace qtool::test {

/// Values by name: those not yet known are made when first written to.
struct Build {
  Graph graph;

  explicit Build(int64_t opset = 13) {
    graph.name = "test";
    graph.model.opsets[""] = opset;
  }

  ValueId value(const std::string& name) {
    if (name.empty()) return ValueId::none;
    if (const auto found = graph.find_value(name)) return *found;
    return graph.add_value(name);
  }
  ValueId input(const std::string& name, Shape shape, DType dtype = DType::float32) {
    const ValueId id = graph.add_value(name, TensorType(dtype, shape));
    graph.add_input(id);
    return id;
  }
  ValueId constant(const std::string& name, Tensor tensor) {
    return graph.add_constant(name, make_constant(std::move(tensor)));
  }
  ValueId constant(const std::string& name, Shape shape, std::initializer_list<float> elements) {
    return constant(name, Tensor::of<float>(std::move(shape), elements));
  }
  /// Standard normal, reproducible by the seed.
  ValueId random(const std::string& name, Shape shape, uint64_t seed) {
    Tensor tensor(DType::float32, std::move(shape));
    Rng rng(seed);
    for (float& element : tensor.data<float>()) element = rng.normal();
    return constant(name, std::move(tensor));
  }
  NodeId node(const std::string& op, const std::vector<std::string>& inputs,
              const std::vector<std::string>& outputs,
              std::initializer_list<std::pair<const char*, Attribute>> attributes = {},
              std::string name = {}) {
    Node made;
    made.name = name.empty() ? "node_" + outputs.at(0) : std::move(name);
    made.op = {"", op};
    for (const auto& input : inputs) made.inputs.push_back(value(input));
    for (const auto& output : outputs) made.outputs.push_back(value(output));
    for (const auto& [key, attribute] : attributes) made.attributes.set(key, attribute);
    return graph.add_node(std::move(made));
  }
  void output(const std::string& name) { graph.add_output(value(name)); }
};

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

inline Tensor random_tensor(Shape shape, uint64_t seed) {
  Tensor tensor(DType::float32, std::move(shape));
  Rng rng(seed);
  for (float& element : tensor.data<float>()) element = rng.normal();
  return tensor;
}

/// Every value of the graph by name, computed node by node.
inline TensorMap run_graph(const Graph& graph, const TensorMap& feeds) {
  Facts facts(graph.value_id_bound());
  TensorMap values;
  for (const auto& [name, tensor] : feeds) values.emplace(name, tensor.clone());
  for (const ValueId id : graph.values()) {
    const Constant constant = graph.value(id).constant;
    if (constant != nullptr && !values.contains(graph.value(id).name)) {
      values.emplace(graph.value(id).name, constant->clone());
    }
  }
  for (const NodeId id : graph.topological_order()) {
    const Node& node = graph.node(id);
    const OpDef* def = builtin_ops().find(node, graph.model);
    INFO(graph.describe(id));
    REQUIRE(def != nullptr);
    std::vector<const Tensor*> inputs;
    for (const ValueId input : node.inputs) {
      if (input == ValueId::none) {
        inputs.push_back(nullptr);
        continue;
      }
      const Tensor& tensor = values.at(graph.value(input).name);
      facts[input].type = {tensor.dtype(), tensor.shape()};
      facts[input].constant = make_constant(tensor.clone());
      inputs.push_back(&tensor);
    }
    auto results = evaluate(*def, NodeView(graph, id, facts, graph.model.opset()), inputs);
    for (size_t i = 0; i < node.outputs.size() && i < results.size(); ++i) {
      if (node.outputs[i] == ValueId::none) continue;
      values.insert_or_assign(graph.value(node.outputs[i]).name, std::move(results[i]));
    }
  }
  return values;
}

/// The largest difference as a share of the largest magnitude.
inline double relative_difference(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  const auto x = to_doubles(a);
  const auto y = to_doubles(b);
  double difference = 0;
  double magnitude = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    difference = std::max(difference, std::abs(x[i] - y[i]));
    magnitude = std::max(magnitude, std::abs(x[i]));
  }
  return magnitude == 0 ? difference : difference / magnitude;
}

}  // namespace qtool::test
