// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "ir/fresh_names.h"
#include "passes/half_precision.h"

namespace qtool {

namespace {

constexpr int64_t kWorthwhile = 64;  ///< elements; a Cast and its name take about as many bytes

bool all_finite(const Tensor& tensor) {
  return std::ranges::all_of(tensor.data<float>(), [](float x) { return std::isfinite(x); });
}

bool is_read_by(const Graph& graph, ValueId id, const std::vector<std::string>& excluded) {
  return std::ranges::any_of(graph.value(id).uses, [&](const Use& use) {
    const auto at = static_cast<size_t>(use.node);
    return at < excluded.size() && !excluded[at].empty();
  });
}

}  // namespace

ModeReport store_as_bfloat16(Graph& graph, const std::vector<std::string>& excluded) {
  ModeReport report;
  FreshNames names(graph);
  for (const ValueId id : graph.values()) {
    const Constant constant = graph.constant(id);
    if (constant == nullptr || constant->dtype() != DType::float32 ||
        constant->size() < kWorthwhile || graph.is_input(id) || graph.value(id).uses.empty()) {
      continue;
    }
    const std::string name = graph.value(id).name;
    if (is_read_by(graph, id, excluded)) {
      report.kept.emplace_back(name, "a node that reads it was excluded");
      continue;
    }
    Tensor halves = cast(*constant, DType::bfloat16);
    if (!all_finite(cast(halves, DType::float32))) {
      report.kept.emplace_back(name, "it holds elements that bfloat16 has not");
      continue;
    }
    const ValueId stored =
        graph.add_constant(names.take(name + "_bfloat16"), make_constant(std::move(halves)));
    graph.set_constant(id, nullptr);
    graph.set_type(id, {DType::float32, constant->shape()});
    Node node;
    node.name = names.take(name + "_widen");
    node.op = {"", "Cast"};
    node.attributes.set("to", static_cast<int64_t>(DType::float32));
    node.inputs = {stored};
    node.outputs = {id};
    graph.add_node(std::move(node));
    ++report.converted;
  }
  return report;
}

}  // namespace qtool
