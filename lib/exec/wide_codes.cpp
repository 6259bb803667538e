// SPDX-License-Identifier: Apache-2.0
#include "exec/wide_codes.h"

namespace qtool {

namespace {

bool is_packed(const Constant& constant) {
  return constant != nullptr &&
         (constant->dtype() == DType::int4 || constant->dtype() == DType::uint4);
}

}  // namespace

std::optional<Graph> with_wide_codes(const Graph& graph, const OpRegistry& ops) {
  std::optional<Graph> edited;
  for (const NodeId id : graph.nodes()) {
    const OpDef* def = ops.find(graph.node(id), graph.model);
    if (def == nullptr || def->qdq != QdqRole::dequantize) continue;
    const std::vector<ValueId>& inputs = graph.node(id).inputs;
    const bool has_zero_point = inputs.size() > 2 && inputs[2] != ValueId::none;
    if (!is_packed(graph.constant(inputs.at(0)))) continue;
    if (has_zero_point && graph.constant(inputs[2]) == nullptr) continue;
    if (!edited) edited = graph;
    for (const size_t slot : {size_t{0}, size_t{2}}) {
      if (slot == 2 && !has_zero_point) continue;
      const Constant codes = graph.constant(inputs[slot]);
      const DType wide = codes->dtype() == DType::int4 ? DType::int8 : DType::uint8;
      const std::string name = edited->unique_name(graph.value(inputs[slot]).name + "_wide");
      edited->set_input(id, static_cast<int>(slot),
                        edited->add_constant(name, make_constant(cast(*codes, wide))));
    }
  }
  return edited;
}

}  // namespace qtool
