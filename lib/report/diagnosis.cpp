// SPDX-License-Identifier: Apache-2.0
#include "report/diagnosis.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>

#include "report/compare.h"

namespace qtool {

namespace {

// What a sign takes. Half of the channels with an eighth of the codes lose 3 bits; the grid of a
// tensor with bell-shaped elements holds 99 % of them in a third to a half of its steps.
constexpr int kUnlike = 8;
constexpr double kManyBeyond = 0.01;
constexpr double kOtherData = 0.1;
constexpr double kNarrowPart = 0.125;
constexpr double kBulk = 0.99;
constexpr int kFewCodes = 15;  ///< the largest code of 5 bits

/// Weights as codes around 0, by output channel.
struct WeightCodes {
  int64_t channels = 1;
  int median = 0;  ///< of the channels' largest magnitudes
  int greatest = 0;
  bool one_scale = true;
};

WeightCodes codes_of(const Tensor& codes, const QuantParams& params, int axis) {
  const Shape& shape = codes.shape();
  const auto extent = static_cast<size_t>(shape[static_cast<size_t>(axis)]);
  const auto inner = static_cast<size_t>(element_count({shape.begin() + axis + 1, shape.end()}));
  std::vector<int> largest(extent);
  const Tensor wide = cast(codes, DType::int32);
  const auto elements = wide.data<int32_t>();
  for (size_t i = 0; i < elements.size(); ++i) {
    const size_t channel = i / inner % extent;
    const int32_t zero = params.zero_point[params.per_tensor() ? 0 : channel];
    largest[channel] = std::max(largest[channel], std::abs(elements[i] - zero));
  }
  std::ranges::sort(largest);
  return {static_cast<int64_t>(extent), largest[extent / 2], largest.back(), params.per_tensor()};
}

class Diagnosis {
 public:
  Diagnosis(const Graph& candidate, const OpRegistry& ops)
      : graph_(candidate), ops_(ops), facts_(infer_facts(candidate, ops)) {}

  void look_at(const LayerError& layer) {
    if (const auto weights = weights_of(maker(layer))) look_at_weights(layer, *weights);
    if (layer.saturated.value_or(0) > kManyBeyond) {
      const bool other = *layer.saturated > kOtherData;
      add(layer,
          fmt::format("{:.0f} % of its elements lie beyond its grid", 100 * *layer.saturated),
          other ? "was it calibrated with samples like these, prepared in the same way?"
                : "--activations minmax, or calibrate with more samples");
    } else if (layer.histogram) {
      look_at_grid(layer);
    }
  }

  std::vector<Finding> findings;

 private:
  void add(const LayerError& layer, std::string cause, std::string advice) {
    findings.push_back({layer.tensor, std::move(cause), std::move(advice)});
  }

  NodeId maker(const LayerError& layer) const {
    for (const NodeId id : graph_.nodes()) {
      const Node& node = graph_.node(id);
      if (!layer.node.empty() && node.name == layer.node) return id;
      for (const ValueId made : node.outputs) {
        if (made != ValueId::none && graph_.value(made).name == layer.tensor) return id;
      }
    }
    return NodeId::none;
  }

  std::optional<WeightCodes> weights_of(NodeId id) const {
    if (id == NodeId::none) return std::nullopt;
    const Node& node = graph_.node(id);
    const OpDef* def = ops_.find(node, graph_.model);
    if (def == nullptr || def->quant.inputs.empty()) return std::nullopt;
    const NodeView view(graph_, id, facts_, graph_.model.opset());
    for (size_t slot = 0; slot < node.inputs.size(); ++slot) {
      const OperandRule& rule = def->quant.inputs[std::min(slot, def->quant.inputs.size() - 1)];
      if (rule.role != OperandRole::weight || rule.channel_axis == nullptr) continue;
      if (auto found = dequantized(node.inputs[slot], rule.channel_axis(view))) return found;
    }
    return std::nullopt;
  }

  std::optional<WeightCodes> dequantized(ValueId value, int axis) const {
    if (value == ValueId::none || graph_.value(value).producer == NodeId::none) return std::nullopt;
    const NodeId id = graph_.value(value).producer;
    const OpDef* def = ops_.find(graph_.node(id), graph_.model);
    if (def == nullptr || def->qdq != QdqRole::dequantize) return std::nullopt;
    const NodeView view(graph_, id, facts_, graph_.model.opset());
    const Constant codes = view.input_constant(0);
    const auto params = constant_params(view);
    const bool by_channel = params && !params->per_tensor() && *params->axis == axis;
    if (codes == nullptr || codes->size() == 0 || axis < 0 || !params || params->block_size > 0 ||
        axis >= static_cast<int>(codes->shape().size()) || !(params->per_tensor() || by_channel)) {
      return std::nullopt;
    }
    return codes_of(*codes, *params, axis);
  }

  void look_at_weights(const LayerError& layer, const WeightCodes& weights) {
    if (weights.one_scale && weights.greatest >= kUnlike * std::max(weights.median, 1)) {
      add(layer,
          fmt::format("half of the {} channels of its weights have codes of at most {} of {}: one "
                      "scale serves channels of very unlike sizes",
                      weights.channels, weights.median, weights.greatest),
          "a scale a channel (no --per-tensor, a target that takes them), or ptq --method cle");
    } else if (weights.greatest <= kFewCodes) {
      add(layer, fmt::format("its weights have codes of at most {}", weights.greatest),
          "ptq --method adaround or qdrop, or qat; or more bits by a rule of the recipe");
    }
  }

  /// The least share of the grid, in bins, that holds the bulk of the elements.
  void look_at_grid(const LayerError& layer) {
    const LayerHistogram& h = *layer.histogram;
    const auto all = std::accumulate(h.counts.begin(), h.counts.end(), uint64_t{0});
    const double bin = (h.high - h.low) / static_cast<double>(h.counts.size());
    const double grid = h.range_high - h.range_low;
    if (all == 0 || !(bin > 0) || !(grid > 0)) return;
    const auto wanted = static_cast<uint64_t>(kBulk * static_cast<double>(all));
    size_t least = h.counts.size();
    uint64_t inside = 0;
    for (size_t end = 0, begin = 0; end < h.counts.size(); ++end) {
      inside += h.counts[end];
      while (inside - h.counts[begin] >= wanted && begin < end) inside -= h.counts[begin++];
      if (inside >= wanted) least = std::min(least, end - begin + 1);
    }
    const double part = static_cast<double>(least) * bin / grid;
    if (part > kNarrowPart) return;
    add(layer,
        fmt::format("{:.0f} % of its elements lie in {:.0f} % of its grid: a few stretch it",
                    100 * kBulk, 100 * part),
        "--activations mse or percentile:99.9, or keep what reads it in float with --exclude");
  }

  const Graph& graph_;
  const OpRegistry& ops_;
  Facts facts_;
};

}  // namespace

std::vector<Finding> diagnose(std::vector<LayerError> layers, const Graph& candidate,
                              const OpRegistry& ops, size_t most) {
  sort_worst_first(layers);
  Diagnosis diagnosis(candidate, ops);
  size_t seen = 0;
  for (const LayerError& layer : layers) {
    const auto sqnr = layer.added_sqnr_db ? layer.added_sqnr_db : layer.sqnr_db;
    if (layer.exact || !sqnr || *sqnr >= kPoorSqnr) continue;
    if (++seen > most) break;
    diagnosis.look_at(layer);
  }
  return std::move(diagnosis.findings);
}

}  // namespace qtool
