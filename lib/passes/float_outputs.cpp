// SPDX-License-Identifier: Apache-2.0
#include "passes/float_outputs.h"

namespace qtool {

void output_floats(Graph& graph) {
  bool changed = false;
  for (size_t i = 0; i < graph.outputs().size(); ++i) {
    const NodeId producer = graph.value(graph.outputs()[i]).producer;
    if (producer == NodeId::none) continue;
    const Node& node = graph.node(producer);
    if (node.op != OpKey{"", "Cast"}) continue;
    const ValueId source = node.inputs.at(0);
    if (graph.value(source).type.dtype != DType::float32) continue;
    graph.set_graph_output(i, source);
    changed = true;
  }
  if (changed) graph.erase_dead();
}

}  // namespace qtool
