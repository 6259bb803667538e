// SPDX-License-Identifier: Apache-2.0
#include "quant/algorithms/equalize.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "passes/equal_pairs.h"
#include "quant/names.h"

namespace qtool {

namespace {

constexpr int kSweeps = 6;
constexpr int kSteps = 10;         ///< exponents from 0 to 1
constexpr double kWorth = 0.97;    ///< of the error before, to take a step
constexpr double kUnseen = 1.25;   ///< times the largest value that calibration saw
constexpr double kFarthest = 1e4;  ///< no factor goes beyond

/// What calibration knows of a channel, divided along.
struct Channel {
  double low = 0;
  double high = 0;
  double power = 0;  ///< mean of squares
};

/// As of algorithms/smooth_quant.cpp: the variance of values in [l, h] with the mean m is taken as
/// (h - m)(m - l) / 9, a bell that reaches both ends.
std::vector<Channel> channels_of(const TensorStats& stats) {
  const std::vector<double> means = stats.channel_means();
  std::vector<Channel> channels;
  for (size_t c = 0; c < stats.channel_ranges.size(); ++c) {
    Channel channel{static_cast<double>(stats.channel_ranges[c].low),
                    static_cast<double>(stats.channel_ranges[c].high), 0};
    const double mean = std::clamp(means[c], channel.low, channel.high);
    channel.power = mean * mean + (channel.high - mean) * (mean - channel.low) / 9;
    channels.push_back(channel);
  }
  return channels;
}

double median(std::vector<double> values) {
  std::ranges::nth_element(values, values.begin() + static_cast<int64_t>(values.size() / 2));
  return values[values.size() / 2];
}

class Equalizer {
 public:
  Equalizer(const Graph& graph, const CalibrationTable& table, const EqualizeOptions& options)
      : graph_(graph), work_(graph), options_(options) {
    for (const ValueId id : graph.values()) {
      const auto entry = table.tensors.find(graph.value(id).name);
      if (entry == table.tensors.end() || entry->second.override_range) continue;
      if (entry->second.stats.channel_axis.value_or(0) == 1)
        channels_[id] = channels_of(entry->second.stats);
    }
    for (const EqualPair& pair : equal_pairs(graph)) {
      const auto known = channels_.find(pair.between);
      if (known == channels_.end() || static_cast<int64_t>(known->second.size()) != pair.channels)
        continue;
      factors_.emplace_back(pair.channels, 1.0);
      pairs_.push_back(pair);
    }
  }

  std::vector<Equalization> run() {
    std::vector<double> before(pairs_.size());
    std::vector<double> after(pairs_.size());
    for (int sweep = 0; sweep < kSweeps; ++sweep) {
      bool moved = false;
      for (size_t p = 0; p < pairs_.size(); ++p) {
        const double error = step(p, after[p]);
        if (sweep == 0) before[p] = error;
        moved = moved || after[p] < error;
      }
      if (!moved) break;
    }
    const NodeKeys keys(graph_);
    std::vector<Equalization> result;
    for (size_t p = 0; p < pairs_.size(); ++p) {
      const auto [least, most] = std::ranges::minmax(factors_[p]);
      if (least == 1 && most == 1) continue;
      Equalization found;
      found.first = keys.key(pairs_[p].first);
      found.second = keys.key(pairs_[p].second);
      for (const double factor : factors_[p]) found.scale.push_back(static_cast<float>(factor));
      found.reason = fmt::format(
          "expected error {:.1f} dB instead of {:.1f} dB below the result, factors {:.3g} to "
          "{:.3g}",
          -10 * std::log10(after[p]), -10 * std::log10(before[p]), least, most);
      result.push_back(std::move(found));
    }
    return result;
  }

 private:
  /// Improves one pair; gives the error before, and in `after` what is expected then.
  double step(size_t p, double& after) {
    const EqualPair& pair = pairs_[p];
    const ConvSizes first = conv_sizes(work_, pair.first);
    const ConvSizes second = conv_sizes(work_, pair.second);
    std::vector<double> scale(factors_[p].size(), 1);
    const double before = error(pair, first, second, scale);
    std::vector<double> best;
    double least = before;
    const double middle_one = std::max(median(first.output), 1e-12);
    const double middle_two = std::max(median(second.input), 1e-12);
    for (int i = 1; i <= kSteps; ++i) {
      for (size_t c = 0; c < scale.size(); ++c) {
        // Weights that are next to nothing, folded from tiny variances or none, set no range:
        // the others' middle stands for them. What is always 0 is moved all the way.
        const double ratio = std::max(first.output[c], 0.1 * middle_one) /
                             std::max(second.input[c], 0.1 * middle_two);
        const bool live = channels_.at(pair.between)[c].power > 1e-8;
        scale[c] = std::pow(ratio, live ? 0.5 * i / kSteps : 1.0);
      }
      keep_free(p, scale);
      const double now = error(pair, first, second, scale);
      if (!(now < least)) continue;
      least = now;
      best = scale;
    }
    after = before;
    if (least > kWorth * before) return before;
    std::vector<float> rounded(best.begin(), best.end());
    divide_between(work_, pair, rounded);
    for (size_t c = 0; c < rounded.size(); ++c) {
      const auto factor = static_cast<double>(rounded[c]);
      factors_[p][c] *= factor;
      for (const ValueId id : std::set{pair.result, pair.between}) {
        const auto found = channels_.find(id);
        if (found == channels_.end()) continue;
        Channel& channel = found->second.at(c);
        channel.low /= factor;
        channel.high /= factor;
        channel.power /= factor * factor;
      }
    }
    after = least;
    return before;
  }

  /// Around 1 in the middle, where nothing is bound; bound channels keep 1.
  void keep_free(size_t p, std::vector<double>& scale) const {
    const EqualPair& pair = pairs_[p];
    const bool bounded = !std::isinf(pair.bound);
    double middle = 0;
    for (const double each : scale) middle += std::log(each) / static_cast<double>(scale.size());
    for (size_t c = 0; c < scale.size(); ++c) {
      if (!bounded) scale[c] /= std::exp(middle);
      double low = 1 / kFarthest;
      double high = kFarthest;
      if (bounded) {
        const double share = channels_.at(pair.between)[c].high / static_cast<double>(pair.bound);
        if (share * factors_[p][c] >= 1) low = high = 1;
        low = std::max(low, std::min(1.0, kUnseen * share));
      }
      scale[c] =
          std::clamp(factors_[p][c] * std::clamp(scale[c], low, high), 1 / kFarthest, kFarthest) /
          factors_[p][c];
    }
  }

  double error(const EqualPair& pair, const ConvSizes& first, const ConvSizes& second,
               const std::vector<double>& scale) const {
    const double codes = std::exp2(options_.weight_bits) - 2;
    const std::vector<Channel>& x = channels_.at(pair.between);
    double low = 0;
    double high = 0;
    double one = 0;
    double two = 0;
    for (size_t c = 0; c < scale.size(); ++c) {
      low = std::min(low, x[c].low / scale[c]);
      high = std::max(high, x[c].high / scale[c]);
      one = std::max(one, first.output[c] / scale[c]);
      two = std::max(two, second.input[c] * scale[c]);
    }
    const double dx = (high - low) / (std::exp2(options_.activation_bits) - 1);
    const std::vector<double> input = input_power(pair.first, first);
    double sum = 0;
    double weight = 0;
    std::vector<double> power(second.output.size(), 0);
    const auto width = static_cast<size_t>(second.per_group);
    for (size_t n = 0; n < power.size(); ++n) {
      for (size_t k = 0; k < width; ++k)
        power[n] += second.energy[n * width + k] * x[second.input_of(n, k)].power;
      weight += power[n] / static_cast<double>(power.size());
    }
    for (size_t n = 0; n < power.size(); ++n) {
      double largest = 0;
      for (size_t k = 0; k < width; ++k) {
        const size_t c = second.input_of(n, k);
        largest = std::max(largest, std::sqrt(second.energy[n * width + k]) * scale[c]);
      }
      const double d2 = 2 * (options_.per_tensor ? two : std::min(two, largest)) / codes;
      double mistake = 0;
      for (size_t k = 0; k < width; ++k) {
        const size_t c = second.input_of(n, k);
        const double d1 = 2 * (options_.per_tensor ? one : first.output[c] / scale[c]) / codes;
        const double e1 = d1 * d1 / 12 * input[c / static_cast<size_t>(first.rows_of_group)];
        const double s = scale[c] * scale[c];
        // What is always 0 has no error, and none beyond its own size shows.
        const double wrong = std::min((e1 + dx * dx / 12) * s, x[c].power);
        mistake += wrong * second.energy[n * width + k];
        mistake += d2 * d2 / s / 12 * x[c].power * static_cast<double>(second.positions);
      }
      // Channels that are next to nothing count less.
      sum += mistake / (power[n] + 0.01 * weight + 1e-30);
    }
    return sum / static_cast<double>(power.size());
  }

  /// By group: the sum of E[x²] over what one output reads.
  std::vector<double> input_power(NodeId conv, const ConvSizes& sizes) const {
    const size_t groups = sizes.input.size() / static_cast<size_t>(sizes.per_group);
    std::vector<double> power(groups, 1);
    const auto known = channels_.find(work_.node(conv).inputs.at(0));
    if (known == channels_.end() || known->second.size() != sizes.input.size()) return power;
    for (size_t g = 0; g < groups; ++g) {
      power[g] = 0;
      for (int64_t k = 0; k < sizes.per_group; ++k)
        power[g] +=
            known->second[g * static_cast<size_t>(sizes.per_group) + static_cast<size_t>(k)].power;
      power[g] *= static_cast<double>(sizes.positions);
    }
    return power;
  }

  const Graph& graph_;
  Graph work_;
  const EqualizeOptions& options_;
  std::vector<EqualPair> pairs_;
  std::vector<std::vector<double>> factors_;
  std::map<ValueId, std::vector<Channel>> channels_;
};

}  // namespace

std::vector<Equalization> find_equalizations(const Graph& graph, const CalibrationTable& table,
                                             const EqualizeOptions& options) {
  return Equalizer(graph, table, options).run();
}

namespace {

EqualPair pair_of(const Graph& graph, const Equalization& equalization) {
  const auto fail = [&](const std::string& why) {
    throw input_error("equalization of \"" + equalization.first + "\": " + why,
                      "A plan fits the model that it was made for.");
  };
  const NodeKeys keys(graph);
  const NodeId first = keys.find(equalization.first);
  const NodeId second = keys.find(equalization.second);
  for (const float scale : equalization.scale) {
    if (!(scale > 0) || !std::isnormal(scale) || !std::isnormal(1 / scale))
      fail("a scale that is not finite and positive");
  }
  for (const EqualPair& pair : equal_pairs(graph)) {
    if (pair.first != first || pair.second != second) continue;
    if (pair.channels == static_cast<int64_t>(equalization.scale.size())) return pair;
  }
  fail("\"" + equalization.second + "\" does not follow it with as many channels as scales");
  return {};
}

}  // namespace

void equalize(Graph& graph, const std::vector<Equalization>& equalizations) {
  for (const Equalization& each : equalizations)
    divide_between(graph, pair_of(graph, each), each.scale);
  for (const Equalization& each : equalizations) {
    if (each.absorbed.empty()) continue;
    const EqualPair pair = pair_of(graph, each);
    const bool fits =
        each.absorbed.size() == each.scale.size() && passes_shifts(graph, pair) &&
        std::ranges::all_of(each.absorbed, [](float c) { return c >= 0 && c < 1e30F; });
    if (!fits) {
      throw input_error("equalization of \"" + each.first + "\": what is absorbed does not fit",
                        "It takes a number from 0 on for each channel, and a second layer that "
                        "pads nothing.");
    }
    shift_between(graph, pair, each.absorbed);
  }
}

void equalize(CalibrationTable& table, const Graph& graph,
              const std::vector<Equalization>& equalizations) {
  for (const Equalization& each : equalizations) {
    const EqualPair pair = pair_of(graph, each);
    for (const ValueId id : std::set{pair.result, pair.between}) {
      const auto entry = table.tensors.find(graph.value(id).name);
      if (entry == table.tensors.end()) continue;
      const TensorStats& stats = entry->second.stats;
      if (stats.channel_axis.value_or(1) != 1 || stats.channel_ranges.size() != each.scale.size()) {
        table.tensors.erase(entry);
        continue;
      }
      Range range;
      for (size_t c = 0; c < each.scale.size(); ++c) {
        range.low = std::min(range.low, stats.channel_ranges[c].low / each.scale[c]);
        range.high = std::max(range.high, stats.channel_ranges[c].high / each.scale[c]);
      }
      entry->second = {{}, range};
    }
  }
}

}  // namespace qtool
