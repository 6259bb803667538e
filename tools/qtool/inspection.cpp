// SPDX-License-Identifier: Apache-2.0
#include "inspection.h"

#include <algorithm>
#include <array>

#include "ops/op_def.h"
#include "ops/qoperator.h"

namespace qtool {

namespace {

/// Ops that a float model has, but none that is prepared for quantization.
constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kPreparedAway{{
    {"BatchNormalization", "folds into the convolution before it where it can"},
    {"Constant", "a constant"},
    {"Dropout", "does nothing in inference"},
    {"Identity", "does nothing"},
}};

Standing standing(const Graph& graph, const Node& node) {
  const OpDef* def = builtin_ops().find(node, graph.model);
  if (def == nullptr) return {"float", "qtool does not know the op; it passes through unchanged"};
  if (def->qdq != QdqRole::none) return {"-", "quantization itself"};
  if (computes_codes(node.op)) return {"-", "quantized already"};
  for (const auto& [op, why] : kPreparedAway) {
    if (node.op.domain.empty() && node.op.type == op) return {"goes", std::string(why)};
  }
  switch (def->quant.behaviour) {
    case Behaviour::compute: return {"can be int8", "has integer kernels"};
    case Behaviour::move_data: return {"follows its input", "moves elements unchanged"};
    case Behaviour::keep_float: break;
  }
  if (def->quant.keeps != nullptr)
    return {"joins its producer", "an activation behind a quantized op"};
  return {"float", "no integer kernel for it"};
}

/// With one for open extents work can be counted; where the model does not run so (a window over
/// the samples of a frame), they stay open.
Facts facts_for(const Graph& graph, const InputShapes& asked) {
  InferOptions options;
  std::vector<RunnerValue> inputs;
  for (const ValueId id : graph.required_inputs()) {
    const Value& input = graph.value(id);
    if (!input.type.shape) continue;
    Shape listed;
    Shape shape;
    for (const Dim& dim : *input.type.shape) {
      listed.push_back(dim.value.value_or(-1));
      shape.push_back(dim.value.value_or(1));
    }
    inputs.push_back({.name = input.name, .dtype = input.type.dtype, .dims = listed});
    const auto found = asked.find(input.name);
    options.input_shapes.emplace(input.name, found == asked.end() ? shape : found->second);
  }
  check_input_shapes(inputs, asked);
  if (!asked.empty()) return infer_facts(graph, builtin_ops(), options);
  try {
    return infer_facts(graph, builtin_ops(), options);
  } catch (const Error& error) {
    if (error.kind() == Error::Kind::internal) throw;
    return infer_facts(graph, builtin_ops());
  }
}

void count_bodies(const Node& node, std::map<std::string, size_t>& counts) {
  const auto count_body = [&](const SubgraphPtr& body) {
    for (const NodeId id : body->nodes()) {
      ++counts[to_string(body->node(id).op)];
      count_bodies(body->node(id), counts);
    }
  };
  for (const auto& [name, value, residue] : node.attributes.entries()) {
    if (const auto* body = std::get_if<SubgraphPtr>(&value)) count_body(*body);
    if (const auto* bodies = std::get_if<std::vector<SubgraphPtr>>(&value))
      std::ranges::for_each(*bodies, count_body);
  }
}

bool has_open_extents(const Node& node, const Facts& facts) {
  const auto open = [&](ValueId id) {
    if (id == ValueId::none) return false;
    const TensorType& type = facts[id].type;
    return !type.shape ||
           std::ranges::any_of(*type.shape, [](const Dim& dim) { return !dim.value; });
  };
  return std::ranges::any_of(node.inputs, open) || std::ranges::any_of(node.outputs, open);
}

}  // namespace

Inspection inspect_graph(const Graph& graph, const InputShapes& asked) {
  Inspection result;
  const Facts facts = facts_for(graph, asked);
  for (const NodeId id : graph.topological_order()) {
    const Node& node = graph.node(id);
    count_bodies(node, result.body_ops);
    const OpDef* def = builtin_ops().find(node, graph.model);
    const NodeView view(graph, id, facts, graph.model.opset(node.op.domain));
    const bool multiplies = def != nullptr && def->macs != nullptr;
    LayerRow layer{.node = node.name.empty() ? graph.describe(id) : node.name,
                   .op = to_string(node.op),
                   .result = "-",
                   .macs = multiplies ? def->macs(view) : 0,
                   .open = false,
                   .standing = standing(graph, node)};
    layer.open = multiplies && layer.macs == 0 && has_open_extents(node, facts);
    if (!node.outputs.empty() && node.outputs[0] != ValueId::none)
      layer.result = to_string(facts[node.outputs[0]].type);
    OpRow& row = result.ops[layer.op];
    ++row.count;
    row.macs += layer.macs;
    row.standing = layer.standing;
    if (def != nullptr && def->quant.only_if != nullptr && !def->quant.only_if(view))
      layer.standing = {"float", "not in this form of it"};
    result.macs += layer.macs;
    result.open_nodes += layer.open ? 1 : 0;
    result.layers.push_back(std::move(layer));
  }
  return result;
}

}  // namespace qtool
