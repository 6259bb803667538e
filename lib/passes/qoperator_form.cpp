// SPDX-License-Identifier: Apache-2.0
#include "passes/qoperator_form.h"

#include <algorithm>
#include <array>
#include <set>

#include "ops/qoperator.h"

namespace qtool {

namespace {

bool is_op(const Graph& graph, NodeId id, const char* type) {
  return id != NodeId::none && graph.node(id).op == OpKey{"", type};
}

ValueId slot_of(const Node& node, size_t slot) {
  return slot < node.inputs.size() ? node.inputs[slot] : ValueId::none;
}

/// Codes and their parameters on one side of a Q/DQ node.
struct Coded {
  ValueId codes = ValueId::none;
  ValueId scale = ValueId::none;
  ValueId zero_point = ValueId::none;
  int64_t axis = 1;
};

class Rewriter {
 public:
  explicit Rewriter(Graph& graph) : graph_(graph) {}

  QOperatorForm run() {
    for (const NodeId id : graph_.topological_order()) {
      if (!graph_.has(id) || !reads_codes(id)) continue;
      const std::string name = graph_.describe(id);
      if (std::string reason = rewrite(id); !reason.empty())
        result_.kept.emplace_back(name, std::move(reason));
    }
    for (const NodeId id : graph_.nodes()) {
      if (!is_op(graph_, id, "DequantizeLinear")) continue;
      const ValueId made = graph_.node(id).outputs[0];
      if (!graph_.value(made).uses.empty() || graph_.is_output(made)) continue;
      const Node node = graph_.node(id);
      graph_.erase(id);
      graph_.erase(made);
      for (const ValueId input : node.inputs) drop_constant(input);
    }
    return std::move(result_);
  }

 private:
  void drop_constant(ValueId id) {
    if (id == ValueId::none || !graph_.has(id) || graph_.constant(id) == nullptr) return;
    const bool used = !graph_.value(id).uses.empty() || graph_.is_output(id) || graph_.is_input(id);
    if (!used) graph_.erase(id);
  }

  NodeId dequantizer(ValueId id) const {
    const NodeId producer = id == ValueId::none ? NodeId::none : graph_.value(id).producer;
    return is_op(graph_, producer, "DequantizeLinear") ? producer : NodeId::none;
  }

  bool reads_codes(NodeId id) const {
    const Node& node = graph_.node(id);
    if (node.op.type == "QuantizeLinear" || node.op.type == "DequantizeLinear") return false;
    return std::ranges::any_of(node.inputs,
                               [&](ValueId input) { return dequantizer(input) != NodeId::none; });
  }

  Coded coded(NodeId q_or_dq, ValueId codes) const {
    const Node& node = graph_.node(q_or_dq);
    return {codes, slot_of(node, 1), slot_of(node, 2), node.attributes.integer("axis", 1)};
  }

  /// What an input dequantizes; nothing where it is no 8-bit codes.
  std::optional<Coded> operand(ValueId id) const {
    const NodeId producer = dequantizer(id);
    if (producer == NodeId::none) return std::nullopt;
    const Coded found = coded(producer, graph_.node(producer).inputs[0]);
    const Constant zero =
        found.zero_point == ValueId::none ? nullptr : graph_.constant(found.zero_point);
    const bool bytes = zero && (zero->dtype() == DType::uint8 || zero->dtype() == DType::int8);
    return bytes && graph_.constant(found.scale) ? std::optional(found) : std::nullopt;
  }

  /// The QuantizeLinear that alone reads the node's result.
  NodeId quantizer(NodeId id) const {
    if (graph_.node(id).outputs.size() != 1) return NodeId::none;
    const ValueId made = graph_.node(id).outputs[0];
    const auto& uses = graph_.value(made).uses;
    if (uses.size() != 1 || uses[0].slot != 0 || graph_.is_output(made)) return NodeId::none;
    return is_op(graph_, uses[0].node, "QuantizeLinear") ? uses[0].node : NodeId::none;
  }

  std::string rewrite(NodeId id) {
    const OpKey key = graph_.node(id).op;
    static const std::set<std::string> kMoves{"Concat",   "Expand",  "Flatten",   "Gather",
                                              "Identity", "MaxPool", "Reshape",   "Slice",
                                              "Squeeze",  "Tile",    "Transpose", "Unsqueeze"};
    if (key.domain.empty() && kMoves.contains(key.type)) return rewrite_move(id);
    const auto forms = qoperators();
    const auto form = std::ranges::find(forms, key, &QOperator::real);
    static const std::set<std::string> kComputing{"Conv",    "MatMul",      "Add",
                                                  "Mul",     "AveragePool", "GlobalAveragePool",
                                                  "Sigmoid", "Softmax",     "Gemm"};
    if (form == forms.end() || !kComputing.contains(key.type))
      return "there is no " + key.type + " on codes in QOperator form";
    return rewrite_computing(id, *form);
  }

  bool same_grid(const Coded& a, const Coded& b) const {
    const auto equal = [&](ValueId x, ValueId y) {
      return to_doubles(*graph_.constant(x)) == to_doubles(*graph_.constant(y));
    };
    return graph_.constant(a.scale)->size() == 1 && equal(a.scale, b.scale) &&
           equal(a.zero_point, b.zero_point);
  }

  std::string rewrite_move(NodeId id) {
    const NodeId behind = quantizer(id);
    if (behind == NodeId::none) return "its result is read as floats";
    const Coded result = coded(behind, graph_.node(behind).outputs[0]);
    const Node before = graph_.node(id);
    std::vector<std::optional<Coded>> inputs;
    const bool all = before.op.type == "Concat";
    for (size_t slot = 0; slot < before.inputs.size(); ++slot) {
      inputs.push_back(operand(before.inputs[slot]));
      const bool data = slot == 0 || all;
      if (data && !inputs.back()) return "an input is float";
      if (data && !same_grid(*inputs.back(), result)) return "its codes change their meaning";
    }
    for (size_t slot = 0; slot < inputs.size(); ++slot) {
      if (inputs[slot]) graph_.set_input(id, static_cast<int>(slot), inputs[slot]->codes);
    }
    take_over(id, behind);
    ++result_.moving;
    return {};
  }

  /// The node makes what the QuantizeLinear behind it made.
  void take_over(NodeId id, NodeId behind) {
    const ValueId made = graph_.node(id).outputs[0];
    const ValueId codes = graph_.node(behind).outputs[0];
    graph_.erase(behind);
    graph_.set_output(id, 0, codes);
    graph_.erase(made);
  }

  /// Why the attributes of the node cannot be said in this form; empty where they can.
  static std::string attribute_problem(const Node& node) {
    if (node.op.type == "Gemm" &&
        (node.attributes.real("alpha", 1) != 1 || node.attributes.real("beta", 1) != 1)) {
      return "alpha and beta are not 1";
    }
    if (node.op.type == "AveragePool" && node.attributes.has("dilations"))
      return "QLinearAveragePool has no dilations";
    return {};
  }

  std::string rewrite_computing(NodeId id, const QOperator& form) {
    const Node before = graph_.node(id);
    if (std::string problem = attribute_problem(before); !problem.empty()) return problem;
    const NodeId behind = quantizer(id);
    const bool may_be_float = form.key.type == "QGemm";
    if (behind == NodeId::none && !may_be_float) return "its result is read as floats";
    std::vector<ValueId> inputs;
    const auto put = [&](int slot, ValueId value) {
      if (slot < 0) return;
      if (inputs.size() <= static_cast<size_t>(slot))
        inputs.resize(static_cast<size_t>(slot) + 1, ValueId::none);
      inputs[static_cast<size_t>(slot)] = value;
    };
    const auto places = operands_of(form, before.attributes, form.operands.size());
    for (size_t i = 0; i < places.size(); ++i) {
      const auto found = operand(slot_of(before, i));
      if (!found) return "an operand is float";
      if (std::string problem = axis_problem(*found, places[i], i); !problem.empty())
        return problem;
      put(places[i].codes, found->codes);
      put(places[i].scale, found->scale);
      put(places[i].zero_point, found->zero_point);
    }
    if (const ValueId bias = slot_of(before, places.size()); bias != ValueId::none) {
      const NodeId producer = dequantizer(bias);
      if (producer == NodeId::none || form.bias < 0) return "its bias is float";
      put(form.bias, graph_.node(producer).inputs[0]);
    }
    if (behind != NodeId::none) {
      const Coded result = coded(behind, ValueId::none);
      if (graph_.constant(result.scale)->size() != 1) return "its result has several scales";
      put(form.scale, result.scale);
      put(form.zero_point, result.zero_point);
    }
    replace(id, behind, form, before, std::move(inputs));
    ++result_.computing;
    return {};
  }

  std::string axis_problem(const Coded& operand, const CodedOperand& place, size_t index) const {
    const Tensor& scale = *graph_.constant(operand.scale);
    if (scale.size() == 1) return {};
    const Constant codes = graph_.constant(operand.codes);
    const int rank = codes ? codes->rank() : 0;
    const auto along = [&](int64_t axis) { return axis < 0 ? axis + rank : axis; };
    const bool follows = index == 1 && codes && along(operand.axis) == along(place.axis);
    return follows ? "" : "its scales lie along another axis";
  }

  void replace(NodeId id, NodeId behind, const QOperator& form, const Node& before,
               std::vector<ValueId> inputs) {
    Node node;
    node.name = before.name;
    node.op = form.key;
    node.inputs = std::move(inputs);
    for (const Attributes::Entry& entry : before.attributes.entries()) {
      if (entry.name != "beta") node.attributes.append(entry);
    }
    if (before.op.type == "Softmax") {
      node.attributes.set("opset", graph_.model.opset());
      if (!node.attributes.has("axis")) node.attributes.set("axis", int64_t{-1});
    }
    ValueId result = before.outputs[0];
    if (behind != NodeId::none) {
      result = graph_.node(behind).outputs[0];
      graph_.erase(behind);
    }
    graph_.erase(id);
    if (behind != NodeId::none) graph_.erase(before.outputs[0]);
    node.outputs = {result};
    if (!form.key.domain.empty()) graph_.model.opsets[form.key.domain] = 1;
    graph_.add_node(std::move(node));
  }

  Graph& graph_;
  QOperatorForm result_;
};

}  // namespace

QOperatorForm to_qoperator_form(Graph& graph) { return Rewriter(graph).run(); }

}  // namespace qtool
