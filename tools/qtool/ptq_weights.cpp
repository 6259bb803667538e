// SPDX-License-Identifier: Apache-2.0
#include "ptq_weights.h"

#include <fmt/format.h>

#include "learning.h"
#include "passes/matmul_nbits_form.h"
#include "quant/algorithms/smooth_quant.h"
#include "quant/algorithms/weight_only.h"
#include "quant/insert_qdq.h"
#include "quant/names.h"
#include "rounding/awq.h"

namespace qtool {

namespace {

/// With the block of MatMulNBits where scales are per channel.
constexpr int64_t kUsualBlock = 32;
constexpr size_t kAwqSamples = 128;

std::vector<NodeId> readers(const QuantPlan& plan) {
  std::vector<NodeId> nodes;
  for (const Placement& placement : plan.placements) {
    for (const Use& use : placement.uses) nodes.push_back(use.node);
  }
  return nodes;
}

/// Codes, scales and zero points over weights.
double bits_a_weight(const QuantPlan& plan, const Graph& graph) {
  double bits = 0;
  double weights = 0;
  for (const Placement& placement : plan.placements) {
    const auto elements = static_cast<double>(graph.constant(placement.value)->size());
    const QuantParams& params = placement.params;
    const double zero = params.type.is_signed ? 0 : params.type.bits;
    bits += elements * params.type.bits + static_cast<double>(params.scale.size()) * (32 + zero);
    weights += elements;
  }
  return bits / weights;
}

/// The tensors that were divided, and the weights behind them multiplied.
size_t scale_by_awq(Graph& graph, const Recipe& recipe, const DataOptions& data,
                    const Globals& globals, Log& log) {
  const ProductRows rows = rows_of_products(
      graph, builtin_ops(), first_samples(graph, data, kAwqSamples, "awq", globals, log));
  const std::vector<Smoothing> found = find_awq(graph, builtin_ops(), recipe, rows);
  smooth(graph, found);
  for (const Smoothing& each : found) log.info(each.tensor + ": " + each.reason);
  return found.size();
}

}  // namespace

ConvertedModel convert_weights(const LoadedModel& model, const DataOptions& data,
                               const Recipe& recipe, const std::string& format,
                               std::optional<uint64_t> memory_limit, const Globals& globals,
                               Log& log) {
  const bool packed = format == "matmul-nbits";
  Recipe of_mode = recipe;
  of_mode.mode = "weight-only";
  const bool wide = needs_packed_weights(of_mode);
  Target any;
  any.opset = wide && !packed ? 21 : 13;
  ConvertedModel result;
  result.graph = quantizable_graph(model, any, log);
  size_t scaled = 0;
  if (recipe.awq) {
    within_frame([&] { return model.path.string(); },
                 [&] { scaled = scale_by_awq(result.graph, recipe, data, globals, log); });
  }
  QuantPlan plan = within_frame([&] { return model.path.string(); },
                                [&] { return plan_weights(result.graph, builtin_ops(), recipe); });
  if (recipe.rounding == Rounding::hqq) improve_by_hqq(result.graph, plan);
  if (learns(recipe)) {
    within_frame([&] { return model.path.string(); },
                 [&] { learn(result.graph, plan, recipe, data, memory_limit, globals, log); });
  }
  result.text = fmt::format("weights of {} layers: {:.2f} bits each, scales included\n",
                            plan.quantized.size(), bits_a_weight(plan, result.graph));
  if (recipe.awq) result.text += fmt::format("awq: {} tensors scaled\n", scaled);
  result.converted = plan.quantized.size();
  result.kept = plan.skipped.size();
  const std::vector<NodeId> nodes = readers(plan);
  if (packed) plan.opset = result.graph.model.opset();
  insert_qdq(result.graph, plan);
  if (packed) {
    const int64_t block = recipe.block > 0 ? recipe.block : kUsualBlock;
    for (const auto& [node, why] : to_matmul_nbits(result.graph, nodes, block))
      result.text += fmt::format("  {} keeps DequantizeLinear: {}\n", node, why);
  }
  return result;
}

}  // namespace qtool
