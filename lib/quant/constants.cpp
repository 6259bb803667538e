// SPDX-License-Identifier: Apache-2.0
#include "quant/constants.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "quant/names.h"
#include "quant/settle.h"
#include "quant/widths.h"

namespace qtool {

namespace {

constexpr double kBiasLimit = 0x1p30;  ///< largest code of a bias
constexpr double kBiasSteps = 0x1p20;  ///< code of a bias whose channel has no weights

/// Two codes of one sign times 255 sum to at most 2^15 - 1 where their sum is at most 128; rounding
/// adds one half to each.
constexpr double kPairLimit = 127;

size_t at(NodeId id) { return static_cast<size_t>(id); }

/// By channel: the sum of the two weights of one sign that are farthest from zero.
std::vector<double> largest_pairs(const Tensor& weights, std::optional<int> axis) {
  const Shape& shape = weights.shape();
  int64_t channels = 1;
  int64_t inner = weights.size();
  if (axis) {
    channels = shape[static_cast<size_t>(*axis)];
    inner = element_count({shape.begin() + *axis + 1, shape.end()});
  }
  struct Pair {
    float first = 0;
    float second = 0;
    void add(float value) {
      if (value > first) std::swap(value, first);
      second = std::max(second, value);
    }
  };
  std::vector<Pair> above(static_cast<size_t>(channels));
  std::vector<Pair> below(static_cast<size_t>(channels));
  const auto values = weights.data<float>();
  for (int64_t i = 0; i < weights.size(); ++i) {
    const auto c = static_cast<size_t>(i / inner % channels);
    const float value = values[static_cast<size_t>(i)];
    (value > 0 ? above : below)[c].add(std::abs(value));
  }
  std::vector<double> sums;
  for (size_t c = 0; c < above.size(); ++c) {
    const auto sum = [](const Pair& p) { return static_cast<double>(p.first) + p.second; };
    sums.push_back(std::max(sum(above[c]), sum(below[c])));
  }
  return sums;
}

class ConstantPlanner {
 public:
  ConstantPlanner(const PlanContext& context, const Selection& selection,
                  const std::map<ValueId, ValueParams>& activations, QuantPlan& plan)
      : context_(context), widths_(context, selection), activations_(activations), plan_(plan) {}

  /// The constants that a node moves have the parameters of what they are moved with.
  void plan_moved(NodeId id) {
    const ValueParams& shared = activations_.at(data_inputs(context_, id).at(0));
    for (const Operand& operand : operands(context_, id)) {
      if (operand.constant != nullptr)
        place(id, operand, shared.params, "moved with " + shared.reason);
    }
  }

  void plan_computed(NodeId id) {
    const std::vector<Operand> all = operands(context_, id);
    const auto bias = std::ranges::find(all, OperandRole::bias, &Operand::role);
    double input_scale = 0;
    for (const Operand& operand : all) {
      if (operand.role != OperandRole::activation) continue;
      if (operand.constant == nullptr && !activations_.contains(operand.value)) continue;  // float
      const QuantParams params = operand.constant == nullptr ? activations_.at(operand.value).params
                                                             : constant_params(id, operand);
      if (input_scale == 0) input_scale = static_cast<double>(params.scale[0]);
    }
    for (const Operand& operand : all) {
      if (operand.role != OperandRole::weight) continue;
      QuantParams params = weight_params(id, operand);
      std::string reason = weight_reason(id, params);
      reason += bound_pairs(params, *operand.constant, own_name(context_.graph, id));
      if (bias != all.end()) {
        const auto values = bias->constant->data<float>();
        reason += adapt(params, zero_channels(operand, params), values, input_scale,
                        own_name(context_.graph, id));
        place_bias(id, *bias, params, input_scale);
      }
      place(id, operand, params, reason);
    }
  }

 private:
  QuantParams constant_params(NodeId id, const Operand& operand) {
    const auto range =
        within_frame([&] { return '"' + context_.graph.value(operand.value).name + '"'; },
                     [&] { return weight_ranges(*operand.constant, std::nullopt); });
    QuantParams params =
        choose_params(range, widths_.activation_type({}), context_.target.activation_scheme);
    place(id, operand, params, "a constant, all of its range");
    return params;
  }

  std::optional<int> weight_axis(NodeId id, const Operand& operand) const {
    const TargetOp& target = context_.target.computes.at(context_.graph.node(id).op);
    const bool wished =
        widths_.rules().of(id).per_channel.value_or(!context_.recipe.per_tensor_weights);
    if (!context_.target.per_channel || !target.per_channel || !wished) return {};
    const auto& rules = context_.def(id)->quant.inputs;
    const auto& rule = rules.at(std::min(static_cast<size_t>(operand.slot), rules.size() - 1));
    const int axis = rule.channel_axis == nullptr ? -1 : rule.channel_axis(context_.view(id));
    return axis < 0 ? std::nullopt : std::optional(axis);
  }

  const QuantParams& weight_params(NodeId id, const Operand& operand) {
    const auto axis = weight_axis(id, operand);
    const QuantType type = widths_.weight_type(id);
    const WeightMethod method = method_of(id, type);
    const auto known = weights_.find({operand.value, axis, type.bits, method});
    if (known != weights_.end()) return known->second;
    const Target& target = context_.target;
    const auto ranges = within_frame(
        [&] { return "weights \"" + context_.graph.value(operand.value).name + '"'; },
        [&] {
          return method == WeightMethod::minmax
                     ? weight_ranges(*operand.constant, axis)
                     : mse_weight_ranges(*operand.constant, type, target.weight_scheme, axis);
        });
    QuantParams params = choose_params(ranges, type, target.weight_scheme, axis);
    return weights_.emplace(std::tuple{operand.value, axis, type.bits, method}, std::move(params))
        .first->second;
  }

  WeightMethod method_of(NodeId id, const QuantType& type) const {
    return widths_.rules().of(id).weight_method.value_or(weight_method(context_.recipe, type));
  }

  std::string weight_reason(NodeId id, const QuantParams& params) const {
    return to_string(method_of(id, params.type)) +
           (params.axis ? fmt::format(" per channel of axis {}", *params.axis) : " per tensor");
  }

  static std::vector<bool> zero_channels(const Operand& operand, const QuantParams& params) {
    std::vector<bool> zero;
    for (const Range& range : weight_ranges(*operand.constant, params.axis))
      zero.push_back(range == Range{});
    return zero;
  }

  /// Makes room for the bias; says what it did.
  std::string adapt(QuantParams& params, const std::vector<bool>& zero, std::span<const float> bias,
                    double input_scale, const std::string& node) {
    size_t zeros = 0;
    size_t raised = 0;
    for (size_t c = 0; c < params.scale.size(); ++c) {
      double largest = 0;
      for (size_t i = 0; i < bias.size(); ++i) {
        if (!std::isfinite(bias[i]))
          throw input_error("the bias of \"" + node + "\" holds NaN or infinity");
        if (params.per_tensor() || i == c)
          largest = std::max(largest, std::abs(static_cast<double>(bias[i])));
      }
      const double least = largest / kBiasLimit / input_scale;
      if (zero[c]) {
        ++zeros;
        if (largest > 0) set_scale(params.scale[c], largest / kBiasSteps / input_scale);
      } else if (!plan_.float_biases && least > static_cast<double>(params.scale[c])) {
        ++raised;
        set_scale(params.scale[c], least);
      }
    }
    if (zeros > 0)
      plan_.notes.push_back(fmt::format("\"{}\" has {} channel{} of zero weights", node, zeros,
                                        zeros == 1 ? "" : "s"));
    if (raised == 0) return {};
    plan_.notes.push_back(
        fmt::format("\"{}\": {} weight scale{} raised, or the bias would leave 32 bits", node,
                    raised, raised == 1 ? " was" : "s were"));
    return fmt::format(", {} raised for the bias", raised);
  }

  void set_scale(float& scale, double wanted) const {
    scale = raised_scale(wanted, context_.target.weight_scheme == Scheme::symmetric_power_of_two);
  }

  /// Where two neighbouring products of a channel could leave 16 bits, its scale grows until they
  /// cannot; says how many.
  std::string bound_pairs(QuantParams& params, const Tensor& weights, const std::string& node) {
    if (!context_.target.pairs_in_16_bits && !context_.recipe.reduce_range) return {};
    const std::vector<double> largest = largest_pairs(weights, params.axis);
    size_t raised = 0;
    for (size_t c = 0; c < params.scale.size(); ++c) {
      const double least = largest[c] / kPairLimit;
      if (least <= static_cast<double>(params.scale[c]) * (1 + 1e-6)) continue;
      set_scale(params.scale[c], least);
      ++raised;
    }
    if (raised == 0) return {};
    plan_.notes.push_back(
        fmt::format("\"{}\": {} of {} weight scale{} raised (reduced range), or sums of two "
                    "products would leave "
                    "16 bits where there is no VNNI",
                    node, raised, params.scale.size(), params.scale.size() == 1 ? "" : "s"));
    return fmt::format(", {} raised for sums in 16 bits", raised);
  }

  void place_bias(NodeId id, const Operand& bias, const QuantParams& weights, double input_scale) {
    BiasPlacement placement{bias.value,
                            {id, bias.slot},
                            {},
                            {},
                            plan_.float_biases ? "stays float" : "the product's scale"};
    for (const float scale : weights.scale) {
      const double product = input_scale * static_cast<double>(scale);
      placement.scale.push_back(std::max(static_cast<float>(product), kMinScale));
    }
    plan_.biases.push_back(std::move(placement));
  }

  void place(NodeId id, const Operand& operand, const QuantParams& params, std::string reason) {
    std::vector<size_t>& copies = placed_[operand.value];
    for (const size_t i : copies) {
      if (plan_.placements[i].params == params) {
        plan_.placements[i].uses.push_back({id, operand.slot});
        return;
      }
    }
    copies.push_back(plan_.placements.size());
    plan_.placements.push_back({Placement::Kind::constant,
                                operand.value,
                                {{id, operand.slot}},
                                false,
                                params,
                                std::move(reason)});
  }

  const PlanContext& context_;
  const Widths widths_;
  const std::map<ValueId, ValueParams>& activations_;
  QuantPlan& plan_;
  std::map<std::tuple<ValueId, std::optional<int>, int, WeightMethod>, QuantParams> weights_;
  std::map<ValueId, std::vector<size_t>> placed_;
};

}  // namespace

void plan_constants(const PlanContext& context, const Selection& selection,
                    const std::map<ValueId, ValueParams>& activations, QuantPlan& plan) {
  ConstantPlanner planner(context, selection, activations, plan);
  for (const NodeId id : context.graph.nodes()) {
    within_frame([&] { return context.graph.describe(id); },
                 [&] {
                   if (selection.computes[at(id)]) planner.plan_computed(id);
                   if (selection.moves[at(id)]) planner.plan_moved(id);
                 });
  }
}

}  // namespace qtool
