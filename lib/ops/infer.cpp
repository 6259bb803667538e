// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "ops/body.h"
#include "ops/op_def.h"

namespace qtool {

namespace {

/// What two sources say of one value, the first preferred where it says something.
TensorType combined(const TensorType& first, const TensorType& second) {
  TensorType type = first;
  if (type.dtype == DType::undefined) type.dtype = second.dtype;
  if (!type.shape) {
    type.shape = second.shape;
  } else if (second.shape && second.shape->size() == type.shape->size()) {
    for (size_t i = 0; i < type.shape->size(); ++i) {
      Dim& dim = (*type.shape)[i];
      const Dim& other = (*second.shape)[i];
      if (!dim.value && (other.value || dim.symbol.empty())) dim = other;
    }
  }
  return type;
}

TensorType input_type(const Value& value, const InferOptions& options) {
  const auto given = options.input_shapes.find(value.name);
  if (given == options.input_shapes.end()) return value.type;
  const Shape& shape = given->second;
  if (value.type.shape) {
    const auto& declared = *value.type.shape;
    bool fits = declared.size() == shape.size();
    for (size_t i = 0; fits && i < shape.size(); ++i) {
      fits = !declared[i].value || *declared[i].value == shape[i];
    }
    if (!fits) {
      throw input_error("the input \"" + value.name + "\" is " + to_string(value.type) +
                            " and cannot take the shape " + to_string(shape),
                        "Feed data of the declared shape.");
    }
  }
  return {value.type.dtype, shape};
}

void check_extents(const Graph& graph, ValueId id, const TensorType& type) {
  if (!type.shape) return;
  for (const Dim& dim : *type.shape) {
    if (dim.value && (*dim.value < 0 || *dim.value > kMostExtent)) {
      throw input_error("\"" + graph.value(id).name + "\" is " + to_string(type),
                        "No tensor has such a shape; check how the model was exported.");
    }
  }
}

/// Evaluates a node whose inputs are all known, if the result is of bounded size.
bool fold(const OpDef& def, const NodeView& view, std::vector<ValueFacts>& outputs, int64_t limit) {
  if (!def.deterministic) return false;
  // 8-bit codes stay, for kernels that compute with them; a bias in 32 bits is just a float vector.
  if (def.qdq == QdqRole::dequantize && view.input_type(0).dtype != DType::int32) return false;
  std::vector<Constant> held;
  std::vector<const Tensor*> inputs;
  for (size_t i = 0; i < view.input_count(); ++i) {
    Constant constant = view.input_constant(i);
    if (view.has_input(i) && constant == nullptr) return false;
    if (constant != nullptr && constant->dtype() == DType::string) return false;
    inputs.push_back(constant.get());
    held.push_back(std::move(constant));
  }
  for (const ValueFacts& output : outputs) {
    const auto shape = output.type.concrete_shape();
    if (!shape || element_count(*shape) > limit) return false;
  }
  std::vector<Tensor> results;
  try {
    results = evaluate(def, view, inputs);
  } catch (const Error& error) {
    // What qtool cannot compute can still be looked at; it is an error when it is to run.
    if (error.kind() != Error::Kind::unsupported) throw;
    return false;
  }
  for (size_t i = 0; i < results.size() && i < outputs.size(); ++i) {
    if (results[i].dtype() == DType::undefined) continue;
    outputs[i].type = {results[i].dtype(), results[i].shape()};
    outputs[i].constant = make_constant(std::move(results[i]));
  }
  return true;
}

/// Bodies nested deeper are not looked into: a Loop looks at its body several times.
constexpr int kDeepestBody = 5;

Facts infer_at_depth(const Graph& graph, const OpRegistry& ops, const InferOptions& options,
                     int depth);

/// Infers a node's bodies with the facts of what they capture.
BodyInference body_inference(const Graph& graph, NodeId id, const Facts& facts,
                             const OpRegistry& ops, const InferOptions& options, int depth) {
  return [&graph, id, &facts, &ops, &options, depth](const std::string& attribute,
                                                     const std::vector<TensorType>& inputs) {
    const SubgraphPtr body = graph.node(id).attributes.subgraph(attribute);
    if (body == nullptr) throw input_error("the attribute \"" + attribute + "\" is missing");
    std::vector<ValueFacts> outputs(body->outputs().size());
    if (depth == kDeepestBody) return outputs;
    const Graph alone = standalone_body(*body, graph.model, inputs,
                                        captured_facts(graph.node(id), attribute, facts));
    const Facts inside =
        within_frame([&] { return attribute; },
                     [&] {
                       return infer_at_depth(alone, ops, {{}, options.fold_limit}, depth + 1);
                     });
    for (size_t i = 0; i < outputs.size(); ++i) outputs[i] = inside[alone.outputs()[i]];
    return outputs;
  };
}

Facts infer_at_depth(const Graph& graph, const OpRegistry& ops, const InferOptions& options,
                     int depth) {
  Facts facts(graph.value_id_bound());
  for (const ValueId id : graph.values()) {
    const Value& value = graph.value(id);
    if (Constant constant = graph.constant(id)) {
      facts[id].type = {constant->dtype(), constant->shape()};
      facts[id].constant = std::move(constant);
    } else if (value.producer == NodeId::none) {
      facts[id].type = input_type(value, options);
    }
    check_extents(graph, id, value.type);
    check_extents(graph, id, facts[id].type);
  }
  for (const NodeId id : graph.topological_order()) {
    const Node& node = graph.node(id);
    const OpDef* def = ops.find(node, graph.model);
    std::vector<ValueFacts> outputs(node.outputs.size());
    if (def != nullptr) {
      within_frame(
          [&] { return graph.describe(id); },
          [&] {
            if (const std::string problem = arity_problem(node, *def); !problem.empty()) {
              throw input_error(problem, "The model is not valid ONNX; check how it was exported.");
            }
            const NodeView view(graph, id, facts, graph.model.opset(node.op.domain));
            const BodyInference bodies = body_inference(graph, id, facts, ops, options, depth);
            InferContext context(view, outputs, &bodies);
            def->infer(context);
            fold(*def, view, outputs, options.fold_limit);
          });
    }
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      if (node.outputs[i] == ValueId::none) continue;
      ValueFacts& known = facts[node.outputs[i]];
      known.constant = std::move(outputs[i].constant);
      known.type = combined(outputs[i].type, graph.value(node.outputs[i]).type);
      check_extents(graph, node.outputs[i], known.type);
    }
  }
  return facts;
}

}  // namespace

Facts infer_facts(const Graph& graph, const OpRegistry& ops, const InferOptions& options) {
  return infer_at_depth(graph, ops, options, 0);
}

}  // namespace qtool
