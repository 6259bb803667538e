// SPDX-License-Identifier: Apache-2.0
#include "report/weight_facts.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "report/escape.h"
#include "support/file.h"

namespace qtool {

namespace {

constexpr QuantType kInt8{8, true, true};

constexpr int64_t kSlice = 1 << 18;  ///< elements of a copy

/// The elements as float32, where they lie if that is what they are.
Tensor floats_of(const Tensor& tensor) {
  if (tensor.dtype() != DType::float32) return cast(tensor, DType::float32);
  return Tensor::in_place(DType::float32, tensor.shape(), {tensor.raw(), tensor.bytes()}, nullptr);
}

/// Slices along the first dimension, or along the one that a tensor with one scale can be seen as.
struct Slices {
  Slices(const Tensor& values, std::optional<int> axis)
      : shape(axis ? values.shape() : Shape{values.size()}), inner(values.size() / shape[0]),
        rows(std::max<int64_t>(1, kSlice / inner)) {}

  Shape shape;
  int64_t inner;  ///< elements of a row
  int64_t rows;   ///< of a slice, but for the last
};

/// 10 log10(signal / noise) of fake quantization with the largest magnitudes as bounds.
std::optional<double> sqnr_with(const Tensor& values, const std::vector<Range>& ranges,
                                std::optional<int> axis) {
  const Slices slices(values, axis);
  double signal = 0;
  double noise = 0;
  for (int64_t first = 0; first < slices.shape[0]; first += slices.rows) {
    Shape shape = slices.shape;
    shape[0] = std::min(slices.rows, slices.shape[0] - first);
    const auto count = static_cast<size_t>(element_count(shape));
    const auto x = values.data<float>().subspan(static_cast<size_t>(first * slices.inner), count);
    std::span<const Range> bounds = ranges;
    if (axis == 0) {
      bounds = bounds.subspan(static_cast<size_t>(first), static_cast<size_t>(shape[0]));
    }
    const Tensor part = Tensor::in_place(DType::float32, shape, std::as_bytes(x), nullptr);
    const Tensor rounded =
        fake_quantize(part, choose_params(bounds, kInt8, Scheme::symmetric, axis));
    const auto y = rounded.data<float>();
    for (size_t i = 0; i < count; ++i) {
      const double error = double{y[i]} - double{x[i]};
      signal += double{x[i]} * double{x[i]};
      noise += error * error;
    }
  }
  if (noise == 0 || !std::isfinite(signal / noise)) return std::nullopt;
  return 10 * std::log10(signal / noise);
}

ChannelSpread spread_of(const Tensor& values, int axis) {
  const Shape& shape = values.shape();
  const auto extent = static_cast<size_t>(shape[static_cast<size_t>(axis)]);
  const auto inner = static_cast<size_t>(element_count({shape.begin() + axis + 1, shape.end()}));
  std::vector<Range> ranges(extent);
  const auto x = values.data<float>();
  for (size_t i = 0; i < x.size(); ++i) {
    Range& range = ranges[i / inner % extent];
    range = {std::min(range.low, x[i]), std::max(range.high, x[i])};
  }
  std::vector<double> largest;
  for (const Range& range : ranges)
    largest.push_back(std::max(std::abs(double{range.low}), std::abs(double{range.high})));
  std::sort(largest.begin(), largest.end());
  const size_t half = extent / 2;
  return {axis,
          static_cast<int64_t>(extent),
          largest.front(),
          extent % 2 == 1 ? largest[half] : (largest[half - 1] + largest[half]) / 2,
          largest.back(),
          sqnr_with(values, ranges, axis)};
}

void count(const Tensor& values, WeightFacts& facts) {
  double sum = 0;
  uint64_t finite = 0;
  facts.low = INFINITY;
  facts.high = -INFINITY;
  for (const float x : values.data<float>()) {
    facts.zeros += x == 0;
    if (!std::isfinite(x)) continue;
    ++finite;
    sum += double{x};
    facts.low = std::min(facts.low, double{x});
    facts.high = std::max(facts.high, double{x});
  }
  facts.nonfinite = facts.elements - finite;
  if (finite == 0) {
    facts.low = facts.high = 0;
    return;
  }
  facts.mean = sum / static_cast<double>(finite);
  double squares = 0;
  for (const float x : values.data<float>()) {
    if (std::isfinite(x)) squares += (double{x} - facts.mean) * (double{x} - facts.mean);
  }
  facts.deviation = std::sqrt(squares / static_cast<double>(finite));
  for (const float x : values.data<float>()) {
    facts.outliers +=
        std::isfinite(x) && std::abs(double{x} - facts.mean) > kOutlierDeviations * facts.deviation;
  }
}

/// The axis of output channels where the operand is a weight that can have a scale for each.
std::optional<int> channel_axis(const OpDef* def, const NodeView& node, size_t slot, int rank) {
  if (def == nullptr || def->quant.behaviour != Behaviour::compute || def->quant.inputs.empty())
    return std::nullopt;
  const OperandRule& rule = def->quant.inputs[std::min(slot, def->quant.inputs.size() - 1)];
  if (rule.role != OperandRole::weight || rule.channel_axis == nullptr) return std::nullopt;
  const int axis = rule.channel_axis(node);
  return axis >= 0 && axis < rank ? std::optional(axis) : std::nullopt;
}

WeightFacts facts_of(const std::string& name, const Tensor& tensor,
                     const std::optional<int>& axis) {
  WeightFacts facts;
  facts.tensor = name;
  facts.type = std::string(qtool::name(tensor.dtype())) + to_string(tensor.shape());
  facts.elements = static_cast<uint64_t>(tensor.size());
  const Tensor values = floats_of(tensor);
  count(values, facts);
  if (facts.nonfinite > 0) return facts;
  facts.sqnr_db = sqnr_with(
      values, {{static_cast<float>(facts.low), static_cast<float>(facts.high)}}, std::nullopt);
  if (axis) facts.channels = spread_of(values, *axis);
  return facts;
}

}  // namespace

std::optional<double> ChannelSpread::ratio() const {
  return median > 0 ? std::optional(greatest / median) : std::nullopt;
}

std::vector<WeightFacts> weight_facts(const Graph& graph, const OpRegistry& ops) {
  std::vector<WeightFacts> result;
  std::set<ValueId> seen;
  const Facts facts = infer_facts(graph, ops, {{}, 0});
  for (const NodeId id : graph.topological_order()) {
    const Node& node = graph.node(id);
    const OpDef* def = ops.find(node, graph.model);
    const NodeView view(graph, id, facts, graph.model.opset(node.op.domain));
    for (size_t slot = 0; slot < node.inputs.size(); ++slot) {
      const ValueId value = node.inputs[slot];
      const Constant tensor = value == ValueId::none ? nullptr : facts[value].constant;
      if (tensor == nullptr || tensor->size() < 2 || !is_floating(tensor->dtype()) ||
          bits(tensor->dtype()) < 16 || !seen.insert(value).second) {
        continue;
      }
      result.push_back(facts_of(graph.value(value).name, *tensor,
                                channel_axis(def, view, slot, tensor->rank())));
      result.back().node = node.name.empty() ? graph.describe(id) : node.name;
      result.back().op = to_string(node.op);
      release_pages({tensor->raw(), tensor->bytes()});
    }
  }
  return result;
}

Json to_json(const WeightFacts& facts) {
  Json json{{"tensor", valid_utf8(facts.tensor)},
            {"node", valid_utf8(facts.node)},
            {"op", valid_utf8(facts.op)},
            {"type", facts.type},
            {"elements", facts.elements},
            {"zeros", facts.zeros},
            {"low", facts.low},
            {"high", facts.high},
            {"mean", facts.mean},
            {"deviation", facts.deviation},
            {"outliers", facts.outliers}};
  if (facts.nonfinite > 0) json["nonfinite"] = facts.nonfinite;
  if (facts.sqnr_db) json["int8_sqnr_db"] = *facts.sqnr_db;
  if (facts.channels) {
    const ChannelSpread& channels = *facts.channels;
    Json& entry = json["channels"];
    entry = {{"axis", channels.axis},
             {"count", channels.channels},
             {"least", channels.least},
             {"median", channels.median},
             {"greatest", channels.greatest}};
    if (const auto ratio = channels.ratio()) entry["greatest_to_median"] = *ratio;
    if (channels.sqnr_db) entry["int8_sqnr_db"] = *channels.sqnr_db;
  }
  return json;
}

}  // namespace qtool
