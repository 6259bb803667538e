// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>

#include "ir/graph.h"

namespace qtool {

namespace {

enum class Position { main, body };

bool is_capture(int slot) { return slot >= kCaptureSlot; }

/// What the node reads in a slot, or nothing where it has no such slot.
std::optional<ValueId> read_at(const Node& node, int slot) {
  const auto at = static_cast<size_t>(is_capture(slot) ? slot - kCaptureSlot : slot);
  if (slot < 0) return std::nullopt;
  if (is_capture(slot)) {
    if (at >= node.captures.size()) return std::nullopt;
    return node.captures[at].outer;
  }
  if (at >= node.inputs.size()) return std::nullopt;
  return node.inputs[at];
}

template <class Visit>
void for_each_read(const Node& node, const Visit& visit) {
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    if (node.inputs[i] != ValueId::none) visit(node.inputs[i], static_cast<int>(i));
  }
  for (size_t i = 0; i < node.captures.size(); ++i) {
    visit(node.captures[i].outer, kCaptureSlot + static_cast<int>(i));
  }
}

class Verifier {
 public:
  Verifier(const Graph& graph, Position position, std::string prefix)
      : graph_(graph), position_(position), prefix_(std::move(prefix)) {}

  std::vector<std::string> run() {
    inputs_.insert(graph_.inputs().begin(), graph_.inputs().end());
    check_lists();
    for (const ValueId id : graph_.values()) check_value(id);
    for (const NodeId id : graph_.nodes()) check_node(id);
    if (uses_ != reads_) find_unlisted_reads();
    if (edges_exist_) check_order();
    for (const NodeId id : graph_.nodes()) check_subgraphs(id);
    return std::move(defects_);
  }

 private:
  void report(const std::string& defect) { defects_.push_back(prefix_ + defect); }
  void dangling(const std::string& defect) {
    edges_exist_ = false;
    report(defect);
  }
  std::string quoted(ValueId id) const { return '"' + graph_.value(id).name + '"'; }

  void check_lists() {
    std::set<ValueId> seen;
    for (const ValueId id : graph_.inputs()) {
      if (!graph_.has(id)) {
        report("the graph lists an input that does not exist");
      } else if (!seen.insert(id).second) {
        report("the graph lists the input " + quoted(id) + " twice");
      }
    }
    for (const ValueId id : graph_.outputs()) {
      if (!graph_.has(id)) {
        report("the graph lists an output that does not exist");
      } else if (!is_defined(id)) {
        report("nothing makes the graph's output " + quoted(id));
      }
    }
  }

  /// An initializer in a form that the IR does not have (a sparse one) has only a residue.
  bool is_defined(ValueId id) const {
    const Value& value = graph_.value(id);
    return value.producer != NodeId::none || value.constant != nullptr || value.captured ||
           !value.constant_residue.empty() || inputs_.contains(id);
  }

  void check_value(ValueId id) {
    const Value& value = graph_.value(id);
    if (value.name.empty()) report("a value has no name");
    if (graph_.find_value(value.name) != id) report("the name " + quoted(id) + " is not unique");
    if (value.producer != NodeId::none) check_producer(id, value);
    if (value.captured) {
      if (position_ == Position::main) report("the main graph captures " + quoted(id));
      if (value.constant != nullptr || inputs_.contains(id)) {
        report(quoted(id) + " is captured from outside and defined inside");
      }
    }
    if (!value.uses.empty() && !is_defined(id)) {
      report(quoted(id) + " is read but nothing makes it");
    }
    std::set<std::pair<NodeId, int>> distinct;
    for (const Use& use : value.uses) {
      check_use(id, use);
      if (!distinct.emplace(use.node, use.slot).second)
        report("a use of " + quoted(id) + " is listed twice");
    }
    uses_ += distinct.size();
  }

  void check_producer(ValueId id, const Value& value) {
    if (!graph_.has(value.producer)) {
      dangling("the producer of " + quoted(id) + " does not exist");
      return;
    }
    const auto& made = graph_.node(value.producer).outputs;
    const auto slot = static_cast<size_t>(value.producer_slot);
    if (value.producer_slot < 0 || slot >= made.size() || made[slot] != id) {
      report(graph_.describe(value.producer) + " does not make " + quoted(id) + " in the slot " +
             std::to_string(value.producer_slot));
    }
    if (value.constant != nullptr || value.captured || inputs_.contains(id)) {
      report(quoted(id) + " is made by " + graph_.describe(value.producer) +
             " and also an input, an initializer or captured");
    }
  }

  void check_use(ValueId id, const Use& use) {
    if (!graph_.has(use.node)) {
      report("a use of " + quoted(id) + " is by a node that does not exist");
    } else if (read_at(graph_.node(use.node), use.slot) != id) {
      report(graph_.describe(use.node) + " does not read " + quoted(id) + " in the slot " +
             std::to_string(use.slot));
    }
  }

  void check_node(NodeId id) {
    const Node& node = graph_.node(id);
    if (node.op.type.empty()) report("a node has no op type");
    for_each_read(node, [&](ValueId read, int) {
      ++reads_;
      if (!graph_.has(read)) dangling(node_text(id) + " reads a value that does not exist");
    });
    for (const ValueId made : node.outputs) {
      if (made == ValueId::none) continue;
      if (!graph_.has(made)) {
        dangling(node_text(id) + " makes a value that does not exist");
      } else if (graph_.value(made).producer != id) {
        report(node_text(id) + " makes " + quoted(made) + ", which names another producer");
      } else if (std::ranges::count(node.outputs, made) != 1) {
        report(node_text(id) + " makes " + quoted(made) + " twice");
      }
    }
  }

  /// Every listed use is known to be a read, so that equal counts mean equal sets; only where
  /// they differ is the slow search worth it.
  void find_unlisted_reads() {
    for (const NodeId id : graph_.nodes()) {
      for_each_read(graph_.node(id), [&](ValueId read, int slot) {
        if (graph_.has(read) && std::ranges::count(graph_.value(read).uses, Use{id, slot}) == 0) {
          report(node_text(id) + " reads " + quoted(read) + ", whose uses do not list it");
        }
      });
    }
  }

  /// describe() would follow an output that may not exist here.
  std::string node_text(NodeId id) const {
    const Node& node = graph_.node(id);
    return to_string(node.op) + " \"" + node.name + '"';
  }

  void check_order() {
    try {
      graph_.topological_order();
    } catch (const Error& error) {
      report(error.message());
    }
  }

  void check_subgraphs(NodeId id) {
    const Node& node = graph_.node(id);
    size_t matched = 0;
    for (const auto& entry : node.attributes.entries()) {
      if (const auto* one = std::get_if<SubgraphPtr>(&entry.value)) {
        matched += check_subgraph(id, entry.name, 0, *one);
      } else if (const auto* many = std::get_if<std::vector<SubgraphPtr>>(&entry.value)) {
        for (size_t i = 0; i < many->size(); ++i) {
          matched += check_subgraph(id, entry.name, static_cast<int>(i), (*many)[i]);
        }
      }
    }
    if (matched != node.captures.size()) {
      report(node_text(id) + " lists a capture that none of its subgraphs has");
    }
  }

  /// Returns how many of the node's captures belong to this subgraph.
  size_t check_subgraph(NodeId id, const std::string& attribute, int index,
                        const SubgraphPtr& body) {
    const std::string where = attribute + " of " + node_text(id);
    if (body == nullptr) {
      report(where + " is a graph that is missing");
      return 0;
    }
    size_t matched = 0;
    std::set<ValueId> provided;
    for (const Capture& capture : graph_.node(id).captures) {
      if (capture.attribute != attribute || capture.index != index) continue;
      ++matched;
      if (!body->has(capture.inner) || !body->value(capture.inner).captured) {
        report(where + ": a capture goes to a value that is not captured there");
      } else if (!provided.insert(capture.inner).second) {
        report(where + ": \"" + body->value(capture.inner).name + "\" is captured twice");
      }
    }
    for (const ValueId inner : body->values()) {
      if (body->value(inner).captured && !provided.contains(inner)) {
        report(where + ": the node gives no value to the captured \"" + body->value(inner).name +
               '"');
      }
    }
    for (std::string& defect : Verifier(*body, Position::body, prefix_ + where + ": ").run()) {
      defects_.push_back(std::move(defect));
    }
    return matched;
  }

  const Graph& graph_;
  Position position_;
  std::string prefix_;
  std::set<ValueId> inputs_;
  size_t uses_ = 0;
  size_t reads_ = 0;
  bool edges_exist_ = true;
  std::vector<std::string> defects_;
};

}  // namespace

std::vector<std::string> verify(const Graph& graph) {
  return Verifier(graph, Position::main, "").run();
}

}  // namespace qtool
