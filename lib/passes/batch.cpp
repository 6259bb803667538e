// SPDX-License-Identifier: Apache-2.0
#include "passes/batch.h"

#include <utility>

#include "passes/edit_constant.h"
#include "support/text.h"

namespace qtool {

namespace {

constexpr const char* kAdvice = "Run it with --batch 1, or export it with an open batch dimension.";

/// Whether a value is declared as a batch of one sample.
bool is_single(const TensorType& type, size_t least_rank) {
  return type.shape && type.shape->size() >= least_rank && (*type.shape)[0].value == 1;
}

std::vector<ValueId> single_inputs(const Graph& graph) {
  std::vector<ValueId> found;
  for (const ValueId id : graph.required_inputs()) {
    if (is_single(graph.value(id).type, 2)) found.push_back(id);
  }
  return found;
}

/// Reshape to [1, ...] of what begins with 1, as exporters write `view` for one sample: to [0,
/// ...], which copies the extent.
void copy_extents(Graph& graph, const Facts& single) {
  for (const NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    if (node.op != OpKey{"", "Reshape"} || node.inputs.size() != 2) continue;
    if (!is_single(single[node.inputs[0]].type, 1)) continue;
    if (node.attributes.integer("allowzero", 0) != 0) continue;
    const Constant shape = graph.constant(node.inputs[1]);
    if (shape == nullptr || shape->dtype() != DType::int64 || shape->size() == 0) continue;
    Tensor open = shape->clone();
    if (std::exchange(open.data<int64_t>()[0], 0) != 1) continue;
    edit_constant(graph, {id, 1}, std::move(open), stem_of(graph, id));
  }
}

/// Forgets the shapes that the file declares for one sample; outputs keep their element types.
void forget_shapes(Graph& graph) {
  for (const ValueId id : graph.values()) {
    const Value& value = graph.value(id);
    if (value.producer == NodeId::none) continue;
    graph.set_type(id, {value.type.dtype, std::nullopt});
  }
}

void begin_with(Graph& graph, std::span<const ValueId> inputs, const Dim& extent) {
  for (const ValueId id : inputs) {
    TensorType type = graph.value(id).type;
    type.shape->front() = extent;
    graph.set_type(id, std::move(type));
  }
}

}  // namespace

Graph with_batch(const Graph& graph, const OpRegistry& ops, int64_t batch) {
  const std::vector<ValueId> inputs = single_inputs(graph);
  if (inputs.empty() || batch == 1) return graph;
  const Facts single = infer_facts(graph, ops);
  Graph result = graph;
  begin_with(result, inputs, {batch, {}});
  copy_extents(result, single);
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

Graph with_open_batch(const Graph& graph, const OpRegistry& ops) {
  // An extent that no exporter chose shows what the graph allows.
  constexpr int64_t kProbe = 3;
  Graph result = with_batch(graph, ops, kProbe);
  begin_with(result, single_inputs(graph), {std::nullopt, "batch"});
  return result;
}

}  // namespace qtool
