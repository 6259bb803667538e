// SPDX-License-Identifier: Apache-2.0
// Small graphs that several tests edit.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace qtool::test {

inline Node make_node(std::string type, std::vector<ValueId> inputs, std::vector<ValueId> outputs,
                      std::string name = {}) {
  Node node;
  node.name = std::move(name);
  node.op = {"", std::move(type)};
  node.inputs = std::move(inputs);
  node.outputs = std::move(outputs);
  return node;
}

/// x -> Relu a -> Add b (a + w) -> y, with the constant w.
struct Chain {
  Graph graph;
  ValueId x = graph.add_value("x", TensorType(DType::float32, Shape{2}));
  ValueId w = graph.add_constant("w", make_constant(Tensor::of<float>({2}, {1.0F, 2.5F})));
  ValueId a = graph.add_value("a");
  ValueId y = graph.add_value("y", TensorType(DType::float32, Shape{2}));
  NodeId relu = graph.add_node(make_node("Relu", {x}, {a}, "relu"));
  NodeId add = graph.add_node(make_node("Add", {a, w}, {y}, "add"));

  Chain() {
    graph.name = "chain";
    graph.model.opsets[""] = 17;
    graph.add_input(x);
    graph.add_output(y);
  }
};

/// if (cond) y = Relu(x) else y = Identity(x), where both branches capture x.
struct Branches {
  Graph graph;
  ValueId cond = graph.add_value("cond", TensorType(DType::boolean, Shape{}));
  ValueId x = graph.add_value("x", TensorType(DType::float32, Shape{2}));
  ValueId y = graph.add_value("y");
  NodeId node = NodeId::none;

  static SubgraphPtr branch(const std::string& op, ValueId& captured) {
    auto body = std::make_shared<Graph>();
    body->name = op + "_branch";
    captured = body->add_value("x");
    body->annotations(captured).captured = true;
    const ValueId out = body->add_value(op + "_out");
    body->add_node(make_node(op, {captured}, {out}));
    body->add_output(out);
    return body;
  }

  Branches() {
    graph.name = "branches";
    graph.add_input(cond);
    graph.add_input(x);
    Node choice = make_node("If", {cond}, {y}, "choice");
    ValueId in_then = ValueId::none;
    ValueId in_else = ValueId::none;
    choice.attributes.set("then_branch", branch("Relu", in_then));
    choice.attributes.set("else_branch", branch("Identity", in_else));
    choice.captures = {{"then_branch", 0, in_then, x}, {"else_branch", 0, in_else, x}};
    node = graph.add_node(std::move(choice));
    graph.add_output(y);
  }
};

}  // namespace qtool::test
