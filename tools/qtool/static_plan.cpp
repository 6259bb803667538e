// SPDX-License-Identifier: Apache-2.0
#include "static_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "learning.h"
#include "passes/quantize_dynamically.h"
#include "quant/algorithms/absorb_bias.h"
#include "quant/algorithms/equalize.h"
#include "quant/algorithms/smooth_quant.h"
#include "quant/algorithms/weight_only.h"
#include "quant/insert_qdq.h"
#include "rounding/percentile_search.h"

namespace qtool {

namespace {

constexpr size_t kAbsorbSamples = 256;
constexpr size_t kSearchSamples = 64;
constexpr uint64_t kSearchMemory = uint64_t{16} << 20;  ///< several times as much is used

std::map<std::string, RangeMethod> searched_methods(const Graph& graph,
                                                    const CalibrationTable& table,
                                                    const Target& target, const Recipe& recipe,
                                                    const PlanningData& data) {
  const uint64_t limit = data.how.memory_limit.value_or(8 * kSearchMemory) / 8;
  const std::vector<SearchedRange> ranges = search_percentiles(
      graph, builtin_ops(), table, target, recipe,
      [&] {
        return first_samples(graph, data.data, kSearchSamples, "percentiles", data.globals,
                             data.log);
      },
      std::min(limit, kSearchMemory));
  for (const SearchedRange& range : ranges) {
    if (range.error >= range.error_before) continue;
    data.log.info(fmt::format("{}: {}, {:.1f} dB less error where it is read", range.tensors[0],
                              to_string(range.method),
                              10 * std::log10(range.error_before / std::max(range.error, 1e-300))));
  }
  return found_methods(ranges);
}

}  // namespace

CalibrationTable PlanningData::table(const Graph& graph) const {
  return calibrate_graph(model, graph, data, plan, how, globals, log);
}

std::vector<Equalization> equalizations(const Graph& graph, const CalibrationTable& table,
                                        const Target& target, const Recipe& recipe) {
  EqualizeOptions options;
  options.per_tensor = recipe.per_tensor_weights || !target.per_channel;
  options.weight_bits = recipe.weight_bits.value_or(8);
  options.activation_bits = recipe.activation_bits.value_or(8);
  return find_equalizations(graph, table, options);
}

QuantPlan static_plan(Graph& graph, CalibrationTable& table, const Target& target,
                      const Recipe& recipe, const PlanningData* data) {
  std::vector<Equalization> equalized;
  if (recipe.equalize) {
    equalized = equalizations(graph, table, target, recipe);
    Graph scaled = graph;
    equalize(scaled, equalized);
    if (data != nullptr) {
      find_absorptions(
          scaled,
          first_samples(scaled, data->data, kAbsorbSamples, "absorb", data->globals, data->log),
          equalized);
    }
    equalize(graph, equalized);
    if (data != nullptr) {
      table = data->table(graph);
    } else {
      equalize(table, graph, equalized);
    }
  }
  Recipe found = recipe;
  if (recipe.search_percentiles && data != nullptr)
    found.found_methods = searched_methods(graph, table, target, recipe, *data);
  QuantPlan plan = smooth_and_plan(graph, builtin_ops(), table, target, found);
  plan.equalized = std::move(equalized);
  add_modes(graph, builtin_ops(), recipe, plan);
  return plan;
}

void carry_out(Graph& graph, const QuantPlan& plan) {
  std::vector<std::string> others(graph.node_id_bound(), "not of mode dynamic");
  for (const NodeId id : plan.dynamic) others[static_cast<size_t>(id)].clear();
  insert_qdq(graph, plan);
  if (plan.dynamic.empty()) return;
  others.resize(graph.node_id_bound(), "new");
  quantize_dynamically(graph, builtin_ops(), others);
}

}  // namespace qtool
