// SPDX-License-Identifier: Apache-2.0
#include "quant/algorithms/absorb_bias.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "exec/session_runner.h"
#include "passes/equal_pairs.h"
#include "quant/names.h"

namespace qtool {

namespace {

constexpr double kDeviations = 3;
constexpr double kWorth = 0.01;   ///< of the channel's largest value, to be moved at all
constexpr double kShrunk = 0.95;  ///< of the tensor's largest value: what is left, at most

struct Channel {
  double least = std::numeric_limits<double>::infinity();
  double most = -std::numeric_limits<double>::infinity();
  double sum = 0;
  double squares = 0;
  double count = 0;

  void add(double z) {
    least = std::min(least, z);
    most = std::max(most, z);
    sum += z;
    squares += z * z;
    ++count;
  }
  double high_part(double bound) const {
    if (count == 0 || !(most < bound)) return 0;
    const double mean = sum / count;
    const double deviation = std::sqrt(std::max(0.0, squares / count - mean * mean));
    const double part = std::min(mean - kDeviations * deviation, least);
    return part > kWorth * most ? part : 0;
  }
};

void look_at(const Tensor& z, std::vector<Channel>& channels) {
  const auto values = z.data<float>();
  const size_t run = values.size() / static_cast<size_t>(z.shape()[0]) / channels.size();
  for (size_t i = 0; i < values.size(); ++i)
    channels[i / run % channels.size()].add(static_cast<double>(values[i]));
}

}  // namespace

void find_absorptions(const Graph& graph, const FeedSource& samples,
                      std::vector<Equalization>& equalizations) {
  std::vector<EqualPair> pairs;
  std::vector<std::vector<Channel>> channels;
  Graph tapped = graph;
  for (const EqualPair& pair : equal_pairs(graph)) {
    if (!passes_shifts(graph, pair)) continue;
    pairs.push_back(pair);
    channels.emplace_back(static_cast<size_t>(pair.channels));
    tapped.add_output(pair.result);
  }
  if (pairs.empty()) return;
  const auto runner = open_session(std::make_shared<const Graph>(std::move(tapped)), builtin_ops());
  while (const auto batch = samples()) {
    const TensorMap outputs = runner->run(batch->inputs);
    for (size_t p = 0; p < pairs.size(); ++p)
      look_at(outputs.at(graph.value(pairs[p].result).name), channels[p]);
  }
  const NodeKeys keys(graph);
  for (size_t p = 0; p < pairs.size(); ++p) {
    std::vector<float> absorbed;
    size_t moved = 0;
    double before = 0;
    double after = 0;
    for (const Channel& channel : channels[p]) {
      const auto bound = static_cast<double>(pairs[p].bound);
      const double part = channel.high_part(bound);
      absorbed.push_back(static_cast<float>(part));
      moved += part > 0 ? 1 : 0;
      before = std::max(before, std::min(channel.most, bound));
      after = std::max(after, std::min(channel.most, bound) - part);
    }
    if (moved == 0 || after > kShrunk * before) continue;
    const std::string& first = keys.key(pairs[p].first);
    auto found = std::ranges::find(equalizations, first, &Equalization::first);
    if (found == equalizations.end()) {
      equalizations.push_back(
          {first, keys.key(pairs[p].second), std::vector<float>(absorbed.size(), 1), "", {}});
      found = equalizations.end() - 1;
    }
    found->absorbed = std::move(absorbed);
    found->reason += fmt::format("{}high biases of {} of {} channels absorbed",
                                 found->reason.empty() ? "" : "; ", moved, channels[p].size());
  }
}

}  // namespace qtool
