// SPDX-License-Identifier: Apache-2.0
// before: a model that imports ai.onnx 7 to `opset` - 1
// after:  one that imports `opset`, with the nodes whose form changed rewritten (opset_rules.cpp)
// when:   the model is older; one that is new enough is not touched, unless its IR is older than 4,
//         which has no constants that are not inputs. Functions and subgraphs are not rewritten: a
//         node in a subgraph that would have to be is refused.
// maths:  none: the rewritten nodes compute the same
#include <fmt/format.h>

#include "passes/edit_constant.h"
#include "passes/opset_rules.h"
#include "passes/passes.h"

namespace qtool {

namespace {

/// The IR version that came with an opset (ONNX's Versioning.md).
int64_t ir_version_of(int64_t opset) {
  return opset >= 21 ? 10 : opset >= 19 ? 9 : opset >= 15 ? 8 : opset >= 12 ? 7 : 6;
}

/// The next rule for an op beyond `from`, up to `to`.
const OpsetRule* next_rule(const OpKey& op, int64_t from, int64_t to) {
  if (!op.domain.empty()) return nullptr;
  for (const OpsetRule& rule : opset_rules()) {
    if (rule.op == op.type && rule.version > from && rule.version <= to) return &rule;
  }
  return nullptr;
}

Error refusal(const OpsetRule& rule, int64_t from, int64_t to, std::string_view where) {
  return unsupported_error(
      fmt::format("{}{} of opset {} cannot be brought to opset {}", rule.op, where, from, to),
      fmt::format("Export the model with opset {} or newer.", to));
}

void check_subgraphs(const Node& node, int64_t from, int64_t to) {
  const auto check = [&](const Graph& body) {
    for (const NodeId id : body.nodes()) {
      const Node& inner = body.node(id);
      if (const OpsetRule* rule = next_rule(inner.op, from, to)) {
        throw refusal(*rule, from, to, " in a subgraph");
      }
      check_subgraphs(inner, from, to);
    }
  };
  for (const auto& entry : node.attributes.entries()) {
    if (const auto* one = std::get_if<SubgraphPtr>(&entry.value)) check(**one);
    if (const auto* many = std::get_if<std::vector<SubgraphPtr>>(&entry.value)) {
      for (const SubgraphPtr& body : *many) check(*body);
    }
  }
}

class UpgradeOpset final : public Pass {
 public:
  explicit UpgradeOpset(int64_t to) : to_(to) {
    QTOOL_CHECK(to <= kNewestOpset, "opset " + std::to_string(to));
  }
  std::string_view name() const override { return "upgrade_opset"; }

  int run(Graph& graph, const PassContext& context) const override {
    const int64_t from = graph.model.opset();
    if (from >= to_) {
      if (graph.model.ir_version < 4) raise_ir_version(graph);
      return 0;
    }
    if (from < kOldestOpset) {
      throw unsupported_error(
          fmt::format("the model imports opset {}; {} is the oldest that can be upgraded", from,
                      kOldestOpset),
          fmt::format("Export the model with opset {} or newer.", to_));
    }
    const Facts facts = infer_facts(graph, context.ops);
    int rewrites = 0;
    for (const NodeId id : graph.nodes()) {
      within_frame([&] { return graph.describe(id); },
                   [&] { rewrites += convert(graph, id, from, facts); });
    }
    graph.model.opsets[""] = to_;
    raise_ir_version(graph);
    return rewrites;
  }

 private:
  int convert(Graph& graph, NodeId id, int64_t from, const Facts& facts) const {
    static const TensorType unknown;
    check_subgraphs(graph.node(id), from, to_);
    const TensorType& type =
        has_input(graph.node(id), 0) ? facts[graph.node(id).inputs[0]].type : unknown;
    OpsetEdit edit{graph, id, type};
    int rewrites = 0;
    int64_t version = from;
    while (const OpsetRule* rule = next_rule(graph.node(id).op, version, to_)) {
      if (rule->convert == nullptr) throw refusal(*rule, from, to_, "");
      rule->convert(edit);
      version = rule->version;
      ++rewrites;
    }
    return rewrites;
  }

  /// Before IR 4 initializers had to be listed as inputs; from then on that makes them defaults,
  /// which a caller may override.
  void raise_ir_version(Graph& graph) const {
    const int64_t wanted = ir_version_of(graph.model.opset());
    if (graph.model.ir_version >= wanted) return;
    if (graph.model.ir_version < 4) {
      const std::vector<ValueId> inputs(graph.inputs().begin(), graph.inputs().end());
      for (const ValueId id : inputs) {
        if (graph.value(id).constant != nullptr) graph.drop_input(id);
      }
    }
    graph.model.ir_version = wanted;
  }

  int64_t to_;
};

}  // namespace

PassPtr upgrade_opset(int64_t opset) { return std::make_shared<UpgradeOpset>(opset); }

}  // namespace qtool
