// SPDX-License-Identifier: Apache-2.0
#include "quant/algorithms/weight_only.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "numerics/layout.h"
#include "numerics/range.h"
#include "support/parallel.h"

namespace qtool {

namespace {

/// The weights that a node multiplies its data with.
struct Weights {
  int slot = 0;
  int axis = -1;  ///< of results
  ValueId value = ValueId::none;
};

std::optional<Weights> weights_of(const Graph& graph, const OpRegistry& ops, const Facts& facts,
                                  NodeId id) {
  const Node& node = graph.node(id);
  const OpDef* def = ops.find(node, graph.model);
  if (def == nullptr || def->quant.behaviour != Behaviour::compute) return std::nullopt;
  const auto& rules = def->quant.inputs;
  for (size_t slot = 0; slot < node.inputs.size() && !rules.empty(); ++slot) {
    const OperandRule& rule = rules[std::min(slot, rules.size() - 1)];
    if (rule.role != OperandRole::weight || node.inputs[slot] == ValueId::none) continue;
    const Constant constant = graph.constant(node.inputs[slot]);
    if (constant == nullptr || constant->dtype() != DType::float32 || constant->rank() < 2)
      continue;
    const NodeView view(graph, id, facts, graph.model.opset(node.op.domain));
    const int axis = rule.channel_axis == nullptr ? -1 : rule.channel_axis(view);
    if (axis >= 0) return Weights{static_cast<int>(slot), axis, node.inputs[slot]};
  }
  return std::nullopt;
}

/// The 0.7-norm's power of what a grid leaves.
constexpr float kNorm = 0.7F;
double cost(std::span<const float> w, float scale, float zero, float lowest, float highest) {
  double sum = 0;
  for (const float x : w) {
    const float code = std::clamp(std::nearbyint(x / scale + zero), lowest, highest);
    sum += std::pow(std::abs(static_cast<double>(x - (code - zero) * scale)),
                    static_cast<double>(kNorm));
  }
  return sum;
}

struct Grid {
  float scale;
  float zero;
};

Grid hqq(std::span<const float> w, Grid start, const QuantType& type, bool symmetric) {
  const auto lowest = static_cast<float>(type.lowest());
  const auto highest = static_cast<float>(type.highest());
  Grid best = start;
  Grid grid = start;
  double least = cost(w, grid.scale, grid.zero, lowest, highest);
  if (!(least > 0)) return best;
  std::vector<float> clean(w.size());
  std::vector<float> codes(w.size());
  float beta = 10 / start.scale;  // errors are measured in steps
  for (int iteration = 0; iteration < 20; ++iteration, beta *= 1.05F) {
    double shift = 0;
    for (size_t i = 0; i < w.size(); ++i) {
      codes[i] = std::clamp(std::nearbyint(w[i] / grid.scale + grid.zero), lowest, highest);
      const float error = w[i] - (codes[i] - grid.zero) * grid.scale;
      const float size = std::abs(error);
      const float sparse =
          size > 0 ? std::max(0.0F, size - std::pow(size / start.scale, kNorm - 1) / beta) : 0.0F;
      clean[i] = w[i] - std::copysign(sparse, error);
      shift += static_cast<double>(codes[i] - clean[i] / grid.scale);
    }
    if (!symmetric) {
      grid.zero =
          std::clamp(std::nearbyint(static_cast<float>(shift / static_cast<double>(w.size()))),
                     lowest, highest);
    }
    double along = 0;
    double square = 0;
    for (size_t i = 0; i < w.size(); ++i) {
      const auto code = static_cast<double>(codes[i] - grid.zero);
      along += code * static_cast<double>(clean[i]);
      square += code * code;
    }
    const auto scale = static_cast<float>(along / square);
    if (square > 0 && scale > 0.25F * start.scale && scale < 2 * start.scale) grid.scale = scale;
    const double now = cost(w, grid.scale, grid.zero, lowest, highest);
    if (now < least) {
      least = now;
      best = grid;
    }
  }
  return best;
}

}  // namespace

QuantPlan plan_weights(const Graph& graph, const OpRegistry& ops, const Recipe& recipe) {
  const int64_t block = recipe.block;
  if (block != 0 && (block < 16 || (block & (block - 1)) != 0)) {
    throw usage_error(fmt::format("blocks of {} elements", block),
                      "Blocks are a power of two from 16 on, such as --block 32.");
  }
  const int bits = recipe.weight_bits.value_or(8);
  const QuantType type{bits, bits == 8, bits == 8};
  const Scheme scheme = bits == 8 ? Scheme::symmetric : Scheme::asymmetric;
  const std::vector<std::string> excluded = exclusions(graph, recipe);
  const Facts facts = infer_facts(graph, ops);
  QuantPlan plan;
  plan.target = "weight-only";
  std::map<std::pair<ValueId, int>, size_t> placed;  // by value and axis of the scales
  for (const NodeId id : graph.nodes()) {
    const auto weights = weights_of(graph, ops, facts, id);
    if (!weights) continue;
    if (const std::string& why = excluded[static_cast<size_t>(id)]; !why.empty()) {
      plan.skipped.push_back({id, why});
      continue;
    }
    const Tensor& tensor = *graph.constant(weights->value);
    const bool blocked = block > 0 && tensor.rank() == 2;
    const int axis = blocked ? 1 - weights->axis : weights->axis;
    const Use use{id, weights->slot};
    plan.quantized.push_back(id);
    if (const auto found = placed.find({weights->value, axis}); found != placed.end()) {
      plan.placements[found->second].uses.push_back(use);
      continue;
    }
    const bool least = weight_method(recipe, type) == WeightMethod::mse;
    const auto ranges = within_frame(
        [&] { return "weights \"" + graph.value(weights->value).name + '"'; },
        [&] {
          return least ? mse_weight_ranges(tensor, type, scheme, axis, blocked ? block : 0)
                       : weight_ranges(tensor, axis, blocked ? block : 0);
        });
    placed.emplace(std::pair(weights->value, axis), plan.placements.size());
    plan.placements.push_back(
        {Placement::Kind::constant,
         weights->value,
         {use},
         false,
         choose_params(ranges, type, scheme, axis, blocked ? block : 0),
         std::string(least ? "mse" : "minmax") +
             (blocked ? fmt::format(", blocks of {}", block) : std::string(", a scale a result"))});
  }
  if (plan.placements.empty())
    throw unsupported_error("no layer has weights that could be stored in fewer bits");
  plan.opset = bits == 4 || block > 0 ? 21 : 13;
  return plan;
}

void improve_by_hqq(const Graph& graph, QuantPlan& plan) {
  for (Placement& placement : plan.placements) {
    if (placement.kind != Placement::Kind::constant) continue;
    const Tensor& tensor = *graph.constant(placement.value);
    QuantParams& params = placement.params;
    const ScaleLayout layout(tensor.shape(), params.axis, params.block_size);
    const bool symmetric = params.type.is_signed;
    parallel_for(layout.slices(), 16, [&](int64_t begin, int64_t end) {
      std::vector<float> w;
      for (int64_t slice = begin; slice < end; ++slice) {
        w.clear();
        layout.for_each_piece(slice, [&](int64_t first, int64_t count, int64_t stride) {
          for (int64_t i = 0; i < count; ++i)
            w.push_back(tensor.data<float>()[static_cast<size_t>(first + i * stride)]);
        });
        const auto s = static_cast<size_t>(slice);
        const Grid grid = hqq(w, {params.scale[s], static_cast<float>(params.zero_point[s])},
                              params.type, symmetric);
        params.scale[s] = grid.scale;
        params.zero_point[s] = static_cast<int32_t>(grid.zero);
      }
    });
    params = checked_params(params.type, params.scale, params.zero_point, params.axis,
                            params.block_size);
    placement.reason += ", hqq";
  }
}

}  // namespace qtool
