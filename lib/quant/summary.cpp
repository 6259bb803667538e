// SPDX-License-Identifier: Apache-2.0
#include "quant/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "quant/names.h"
#include "support/text.h"

namespace qtool {

namespace {

constexpr size_t kNamesShown = 3;

struct Counts {
  int codes = 0;
  int floats = 0;
  int removed = 0;
};

std::string plural(size_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : (noun.ends_with("s") ? "es" : "s"));
}

std::string tensors_text(const QuantPlan& plan) {
  size_t activations = 0;
  std::set<ValueId> constants;
  for (const Placement& placement : plan.placements) {
    if (placement.kind == Placement::Kind::activation) {
      ++activations;
    } else {
      constants.insert(placement.value);
    }
  }
  return fmt::format("quantized for {}: {}, {}, {}\n", plan.target,
                     plural(activations, "activation"), plural(constants.size(), "constant"),
                     plural(plan.biases.size(), "bias")) +
         (plan.dynamic.empty()
              ? ""
              : fmt::format("quantized at run time: {}\n", plural(plan.dynamic.size(), "node")));
}

std::string nodes_text(const QuantPlan& plan, const Graph& graph) {
  std::map<std::string, Counts> by_op;
  std::map<NodeId, int Counts::*> place;
  for (const NodeId id : plan.quantized) place[id] = &Counts::codes;
  for (const NodeId id : plan.moved) place[id] = &Counts::codes;
  for (const NodeId id : plan.dynamic) place[id] = &Counts::codes;
  for (const RemovedNode& removed : plan.removed) place[removed.node] = &Counts::removed;
  for (const NodeId id : graph.nodes()) {
    const auto found = place.find(id);
    Counts& counts = by_op[to_string(graph.node(id).op)];
    ++(counts.*(found == place.end() ? &Counts::floats : found->second));
  }
  const auto cell = [](int count) { return count == 0 ? std::string("-") : std::to_string(count); };
  std::vector<std::vector<std::string>> rows{{"op", "codes", "float", "removed"}};
  for (const auto& [op, counts] : by_op) {
    rows.push_back({op, cell(counts.codes), cell(counts.floats), cell(counts.removed)});
  }
  return text_table(rows);
}

/// The reason without the value that only this node reads, so that like cases make one line.
std::string general(const std::string& reason) {
  const bool input = reason.starts_with("its input \"") && reason.ends_with(" stays float");
  return input ? "what it reads stays float" : reason;
}

/// Nodes with one reason stand together, in the order of the first.
std::string skipped_text(const QuantPlan& plan, const Graph& graph) {
  std::vector<std::pair<std::string, std::vector<std::string>>> groups;
  for (const SkippedNode& skipped : plan.skipped) {
    const std::string reason = general(skipped.reason);
    auto group =
        std::ranges::find(groups, reason, &std::pair<std::string, std::vector<std::string>>::first);
    if (group == groups.end()) group = groups.insert(groups.end(), {reason, {}});
    group->second.push_back(graph.node(skipped.node).op.type + " \"" +
                            own_name(graph, skipped.node) + '"');
  }
  std::string text;
  for (auto& [reason, names] : groups) {
    const size_t more = names.size() > kNamesShown ? names.size() - kNamesShown : 0;
    names.resize(names.size() - more);
    text += "  " + join(names, ", ") + (more > 0 ? fmt::format(" and {} more", more) : "") + ": " +
            reason + '\n';
  }
  return text.empty() ? text : "float although the op can be quantized:\n" + text;
}

}  // namespace

std::string narrow_grids(const QuantPlan& plan) {
  std::map<int, std::set<ValueId>> weights;
  std::map<int, std::set<ValueId>> activations;
  for (const Placement& placement : plan.placements) {
    const bool constant = placement.kind == Placement::Kind::constant;
    (constant ? weights : activations)[placement.params.type.bits].insert(placement.value);
  }
  std::string text;
  for (int bits = 7; bits >= 2; --bits) {
    if (!weights.contains(bits) && !activations.contains(bits)) continue;
    const bool packed = bits <= 4 && plan.opset >= 21;
    text += fmt::format("{} bits: {}, {}, stored in 8-bit codes{}\n", bits,
                        plural(activations[bits].size(), "activation"),
                        plural(weights[bits].size(), "constant"),
                        packed      ? ", constants in 4-bit ones"
                        : bits <= 4 ? " (--pack: constants in 4-bit ones)"
                                    : "");
  }
  return text;
}

std::string summary(const QuantPlan& plan, const Graph& graph) {
  std::string text = tensors_text(plan) + narrow_grids(plan) + nodes_text(plan, graph);
  if (!text.ends_with('\n')) text += '\n';
  text += skipped_text(plan, graph);
  for (const Smoothing& smoothing : plan.smoothed)
    text += fmt::format("smoothed \"{}\": {}\n", smoothing.tensor, smoothing.reason);
  for (const std::string& note : plan.notes) text += "note: " + note + '\n';
  return text;
}

}  // namespace qtool
