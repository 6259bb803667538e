// SPDX-License-Identifier: Apache-2.0
#include "quant/planner.h"

#include <algorithm>
#include <map>

#include "quant/algorithms/bias_correction.h"
#include "quant/constants.h"
#include "quant/ranges.h"
#include "quant/selection.h"
#include "quant/widths.h"

namespace qtool {

namespace {

size_t at(NodeId id) { return static_cast<size_t>(id); }
size_t at(ValueId id) { return static_cast<size_t>(id); }

void refuse_quantized(const PlanContext& context) {
  if (context.recipe.allow_quantized) return;
  for (const NodeId id : context.graph.nodes()) {
    const OpDef* def = context.def(id);
    if (def == nullptr || def->qdq == QdqRole::none) continue;
    throw unsupported_error("the model is quantized already: it has " + context.graph.describe(id),
                            "Start from the float model, or allow it with --allow-quantized.");
  }
}

/// Of the readers, those that take codes; all of them where the producer gives nothing else. What
/// subgraphs read by name stays float.
std::map<ValueId, std::vector<Use>> coded_uses(const PlanContext& context,
                                               const Selection& selection) {
  std::map<ValueId, std::vector<Use>> uses;
  for (const ValueId id : context.graph.values()) {
    if (!selection.whole[at(id)]) continue;
    for (const Use& use : context.graph.value(id).uses) {
      if (use.slot < kCaptureSlot) uses[id].push_back(use);
    }
  }
  for (const NodeId id : context.graph.nodes()) {
    if (!selection.computes[at(id)] && !selection.moves[at(id)]) continue;
    for (const Operand& operand : operands(context, id)) {
      const bool data = operand.role == OperandRole::activation && operand.constant == nullptr;
      if (data && !selection.whole[at(operand.value)])
        uses[operand.value].push_back({id, operand.slot});
    }
  }
  return uses;
}

void plan_activations(const PlanContext& context, const Selection& selection,
                      const std::map<ValueId, ValueParams>& params, QuantPlan& plan) {
  auto uses = coded_uses(context, selection);
  for (const auto& [id, chosen] : params) {
    const bool output = selection.whole[at(id)] && context.graph.is_output(id);
    plan.placements.push_back({Placement::Kind::activation, id, std::move(uses[id]), output,
                               chosen.params, chosen.reason});
  }
}

/// Nobody reads the value but in its quantized form.
bool only_coded(const Graph& graph, const Placement& placement) {
  return placement.uses.size() == graph.value(placement.value).uses.size() &&
         placement.output == graph.is_output(placement.value);
}

void plan_removals(const PlanContext& context, const Selection& selection, QuantPlan& plan) {
  if (!context.target.remove_activations) return;
  std::map<ValueId, const Placement*> placed;
  for (const Placement& placement : plan.placements) placed.emplace(placement.value, &placement);
  for (const NodeId id : context.graph.nodes()) {
    const auto kept = kept_range(context, selection, id);
    if (!kept) continue;
    const NodeId activation = selection.activation[at(id)];
    const auto found = placed.find(context.graph.node(activation).outputs.at(0));
    if (found == placed.end() || !only_coded(context.graph, *found->second)) continue;
    if (!implies(found->second->params, *kept)) continue;
    plan.removed.push_back({activation, "the grid of its result has only values that it keeps"});
  }
}

void sort(QuantPlan& plan) {
  const auto by_use = [](const Use& a, const Use& b) {
    return std::pair(a.node, a.slot) < std::pair(b.node, b.slot);
  };
  for (Placement& placement : plan.placements) std::ranges::sort(placement.uses, by_use);
  std::ranges::stable_sort(plan.placements, [&](const Placement& a, const Placement& b) {
    if (a.value != b.value) return a.value < b.value;
    return !a.uses.empty() && !b.uses.empty() && by_use(a.uses[0], b.uses[0]);
  });
  std::ranges::sort(plan.biases, by_use, &BiasPlacement::use);
  std::ranges::sort(plan.removed, {}, &RemovedNode::node);
}

}  // namespace

QuantPlan plan_quantization(const Graph& graph, const OpRegistry& ops,
                            const CalibrationTable& table, const Target& target,
                            const Recipe& recipe) {
  const Facts facts = infer_facts(graph, ops);
  const PlanContext context{graph, ops, facts, target, recipe};
  refuse_quantized(context);
  Selection selection = select_nodes(context, table);
  // Calibration leaves out what would stay float anyway: that, not the missing data, is the reason.
  const Selection with_all_data = select_nodes(context, [](ValueId) { return true; });
  for (const NodeId id : graph.nodes()) {
    if (!with_all_data.reason[at(id)].empty())
      selection.reason[at(id)] = with_all_data.reason[at(id)];
  }

  QuantPlan plan;
  plan.target = target.name;
  plan.opset = target.opset;
  plan.float_biases = target.float_biases;
  for (const NodeId id : graph.nodes()) {
    if (selection.computes[at(id)]) plan.quantized.push_back(id);
    if (selection.moves[at(id)]) plan.moved.push_back(id);
    if (!selection.reason[at(id)].empty()) plan.skipped.push_back({id, selection.reason[at(id)]});
  }
  const auto params = activation_params(context, selection, table, plan.notes);
  plan_activations(context, selection, params, plan);
  plan_removals(context, selection, plan);
  plan_constants(context, selection, params, plan);
  sort(plan);
  if (recipe.bias_correction) correct_biases(context, table, plan);
  return plan;
}

std::vector<ValueId> values_to_calibrate(const Graph& graph, const OpRegistry& ops,
                                         const Target& target, const Recipe& recipe) {
  const Facts facts = infer_facts(graph, ops);
  const PlanContext context{graph, ops, facts, target, recipe};
  refuse_quantized(context);
  const Selection selection = select_nodes(context, [](ValueId) { return true; });
  std::vector<ValueId> values = range_sources(context, selection);
  // Selection asks for these too, before it knows that they need no parameters.
  values.insert(values.end(), selection.unrounded.begin(), selection.unrounded.end());
  if (recipe.bias_correction) {
    const std::vector<ValueId> inputs = bias_correction_inputs(context, selection);
    values.insert(values.end(), inputs.begin(), inputs.end());
  }
  std::ranges::sort(values);
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

std::vector<std::string> tensors_to_calibrate(const Graph& graph, const OpRegistry& ops,
                                              const Target& target, const Recipe& recipe) {
  std::vector<std::string> names;
  for (const ValueId id : values_to_calibrate(graph, ops, target, recipe)) {
    names.push_back(graph.value(id).name);
  }
  return names;
}

}  // namespace qtool
