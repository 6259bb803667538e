// SPDX-License-Identifier: Apache-2.0
// before: %y = Identity(%x), %y = Dropout(%x)
// after:  readers of %y read %x; where %y is a graph output, the producer of %x makes %y
// when:   Dropout only outside of training and without its mask; a %y that a subgraph reads by
//         name stays, and so does one that gives a graph input or constant a second name
// maths:  none
#include <algorithm>

#include "passes/passes.h"

namespace qtool {

namespace {

struct Bypass {
  NodeId node;
  ValueId input;
  ValueId output;
};

bool read_by_subgraph(const Graph& graph, ValueId id) {
  return std::ranges::any_of(graph.value(id).uses,
                             [](const Use& use) { return use.slot >= kCaptureSlot; });
}

bool trains(const Graph& graph, const Node& node) {
  const int64_t opset = graph.model.opset();
  if (opset < 7) return node.attributes.integer("is_test", 0) == 0;
  if (opset < 12 || node.inputs.size() < 3 || node.inputs[2] == ValueId::none) return false;
  const Constant mode = graph.constant(node.inputs[2]);
  return mode == nullptr || to_int64s(*mode) != std::vector<int64_t>{0};
}

bool mask_is_read(const Graph& graph, const Node& node) {
  if (node.outputs.size() < 2 || node.outputs[1] == ValueId::none) return false;
  return !graph.value(node.outputs[1]).uses.empty() || graph.is_output(node.outputs[1]);
}

/// The producer of `input` can make the graph output in its place.
bool can_rename(const Graph& graph, ValueId input) {
  return graph.value(input).producer != NodeId::none && !graph.is_output(input) &&
         !read_by_subgraph(graph, input);
}

std::optional<Bypass> match(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  const bool dropout = node.op == OpKey{"", "Dropout"};
  if (!dropout && node.op != OpKey{"", "Identity"}) return std::nullopt;
  if (node.inputs.empty() || node.outputs.empty()) return std::nullopt;
  if (dropout && (trains(graph, node) || mask_is_read(graph, node))) return std::nullopt;
  const Bypass found{id, node.inputs[0], node.outputs[0]};
  if (found.input == ValueId::none || found.output == ValueId::none) return std::nullopt;
  if (read_by_subgraph(graph, found.output)) return std::nullopt;
  if (graph.is_output(found.output) && !can_rename(graph, found.input)) return std::nullopt;
  return found;
}

void apply(Graph& graph, const Bypass& bypass) {
  graph.erase(bypass.node);
  if (!graph.is_output(bypass.output)) {
    graph.replace_uses(bypass.output, bypass.input);
    graph.erase(bypass.output);
    return;
  }
  const Value& input = graph.value(bypass.input);
  graph.set_output(input.producer, input.producer_slot, bypass.output);
  graph.replace_uses(bypass.input, bypass.output);
  graph.erase(bypass.input);
}

}  // namespace

PassPtr eliminate_identity() {
  return std::make_shared<RulePass<Bypass>>("eliminate_identity", Rule<Bypass>{match, apply});
}

}  // namespace qtool
