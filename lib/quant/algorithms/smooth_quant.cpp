// SPDX-License-Identifier: Apache-2.0
#include "quant/algorithms/smooth_quant.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "passes/divide_channels.h"
#include "quant/names.h"
#include "quant/planner.h"
#include "quant/selection.h"

namespace qtool {

namespace {

constexpr int kAlphas = 20;              ///< steps from 0 to 1
constexpr double kWorthAbsorbing = 0.8;  ///< of the error without
constexpr double kWorthAMul = 0.25;
constexpr double kSmallError = 1e-6;  ///< relative to the result's power

/// What calibration knows of one channel.
struct Channel {
  double low = 0;
  double high = 0;
  double power = 0;  ///< mean of squares
  double largest() const { return std::max(-low, high); }
};

/// The mean is known, the variance is not: with the mean m of values in [l, h] it is at most
/// (h - m)(m - l), and a ninth of that for a bell that reaches both ends.
std::vector<Channel> channels_of(const TensorStats& stats) {
  const std::vector<double> means = stats.channel_means();
  std::vector<Channel> channels;
  for (size_t c = 0; c < stats.channel_ranges.size(); ++c) {
    Channel channel;
    channel.low = static_cast<double>(stats.channel_ranges[c].low);
    channel.high = static_cast<double>(stats.channel_ranges[c].high);
    const double mean = std::clamp(means[c], channel.low, channel.high);
    channel.power = mean * mean + (channel.high - mean) * (mean - channel.low) / 9;
    channels.push_back(channel);
  }
  return channels;
}

/// Weights as [channels, results], and their squared norms.
struct Consumer {
  NodeId node = NodeId::none;
  std::vector<double> weights;
  size_t results = 0;
  double at(size_t channel, size_t result) const { return weights[channel * results + result]; }
};

std::optional<Consumer> consumer(const Graph& graph, NodeId id, size_t channels) {
  const auto found = product_weights(graph, id);
  if (!found || static_cast<size_t>(found->channels) != channels) return std::nullopt;
  const std::vector<double> values = to_doubles(*graph.constant(graph.node(id).inputs[1]));
  Consumer result{id, std::vector<double>(values.size()), values.size() / channels};
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t channel = found->channels_last ? i % channels : i / result.results;
    const size_t n = found->channels_last ? i / channels : i % result.results;
    result.weights[channel * result.results + n] = values[i];
  }
  return result;
}

/// Squared error over power of one product's results.
double relative_error(const std::vector<Channel>& channels, const Consumer& product,
                      const std::vector<double>& scale, double steps_x, double steps_w) {
  double low = 0;
  double high = 0;
  for (size_t j = 0; j < channels.size(); ++j) {
    low = std::min(low, channels[j].low / scale[j]);
    high = std::max(high, channels[j].high / scale[j]);
  }
  const double step_x = (high - low) / steps_x;
  double error = 0;
  double power = 0;
  for (size_t n = 0; n < product.results; ++n) {
    double largest = 0;
    double from_x = 0;
    double from_w = 0;
    for (size_t j = 0; j < channels.size(); ++j) {
      const double w = product.at(j, n) * scale[j];
      largest = std::max(largest, std::abs(w));
      from_x += w * w;
      from_w += channels[j].power / (scale[j] * scale[j]);
      power += channels[j].power * product.at(j, n) * product.at(j, n);
    }
    const double step_w = 2 * largest / steps_w;
    error += (from_x * step_x * step_x + from_w * step_w * step_w) / 12;
  }
  return power > 0 ? error / power : 0;
}

struct Candidate {
  ValueId value = ValueId::none;
  std::vector<Channel> channels;
  std::vector<Consumer> consumers;
};

/// Scales around 1; 1 for channels that are always 0 or always multiplied by 0.
std::vector<double> scale_for(const Candidate& candidate, double alpha) {
  std::vector<double> logs(candidate.channels.size(), 0);
  double sum = 0;
  size_t count = 0;
  std::vector<bool> dead(logs.size(), true);
  for (size_t j = 0; j < logs.size(); ++j) {
    double weight = 0;
    for (const Consumer& consumer : candidate.consumers) {
      for (size_t n = 0; n < consumer.results; ++n)
        weight = std::max(weight, std::abs(consumer.at(j, n)));
    }
    const double largest = candidate.channels[j].largest();
    // Beyond these ratios a product of float32 scales could leave its range.
    if (!(largest > 1e-12) || !(weight > 1e-12) || largest > 1e12 || weight > 1e12) continue;
    dead[j] = false;
    logs[j] = alpha * std::log(largest) - (1 - alpha) * std::log(weight);
    sum += logs[j];
    ++count;
  }
  std::vector<double> scale(logs.size(), 1);
  for (size_t j = 0; j < logs.size(); ++j) {
    if (!dead[j]) {
      scale[j] = static_cast<double>(
          static_cast<float>(std::exp(logs[j] - sum / static_cast<double>(count))));
    }
  }
  return scale;
}

struct Steps {
  double x;
  double w;
};

double worst_error(const Candidate& candidate, const std::vector<double>& scale, Steps steps) {
  double worst = 0;
  for (const Consumer& product : candidate.consumers) {
    worst = std::max(worst, relative_error(candidate.channels, product, scale, steps.x, steps.w));
  }
  return worst;
}

/// Whether what makes the value can divide it, and no other value that the table knows changes.
bool absorbs(const Graph& graph, const CalibrationTable& table, ValueId value,
             const std::vector<NodeId>& readers) {
  const std::vector<ValueId> divided = divided_at_source(graph, value, readers);
  return !divided.empty() && std::ranges::none_of(divided, [&](ValueId id) {
    return id != value && table.tensors.contains(graph.value(id).name);
  });
}

std::optional<Smoothing> best(const Graph& graph, const CalibrationTable& table,
                              const NodeKeys& keys, const Candidate& candidate, Steps steps) {
  const double before =
      worst_error(candidate, std::vector<double>(candidate.channels.size(), 1), steps);
  if (before < kSmallError) return std::nullopt;
  Smoothing result;
  double least = before;
  int alpha = 0;
  for (int i = 0; i <= kAlphas; ++i) {
    const std::vector<double> scale = scale_for(candidate, static_cast<double>(i) / kAlphas);
    const double error = worst_error(candidate, scale, steps);
    if (!(error < least)) continue;
    least = error;
    alpha = i;
    result.scale.assign(scale.begin(), scale.end());
  }
  if (least > kWorthAbsorbing * before) return std::nullopt;
  result.tensor = graph.value(candidate.value).name;
  std::vector<NodeId> nodes;
  for (const Consumer& consumer : candidate.consumers) {
    nodes.push_back(consumer.node);
    result.nodes.push_back(keys.key(consumer.node));
  }
  result.absorbed = absorbs(graph, table, candidate.value, nodes);
  if (!result.absorbed && least > kWorthAMul * before) return std::nullopt;
  result.reason = fmt::format(
      "expected error {:.1f} dB instead of {:.1f} dB below the result, with alpha {:.2f}, {}",
      -10 * std::log10(least), -10 * std::log10(before), static_cast<double>(alpha) / kAlphas,
      result.absorbed ? "in what makes the tensor" : "by a Mul");
  return result;
}

/// The scaled tensor, in the edited graph.
std::string smoothed_name(const Graph& graph, const Smoothing& smoothing) {
  const NodeId reader = NodeKeys(graph).find(smoothing.nodes.at(0));
  return graph.value(graph.node(reader).inputs.at(0)).name;
}

}  // namespace

std::vector<Smoothing> find_smoothings(const Graph& graph, const OpRegistry& ops,
                                       const CalibrationTable& table, const Target& target,
                                       const Recipe& recipe) {
  const Facts facts = infer_facts(graph, ops);
  const PlanContext context{graph, ops, facts, target, recipe};
  const Selection selection = select_nodes(
      context, [&](ValueId id) { return table.tensors.contains(graph.value(id).name); });
  const NodeKeys keys(graph);
  std::vector<Smoothing> found;
  for (const ValueId id : graph.values()) {
    const auto entry = table.tensors.find(graph.value(id).name);
    if (entry == table.tensors.end() || entry->second.override_range) continue;
    const TensorStats& stats = entry->second.stats;
    const auto& shape = facts[id].type.shape;
    if (!stats.channel_axis || stats.channel_ranges.size() < 2 || !shape ||
        *stats.channel_axis + 1 != static_cast<int>(shape->size())) {
      continue;
    }
    Candidate candidate{id, channels_of(stats), {}};
    for (const Use& use : graph.value(id).uses) {
      if (use.slot != 0 || !selection.computes[static_cast<size_t>(use.node)]) continue;
      if (auto product = consumer(graph, use.node, candidate.channels.size()))
        candidate.consumers.push_back(std::move(*product));
    }
    if (candidate.consumers.empty()) continue;
    const Steps steps{std::exp2(recipe.activation_bits.value_or(8)) - 1,
                      std::exp2(recipe.weight_bits.value_or(8)) - 2};
    if (auto smoothing = best(graph, table, keys, candidate, steps))
      found.push_back(std::move(*smoothing));
  }
  return found;
}

void smooth(Graph& graph, const std::vector<Smoothing>& smoothings) {
  for (const Smoothing& smoothing : smoothings) {
    const auto fail = [&](const std::string& why) {
      throw input_error("smoothing of \"" + smoothing.tensor + "\": " + why,
                        "A plan fits the model that it was made for.");
    };
    const auto value = graph.find_value(smoothing.tensor);
    if (!value) fail("the model has no such tensor");
    for (const float scale : smoothing.scale) {
      if (!(scale > 0) || !std::isnormal(scale) || !std::isnormal(1 / scale))
        fail("a scale that is not finite and positive");
    }
    const NodeKeys keys(graph);
    std::vector<NodeId> readers;
    for (const std::string& key : smoothing.nodes) {
      const NodeId id = keys.find(key);
      const auto weights = product_weights(graph, id);
      if (!weights || graph.node(id).inputs[0] != *value ||
          weights->channels != static_cast<int64_t>(smoothing.scale.size())) {
        fail("\"" + key + "\" is no product of it with as many channels as there are scales");
      }
      readers.push_back(id);
    }
    if (readers.empty()) fail("no node reads it");
    if (smoothing.absorbed && divided_at_source(graph, *value, readers).empty())
      fail("what makes it cannot take the scales in");
    divide_channels(graph, *value, readers, smoothing.scale, smoothing.absorbed);
  }
  graph.erase_dead();
}

QuantPlan smooth_and_plan(Graph& graph, const OpRegistry& ops, CalibrationTable table,
                          const Target& target, const Recipe& recipe) {
  if (!recipe.smooth_quant) return plan_quantization(graph, ops, table, target, recipe);
  std::vector<Smoothing> smoothings = find_smoothings(graph, ops, table, target, recipe);
  smooth(graph, smoothings);
  smooth(table, graph, smoothings);
  QuantPlan plan = plan_quantization(graph, ops, table, target, recipe);
  std::set<std::string> scaled;
  for (const Smoothing& smoothing : smoothings) scaled.insert(smoothed_name(graph, smoothing));
  for (Placement& placement : plan.placements) {
    if (placement.kind == Placement::Kind::activation &&
        scaled.contains(graph.value(placement.value).name)) {
      placement.reason = "its channels' ranges, smoothed";
    }
  }
  plan.smoothed = std::move(smoothings);
  return plan;
}

void smooth(CalibrationTable& table, const Graph& graph, const std::vector<Smoothing>& smoothings) {
  for (const Smoothing& smoothing : smoothings) {
    const auto entry = table.tensors.find(smoothing.tensor);
    if (entry == table.tensors.end()) continue;
    const TensorStats& before = entry->second.stats;
    Range range;
    for (size_t c = 0; c < before.channel_ranges.size() && c < smoothing.scale.size(); ++c) {
      range.low = std::min(range.low, before.channel_ranges[c].low / smoothing.scale[c]);
      range.high = std::max(range.high, before.channel_ranges[c].high / smoothing.scale[c]);
    }
    table.tensors[smoothed_name(graph, smoothing)] = {{}, range};
  }
}

}  // namespace qtool
