// SPDX-License-Identifier: Apache-2.0
#include "static_plan.h"

#include "quant/algorithms/equalize.h"
#include "quant/algorithms/smooth_quant.h"

namespace qtool {

std::vector<Equalization> equalizations(const Graph& graph, const CalibrationTable& table,
                                        const Target& target, const Recipe& recipe) {
  EqualizeOptions options;
  options.per_tensor = recipe.per_tensor_weights || !target.per_channel;
  options.weight_bits = recipe.weight_bits.value_or(8);
  options.activation_bits = recipe.activation_bits.value_or(8);
  return find_equalizations(graph, table, options);
}

QuantPlan static_plan(Graph& graph, CalibrationTable& table, const Target& target,
                      const Recipe& recipe,
                      const std::function<CalibrationTable(const Graph&)>& recalibrate) {
  std::vector<Equalization> equalized;
  if (recipe.equalize) {
    equalized = equalizations(graph, table, target, recipe);
    equalize(graph, equalized);
    if (recalibrate) {
      table = recalibrate(graph);
    } else {
      equalize(table, graph, equalized);
    }
  }
  QuantPlan plan = smooth_and_plan(graph, builtin_ops(), table, target, recipe);
  plan.equalized = std::move(equalized);
  return plan;
}

}  // namespace qtool
