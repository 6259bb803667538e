// SPDX-License-Identifier: Apache-2.0
#include "ops/body.h"

#include <algorithm>

namespace qtool {

std::vector<Captured> captured_facts(const Node& node, const std::string& attribute,
                                     const Facts& facts) {
  std::vector<Captured> all;
  for (const Capture& capture : node.captures) {
    if (capture.attribute != attribute) continue;
    all.push_back({capture.inner, capture.outer, facts[capture.outer]});
  }
  return all;
}

Graph standalone_body(const Graph& body, const ModelInfo& model,
                      const std::vector<TensorType>& inputs, std::span<const Captured> captured) {
  Graph alone = body;
  alone.model = model;
  // Before version 4 an initializer had to be listed as an input; a body's are what they are.
  alone.model.ir_version = std::max<int64_t>(model.ir_version, 4);
  if (alone.inputs().size() != inputs.size()) {
    throw input_error("the body \"" + body.name + "\" takes " +
                          std::to_string(alone.inputs().size()) + " inputs and is given " +
                          std::to_string(inputs.size()),
                      "The model is not valid ONNX; check how it was exported.");
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    const ValueId id = alone.inputs()[i];
    if (alone.value(id).constant != nullptr) alone.set_constant(id, nullptr);
    alone.set_type(id, inputs[i]);
  }
  for (const Captured& capture : captured) {
    alone.annotations(capture.inner).captured = false;
    if (capture.facts.constant != nullptr) {
      alone.set_constant(capture.inner, capture.facts.constant);
    } else {
      alone.set_type(capture.inner, capture.facts.type);
      alone.add_input(capture.inner);
    }
  }
  return alone;
}

void TakenNames::collect(const Graph& graph) {
  for (const ValueId id : graph.values()) names_.insert(graph.value(id).name);
  for (const NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    if (!node.name.empty()) names_.insert(node.name);
    for (const auto& entry : node.attributes.entries()) {
      if (const auto* one = std::get_if<SubgraphPtr>(&entry.value)) collect(**one);
      if (const auto* many = std::get_if<std::vector<SubgraphPtr>>(&entry.value)) {
        for (const SubgraphPtr& body : *many) collect(*body);
      }
    }
  }
}

std::string TakenNames::take(const std::string& stem) {
  std::string name = stem;
  for (int suffix = 1; !names_.insert(name).second; ++suffix) {
    name = stem + '_' + std::to_string(suffix);
  }
  return name;
}

namespace {

/// The graph's value for one of the body's, made where there is none yet.
ValueId placed(Graph& graph, const Graph& body, ValueId inner, std::map<ValueId, ValueId>& bound,
               TakenNames& names) {
  if (inner == ValueId::none) return ValueId::none;
  const auto found = bound.find(inner);
  if (found != bound.end()) return found->second;
  const Value& value = body.value(inner);
  const std::string name = names.take(value.name);
  const ValueId outer = value.constant != nullptr ? graph.add_constant(name, value.constant)
                                                  : graph.add_value(name, value.type);
  graph.annotations(outer).type_residue = value.type_residue;
  graph.annotations(outer).constant_residue = value.constant_residue;
  bound.emplace(inner, outer);
  return outer;
}

void add_identity(Graph& graph, ValueId from, ValueId to) {
  Node identity;
  identity.op = {"", "Identity"};
  identity.inputs = {from};
  identity.outputs = {to};
  graph.add_node(std::move(identity));
}

}  // namespace

void inline_body(Graph& graph, const Graph& body, std::map<ValueId, ValueId> bound,
                 std::span<const ValueId> results, const std::string& prefix, TakenNames& names) {
  QTOOL_CHECK(results.size() <= body.outputs().size(), "results of the body " + body.name);
  std::vector<std::pair<ValueId, ValueId>> copies;
  for (size_t i = 0; i < results.size(); ++i) {
    const ValueId inner = body.outputs()[i];
    if (results[i] == ValueId::none) continue;
    const bool made_inside = body.value(inner).producer != NodeId::none && !bound.contains(inner);
    if (made_inside) {
      bound.emplace(inner, results[i]);
    } else {
      copies.emplace_back(inner, results[i]);
    }
  }
  for (const NodeId id : body.topological_order()) {
    Node node = body.node(id);
    if (!node.name.empty()) node.name = names.take(prefix + node.name);
    for (ValueId& input : node.inputs) input = placed(graph, body, input, bound, names);
    for (ValueId& output : node.outputs) output = placed(graph, body, output, bound, names);
    for (Capture& capture : node.captures) {
      capture.outer = placed(graph, body, capture.outer, bound, names);
      if (capture.outer == ValueId::none) {
        throw input_error("a body inside of \"" + body.name + "\" reads an absent input");
      }
    }
    graph.add_node(std::move(node));
  }
  for (const auto& [inner, result] : copies) {
    add_identity(graph, placed(graph, body, inner, bound, names), result);
  }
}

namespace {

bool is_branch(const Node& node) { return node.op == OpKey{"", "If"}; }

/// The attribute of the branch that runs; nothing where the condition is not known.
std::optional<std::string> known_branch(const Node& node, const Facts& facts) {
  if (!is_branch(node) || node.inputs.size() != 1 || node.inputs[0] == ValueId::none) {
    return std::nullopt;
  }
  const Constant& condition = facts[node.inputs[0]].constant;
  if (condition == nullptr || condition->dtype() != DType::boolean || condition->size() != 1) {
    return std::nullopt;
  }
  return condition->data<bool>()[0] ? "then_branch" : "else_branch";
}

void replace_by_branch(Graph& graph, NodeId id, const std::string& attribute, TakenNames& names) {
  const Node node = graph.node(id);
  const SubgraphPtr body = node.attributes.subgraph(attribute);
  if (body == nullptr || !body->inputs().empty() || body->outputs().size() != node.outputs.size()) {
    throw input_error(attribute + " has other results than the node",
                      "The model is not valid ONNX; check how it was exported.");
  }
  std::map<ValueId, ValueId> bound;
  for (const Capture& capture : node.captures) {
    if (capture.attribute == attribute) bound.emplace(capture.inner, capture.outer);
  }
  graph.erase(id);
  inline_body(graph, *body, std::move(bound), node.outputs, "", names);
}

}  // namespace

bool has_branches(const Graph& graph) {
  return std::ranges::any_of(graph.nodes(), [&](NodeId id) { return is_branch(graph.node(id)); });
}

int inline_known_branches(Graph& graph, const OpRegistry& ops, const InferOptions& options) {
  int inlined = 0;
  for (bool again = has_branches(graph); again;) {
    again = false;
    const Facts facts = infer_facts(graph, ops, options);
    TakenNames names(graph);
    for (const NodeId id : graph.topological_order()) {
      const auto attribute = known_branch(graph.node(id), facts);
      if (!attribute) continue;
      const std::string described = graph.describe(id);
      within_frame([&] { return described; },
                   [&] { replace_by_branch(graph, id, *attribute, names); });
      ++inlined;
      again = true;
    }
  }
  return inlined;
}

}  // namespace qtool
