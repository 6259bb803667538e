// SPDX-License-Identifier: Apache-2.0
#include "quant/algorithms/weight_only.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <tuple>

#include "numerics/layout.h"
#include "numerics/range.h"
#include "quant/rules.h"
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

void check_block(int64_t block) {
  if (block != 0 && (block < 16 || (block & (block - 1)) != 0)) {
    throw usage_error(fmt::format("blocks of {} elements", block),
                      "Blocks are a power of two from 16 on, such as --block 32.");
  }
}

/// Grids for the weights of one node after the other.
class WeightPlanner {
 public:
  WeightPlanner(const Graph& graph, const OpRegistry& ops, const Recipe& recipe, QuantPlan& plan)
      : graph_(graph), ops_(ops), recipe_(recipe), facts_(infer_facts(graph, ops)),
        rules_(PlanContext{graph, ops, facts_, target_, recipe}), plan_(plan) {}

  /// Whether it has weights of its own.
  bool add(NodeId id) {
    const auto weights = weights_of(graph_, ops_, facts_, id);
    if (!weights) return false;
    const WeightGrid grid = *this->grid(id);
    const Use use{id, weights->slot};
    plan_.quantized.push_back(id);
    if (grid.bits <= 4 || grid.block > 0) plan_.opset = std::max<int64_t>(plan_.opset, 21);
    const std::tuple key{weights->value, grid.axis, grid.bits, grid.block};
    if (const auto found = placed_.find(key); found != placed_.end()) {
      plan_.placements[found->second].uses.push_back(use);
      return true;
    }
    QuantParams params =
        within_frame([&] { return "weights \"" + graph_.value(weights->value).name + '"'; },
                     [&] { return weight_grid(*graph_.constant(weights->value), grid); });
    placed_.emplace(key, plan_.placements.size());
    plan_.placements.push_back({Placement::Kind::constant,
                                weights->value,
                                {use},
                                false,
                                std::move(params),
                                std::string(grid.least ? "mse" : "minmax") +
                                    (grid.block > 0 ? fmt::format(", blocks of {}", grid.block)
                                                    : std::string(", a scale a result"))});
    return true;
  }

  std::optional<WeightGrid> grid(NodeId id) const {
    const auto weights = weights_of(graph_, ops_, facts_, id);
    if (!weights) return std::nullopt;
    const Wishes& wishes = rules_.of(id);
    const int64_t block = wishes.block.value_or(recipe_.block);
    check_block(block);
    WeightGrid made;
    made.bits = wishes.weight_bits.value_or(recipe_.weight_bits.value_or(8));
    const QuantType type{made.bits, true, true};
    made.least = wishes.weight_method.value_or(weight_method(recipe_, type)) == WeightMethod::mse;
    const bool blocked = block > 0 && graph_.constant(weights->value)->rank() == 2;
    made.axis = blocked ? 1 - weights->axis : weights->axis;
    made.block = blocked ? block : 0;
    return made;
  }

  bool has_weights(NodeId id) const { return weights_of(graph_, ops_, facts_, id).has_value(); }

 private:
  const Graph& graph_;
  const OpRegistry& ops_;
  const Recipe& recipe_;
  const Target target_;
  Facts facts_;
  Rules rules_;
  QuantPlan& plan_;
  std::map<std::tuple<ValueId, int, int, int64_t>, size_t> placed_;
};

}  // namespace

QuantParams weight_grid(const Tensor& weights, const WeightGrid& grid) {
  const QuantType type{grid.bits, grid.bits == 8, grid.bits == 8};
  const Scheme scheme = grid.bits == 8 ? Scheme::symmetric : Scheme::asymmetric;
  const auto ranges = grid.least ? mse_weight_ranges(weights, type, scheme, grid.axis, grid.block)
                                 : weight_ranges(weights, grid.axis, grid.block);
  return choose_params(ranges, type, scheme, grid.axis, grid.block);
}

std::map<NodeId, WeightGrid> wished_grids(const Graph& graph, const OpRegistry& ops,
                                          const Recipe& recipe) {
  QuantPlan none;
  const WeightPlanner planner(graph, ops, recipe, none);
  std::map<NodeId, WeightGrid> grids;
  for (const NodeId id : graph.nodes()) {
    if (const auto grid = planner.grid(id)) grids.emplace(id, *grid);
  }
  return grids;
}

QuantPlan plan_weights(const Graph& graph, const OpRegistry& ops, const Recipe& recipe) {
  check_block(recipe.block);
  for (const RecipeRule& rule : recipe.rules) {
    if (rule.mode && *rule.mode != NodeMode::keep_float)
      throw usage_error("a rule with a mode in a recipe of mode weight-only",
                        "Rules choose modes where the recipe has none: leave out its mode.");
  }
  const std::vector<std::string> excluded = exclusions(graph, recipe);
  QuantPlan plan;
  plan.target = "weight-only";
  plan.opset = 13;
  WeightPlanner planner(graph, ops, recipe, plan);
  for (const NodeId id : graph.nodes()) {
    const std::string& why = excluded[static_cast<size_t>(id)];
    if (why.empty()) {
      planner.add(id);
    } else if (planner.has_weights(id)) {
      plan.skipped.push_back({id, why});
    }
  }
  if (plan.placements.empty())
    throw unsupported_error("no layer has weights that could be stored in fewer bits");
  return plan;
}

void add_modes(const Graph& graph, const OpRegistry& ops, const Recipe& recipe, QuantPlan& plan) {
  const std::vector<NodeMode> modes = node_modes(graph, recipe);
  WeightPlanner planner(graph, ops, recipe, plan);
  const auto settled = [&](NodeId id) {
    std::erase_if(plan.skipped, [&](const SkippedNode& skipped) { return skipped.node == id; });
  };
  for (const NodeId id : graph.nodes()) {
    const NodeMode mode = modes[static_cast<size_t>(id)];
    if (mode == NodeMode::weight_only && planner.add(id)) settled(id);
    if (mode != NodeMode::dynamic || !planner.has_weights(id)) continue;
    plan.dynamic.push_back(id);
    settled(id);
  }
}

bool needs_packed_weights(const Recipe& recipe) {
  const bool all = recipe.mode == "weight-only";
  const auto packed = [&](const Wishes& wishes) {
    const int bits = wishes.weight_bits.value_or(recipe.weight_bits.value_or(8));
    return bits <= 4 || wishes.block.value_or(recipe.block) > 0;
  };
  return (all && packed({})) || std::ranges::any_of(recipe.rules, [&](const RecipeRule& rule) {
           return (all || rule.mode == NodeMode::weight_only) && packed(rule.wishes);
         });
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
