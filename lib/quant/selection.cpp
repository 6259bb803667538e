// SPDX-License-Identifier: Apache-2.0
#include "quant/selection.h"

#include <fmt/format.h>

#include <algorithm>

namespace qtool {

namespace {

size_t at(NodeId id) { return static_cast<size_t>(id); }
size_t at(ValueId id) { return static_cast<size_t>(id); }

const OperandRule& rule_of(const QuantRule& rule, size_t slot) {
  static const OperandRule none;
  return rule.inputs.empty() ? none : rule.inputs[std::min(slot, rule.inputs.size() - 1)];
}

std::string quoted(const Graph& graph, ValueId id) { return '"' + graph.value(id).name + '"'; }

class Selector {
 public:
  Selector(const PlanContext& context, const std::function<bool(ValueId)>& observed)
      : context_(context), graph_(context.graph), observed_(observed),
        order_(graph_.topological_order()), known_(graph_.value_id_bound()),
        movable_(graph_.node_id_bound()), wanted_(graph_.value_id_bound()),
        wanted_always_(graph_.value_id_bound()) {
    chosen_.computes.resize(graph_.node_id_bound());
    chosen_.moves.resize(graph_.node_id_bound());
    chosen_.activation.resize(graph_.node_id_bound(), NodeId::none);
    chosen_.coded.resize(graph_.value_id_bound());
    chosen_.whole.resize(graph_.value_id_bound());
    chosen_.reason.resize(graph_.node_id_bound());
  }

  Selection run() {
    excluded_ = exclusions(graph_, context_.recipe);
    find_known();
    find_eligible();
    while (drop_unread() || drop_unfed()) {
    }
    settle();
    return std::move(chosen_);
  }

 private:
  const TargetOp* kernel(NodeId id) const {
    const auto found = context_.target.computes.find(graph_.node(id).op);
    return found == context_.target.computes.end() ? nullptr : &found->second;
  }
  bool joins(NodeId id) const { return kernel(id)->when == Eagerness::inputs_quantized; }
  bool is_float(ValueId id) const { return context_.facts[id].type.dtype == DType::float32; }
  ValueId result(NodeId id) const { return result_of(graph_, chosen_, id); }

  std::string type_problem(ValueId id) const {
    if (is_float(id)) return {};
    const DType dtype = context_.facts[id].type.dtype;
    if (dtype == DType::undefined)
      return "the element type of " + quoted(graph_, id) + " is not known";
    return fmt::format("{} holds {}, not float", quoted(graph_, id), name(dtype));
  }

  // ---- what can take part -----------------------------------------------------------------------

  bool can_move(NodeId id) const {
    const OpDef* def = context_.def(id);
    if (def == nullptr || def->quant.behaviour != Behaviour::move_data) return false;
    if (std::ranges::find(context_.target.moves, graph_.node(id).op) ==
        context_.target.moves.end()) {
      return false;
    }
    if (def->quant.only_if != nullptr && !def->quant.only_if(context_.view(id))) return false;
    if (excluded_by_pattern(id)) return false;
    const std::vector<ValueId> data = data_inputs(context_, id);
    if (data.empty()) return false;
    for (const ValueId input : data) {
      if (!is_float(input) || !known_[at(input)]) return false;
    }
    for (const Operand& operand : operands(context_, id)) {
      if (!is_float(operand.value)) return false;
    }
    return std::ranges::all_of(graph_.node(id).outputs, [&](ValueId output) {
      return output == ValueId::none ||
             (is_float(output) && (!adds_elements(context_, id) || observed_(output)));
    });
  }

  /// include speaks of nodes that compute; what only moves data follows its neighbours.
  bool excluded_by_pattern(NodeId id) const { return excluded_[at(id)].starts_with("excluded"); }

  void find_known() {
    for (const ValueId id : graph_.values()) {
      if (graph_.value(id).producer == NodeId::none) known_[at(id)] = observed_(id);
    }
    for (const NodeId id : order_) {
      const OpDef* def = context_.def(id);
      const bool fixed = def != nullptr && def->quant.fixed_output.has_value();
      movable_[at(id)] = can_move(id);
      for (const ValueId output : graph_.node(id).outputs) {
        if (output != ValueId::none)
          known_[at(output)] = fixed || movable_[at(id)] || observed_(output);
      }
    }
  }

  std::string constant_problem(const Operand& operand) const {
    if (auto problem = type_problem(operand.value); !problem.empty()) return problem;
    return operand.constant->size() > 0
               ? ""
               : "its constant " + quoted(graph_, operand.value) + " is empty";
  }

  std::string bias_problem(NodeId id, const Operand& bias, const std::vector<Operand>& all) const {
    if (bias.constant == nullptr) return "its bias is computed at run time";
    if (auto problem = type_problem(bias.value); !problem.empty()) return problem;
    const auto weight = std::ranges::find(all, OperandRole::weight, &Operand::role);
    if (weight == all.end()) return "it has a bias, but no constant weights";
    const auto& rule = rule_of(context_.def(id)->quant, static_cast<size_t>(weight->slot));
    const int axis = rule.channel_axis == nullptr ? -1 : rule.channel_axis(context_.view(id));
    const bool fits = bias.constant->rank() == 1 &&
                      (axis < 0 || bias.constant->size() ==
                                       weight->constant->shape().at(static_cast<size_t>(axis)));
    return fits ? "" : "its bias is not one number per output channel";
  }

  std::string input_problem(NodeId id, const TargetOp& target) const {
    const std::vector<Operand> all = operands(context_, id);
    const QuantRule& rule = context_.def(id)->quant;
    for (const Operand& operand : all) {
      std::string problem;
      const bool weight_slot =
          rule_of(rule, static_cast<size_t>(operand.slot)).role == OperandRole::weight;
      if (operand.role == OperandRole::bias) {
        problem = bias_problem(id, operand, all);
      } else if (operand.constant != nullptr) {
        problem = constant_problem(operand);
      } else if (weight_slot && !target.computed_weights) {
        problem = "its weights are computed at run time";
      } else if (problem = type_problem(operand.value);
                 problem.empty() && !known_[at(operand.value)]) {
        problem = fmt::format("no data: {} was never observed", quoted(graph_, operand.value));
      }
      if (!problem.empty()) return problem;
    }
    return data_inputs(context_, id).empty() ? "all of its inputs are constants" : "";
  }

  std::string problem(NodeId id) {
    const TargetOp* target = kernel(id);
    if (target == nullptr) {
      return fmt::format("{} has no integer kernel for {}", context_.target.name,
                         to_string(graph_.node(id).op));
    }
    if (!excluded_[at(id)].empty()) return excluded_[at(id)];
    if (graph_.node(id).outputs.empty() || graph_.node(id).outputs[0] == ValueId::none) {
      return "it has no result";
    }
    if (auto why = input_problem(id, *target); !why.empty()) return why;
    find_activation(id);
    const ValueId made = result(id);
    if (auto why = type_problem(made); !why.empty()) return why;
    // Nobody wants an unknown result as codes, so it matters only to a node that gives nothing
    // else.
    const bool must_be_codes = target->when == Eagerness::always && !target->float_output;
    if (must_be_codes && !known_[at(made)])
      return fmt::format("no data: {} was never observed", quoted(graph_, made));
    return {};
  }

  /// A Relu or Clip that alone reads the node's result is computed with it, before rounding.
  void find_activation(NodeId id) {
    const ValueId made = graph_.node(id).outputs.at(0);
    const std::vector<Use>& uses = graph_.value(made).uses;
    if (uses.size() != 1 || uses[0].slot != 0 || graph_.is_output(made)) return;
    const NodeId reader = uses[0].node;
    const OpDef* def = context_.def(reader);
    if (def == nullptr || def->quant.keeps == nullptr || excluded_by_pattern(reader)) return;
    if (def->quant.keeps(context_.view(reader))) chosen_.activation[at(id)] = reader;
  }

  void find_eligible() {
    for (const NodeId id : order_) {
      const OpDef* def = context_.def(id);
      if (def == nullptr || def->quant.behaviour != Behaviour::compute) continue;
      chosen_.reason[at(id)] = problem(id);
      chosen_.computes[at(id)] = chosen_.reason[at(id)].empty();
    }
  }

  // ---- what does take part ----------------------------------------------------------------------

  void drop(NodeId id, std::string reason) {
    chosen_.computes[at(id)] = false;
    chosen_.reason[at(id)] = std::move(reason);
  }

  bool any_output(NodeId id, const std::vector<bool>& marks) const {
    return std::ranges::any_of(graph_.node(id).outputs, [&](ValueId output) {
      return output != ValueId::none && marks[at(output)];
    });
  }

  /// Readers first: marks what is read as codes, and drops nodes that join in for no reader.
  bool drop_unread() {
    bool dropped = false;
    std::fill(wanted_.begin(), wanted_.end(), false);
    std::fill(wanted_always_.begin(), wanted_always_.end(), false);
    for (auto id = order_.rbegin(); id != order_.rend(); ++id) {
      bool reads = movable_[at(*id)] && any_output(*id, wanted_);
      bool always = movable_[at(*id)] && any_output(*id, wanted_always_);
      if (chosen_.computes[at(*id)]) {
        if (joins(*id) && !wanted_[at(result(*id))]) {
          drop(*id, "its result is read as floats");
          dropped = true;
          continue;
        }
        reads = true;
        always = !joins(*id);
      }
      if (!reads) continue;
      for (const ValueId input : data_inputs(context_, *id)) {
        wanted_[at(input)] = true;
        if (always) wanted_always_[at(input)] = true;
      }
    }
    return dropped;
  }

  /// Producers first: drops nodes that join in while an input is float without them.
  bool drop_unfed() {
    bool dropped = false;
    std::vector<bool> codes = wanted_always_;
    for (const NodeId id : order_) {
      const auto inputs = data_inputs(context_, id);
      const auto missing =
          std::ranges::find_if(inputs, [&](ValueId input) { return !codes[at(input)]; });
      const bool fed = !inputs.empty() && missing == inputs.end();
      if (chosen_.computes[at(id)] && joins(id) && !fed) {
        drop(id, fmt::format("its input {} stays float", quoted(graph_, *missing)));
        dropped = true;
      }
      if (chosen_.computes[at(id)] && !kernel(id)->float_output) codes[at(result(id))] = true;
      if (movable_[at(id)] && fed) {
        for (const ValueId output : graph_.node(id).outputs) {
          if (output != ValueId::none) codes[at(output)] = true;
        }
      }
    }
    return dropped;
  }

  void settle() {
    for (const NodeId id : order_) {
      chosen_.moves[at(id)] = movable_[at(id)] && any_output(id, wanted_);
      if (chosen_.moves[at(id)]) {
        for (const ValueId output : graph_.node(id).outputs) mark_whole(output);
      }
      if (!chosen_.computes[at(id)]) {
        chosen_.activation[at(id)] = NodeId::none;
      } else if (!kernel(id)->float_output) {
        mark_whole(result(id));
      } else if (!wanted_[at(result(id))]) {
        chosen_.activation[at(id)] = NodeId::none;
      }
    }
    for (const ValueId id : graph_.values()) {
      if (wanted_[at(id)]) chosen_.coded[at(id)] = true;
    }
    std::vector<size_t> rank(graph_.node_id_bound());
    for (size_t i = 0; i < order_.size(); ++i) rank[at(order_[i])] = i;
    for (const NodeId id : order_) {
      if (chosen_.computes[at(id)] && kernel(id)->residual) keep_unrounded_operand(id, rank);
    }
  }

  /// Of the results that layers make for this node alone the one that is made last stays float.
  void keep_unrounded_operand(NodeId id, const std::vector<size_t>& rank) {
    ValueId last = ValueId::none;
    for (const ValueId input : data_inputs(context_, id)) {
      const NodeId producer = graph_.value(input).producer;
      if (producer == NodeId::none || !chosen_.computes[at(producer)] || joins(producer)) continue;
      if (result(producer) != graph_.node(producer).outputs[0]) continue;
      if (graph_.value(input).uses.size() != 1 || graph_.is_output(input)) continue;
      if (last == ValueId::none || rank[at(producer)] > rank[at(graph_.value(last).producer)]) {
        last = input;
      }
    }
    if (last == ValueId::none) return;
    chosen_.coded[at(last)] = false;
    chosen_.whole[at(last)] = false;
    chosen_.unrounded.push_back(last);
  }

  void mark_whole(ValueId id) {
    if (id == ValueId::none) return;
    chosen_.coded[at(id)] = true;
    chosen_.whole[at(id)] = true;
  }

  const PlanContext& context_;
  const Graph& graph_;
  const std::function<bool(ValueId)>& observed_;
  std::vector<NodeId> order_;
  std::vector<std::string> excluded_;
  std::vector<bool> known_;          ///< by value: its range follows from the data
  std::vector<bool> movable_;        ///< by node
  std::vector<bool> wanted_;         ///< by value: some quantized node reads it
  std::vector<bool> wanted_always_;  ///< by value: one of those that do not merely join in does
  Selection chosen_;
};

}  // namespace

std::vector<Operand> operands(const PlanContext& context, NodeId id) {
  std::vector<Operand> found;
  const OpDef* def = context.def(id);
  if (def == nullptr) return found;
  const Node& node = context.graph.node(id);
  for (size_t slot = 0; slot < node.inputs.size(); ++slot) {
    const OperandRole role = rule_of(def->quant, slot).role;
    const ValueId value = node.inputs[slot];
    if (role == OperandRole::none || value == ValueId::none) continue;
    Constant constant = context.graph.constant(value);
    const bool computed = role == OperandRole::weight && constant == nullptr;
    found.push_back({static_cast<int>(slot), value, computed ? OperandRole::activation : role,
                     std::move(constant)});
  }
  return found;
}

std::vector<ValueId> data_inputs(const PlanContext& context, NodeId id) {
  std::vector<ValueId> found;
  for (const Operand& operand : operands(context, id)) {
    if (operand.role == OperandRole::activation && operand.constant == nullptr)
      found.push_back(operand.value);
  }
  return found;
}

bool adds_elements(const PlanContext& context, NodeId id) {
  const Node& node = context.graph.node(id);
  const OpDef* def = context.def(id);
  for (size_t slot = 0; def != nullptr && slot < node.inputs.size(); ++slot) {
    const ValueId value = node.inputs[slot];
    if (value != ValueId::none && rule_of(def->quant, slot).role == OperandRole::none &&
        is_floating(context.facts[value].type.dtype)) {
      return true;
    }
  }
  return false;
}

Selection select_nodes(const PlanContext& context, const std::function<bool(ValueId)>& observed) {
  return Selector(context, observed).run();
}

ValueId result_of(const Graph& graph, const Selection& selection, NodeId id) {
  const NodeId activation = selection.activation[at(id)];
  return graph.node(activation == NodeId::none ? id : activation).outputs.at(0);
}

}  // namespace qtool
