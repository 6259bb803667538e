// SPDX-License-Identifier: Apache-2.0
#include "exec/batch.h"

#include "support/text.h"

namespace qtool {

namespace {

constexpr const char* kAdvice = "Run it with --batch 1, or export it with an open batch dimension.";

/// Whether a value is declared as a batch of one sample.
bool is_single(const TensorType& type, size_t least_rank) {
  return type.shape && type.shape->size() >= least_rank && (*type.shape)[0].value == 1;
}

/// Forgets the shapes that the file declares for one sample; outputs keep their element types.
void forget_shapes(Graph& graph) {
  for (const ValueId id : graph.values()) {
    const Value& value = graph.value(id);
    if (value.producer == NodeId::none) continue;
    graph.set_type(id, {value.type.dtype, std::nullopt});
  }
}

}  // namespace

Graph with_batch(const Graph& graph, const OpRegistry& ops, int64_t batch) {
  Graph result = graph;
  std::vector<ValueId> widened;
  for (const ValueId id : graph.required_inputs()) {
    TensorType type = graph.value(id).type;
    if (!is_single(type, 2)) continue;
    (*type.shape)[0] = {batch, {}};
    result.set_type(id, std::move(type));
    widened.push_back(id);
  }
  if (widened.empty() || batch == 1) return graph;
  const Facts single = infer_facts(graph, ops);
  forget_shapes(result);
  const std::string what = fmt::format(
      "the model was exported for batches of 1, and a batch of {} "
      "does not go through it",
      batch);
  Facts facts;
  try {
    facts = infer_facts(result, ops);
  } catch (const Error& error) {
    if (error.kind() == Error::Kind::internal) throw;
    throw input_error(what + ": " + error.what(), kAdvice);
  }
  for (const ValueId id : graph.outputs()) {
    if (!is_single(single[id].type, 1)) continue;
    const TensorType& now = facts[id].type;
    if (now.shape && !now.shape->empty() && (*now.shape)[0].value == batch) continue;
    throw input_error(
        fmt::format("{}: the output \"{}\" is {} then", what, graph.value(id).name, to_string(now)),
        kAdvice);
  }
  return result;
}

}  // namespace qtool
