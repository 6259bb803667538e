// SPDX-License-Identifier: Apache-2.0
#include "report/model_facts.h"

#include "support/checked.h"

namespace qtool {

namespace {

constexpr int kDeepest = 64;

void grow(uint64_t& sum, uint64_t by) {
  const auto total = checked_add(sum, by);
  if (!total) throw input_error("the model's constants are larger than 2^64 bytes");
  sum = *total;
}

void count(ModelFacts& facts, const Constant& tensor) {
  if (!tensor) return;
  const DType type = tensor->dtype();
  uint64_t bytes = tensor->bytes();
  if (type == DType::string) {
    bytes = 0;
    for (const std::string& text : tensor->strings()) grow(bytes, text.size());
  }
  grow(facts.weight_bytes[std::string(name(type))], bytes);
  if (type != DType::int64 && type != DType::boolean && type != DType::string) {
    grow(facts.parameters, static_cast<uint64_t>(tensor->size()));
  }
}

void count(ModelFacts& facts, const Graph& graph, int depth);

void count(ModelFacts& facts, const Attribute& attribute, int depth) {
  if (const auto* tensor = std::get_if<TensorAttribute>(&attribute)) {
    count(facts, tensor->tensor);
  } else if (const auto* tensors = std::get_if<std::vector<TensorAttribute>>(&attribute)) {
    for (const TensorAttribute& one : *tensors) count(facts, one.tensor);
  } else if (const auto* graph = std::get_if<SubgraphPtr>(&attribute)) {
    if (*graph) count(facts, **graph, depth + 1);
  } else if (const auto* graphs = std::get_if<std::vector<SubgraphPtr>>(&attribute)) {
    for (const SubgraphPtr& one : *graphs) {
      if (one) count(facts, *one, depth + 1);
    }
  }
}

void count(ModelFacts& facts, const Graph& graph, int depth) {
  if (depth > kDeepest) throw input_error("subgraphs are nested deeper than 64");
  for (const ValueId id : graph.values()) {
    if (!graph.value(id).captured) count(facts, graph.value(id).constant);
  }
  for (const NodeId id : graph.nodes()) {
    for (const Attributes::Entry& entry : graph.node(id).attributes.entries()) {
      count(facts, entry.value, depth);
    }
  }
}

}  // namespace

ModelFacts model_facts(const Graph& graph) {
  ModelFacts facts;
  count(facts, graph, 0);
  return facts;
}

}  // namespace qtool
