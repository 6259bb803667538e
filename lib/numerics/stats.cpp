// SPDX-License-Identifier: Apache-2.0
#include "numerics/stats.h"

#include <algorithm>

#include "support/checked.h"

namespace qtool {

namespace {

void widen(Range& range, const Range& other) {
  range.low = std::min(range.low, other.low);
  range.high = std::max(range.high, other.high);
}

void add(uint64_t& count, uint64_t more) {
  const auto sum = checked_add(count, more);
  if (!sum) throw input_error("statistics of more than 2^64 elements");
  count = *sum;
}

}  // namespace

void TensorStats::merge(const TensorStats& other) {
  if (other.untouched()) return;
  if (untouched()) {
    *this = other;
    return;
  }
  const bool one_has_none = channel_ranges.empty() || other.channel_ranges.empty();
  if (channel_axis != other.channel_axis ||
      (!one_has_none && channel_ranges.size() != other.channel_ranges.size())) {
    throw input_error("statistics of " + std::to_string(channel_ranges.size()) +
                          " channels and of " + std::to_string(other.channel_ranges.size()) +
                          " channels cannot be merged",
                      "Collect both with the same options.");
  }
  if (!other.empty()) {
    if (empty()) {
      range = other.range;
    } else {
      widen(range, other.range);
    }
  }
  add(samples, other.samples);
  add(elements, other.elements);
  add(zeros, other.zeros);
  add(nans, other.nans);
  add(infinities, other.infinities);
  sample_lows.merge(other.sample_lows);
  sample_highs.merge(other.sample_highs);
  histogram.merge(other.histogram);
  channel_ranges.resize(std::max(channel_ranges.size(), other.channel_ranges.size()));
  for (size_t c = 0; c < other.channel_ranges.size(); ++c) {
    widen(channel_ranges[c], other.channel_ranges[c]);
  }
  channel_sums.resize(std::max(channel_sums.size(), other.channel_sums.size()));
  for (size_t c = 0; c < other.channel_sums.size(); ++c)
    channel_sums[c].merge(other.channel_sums[c]);
}

std::vector<double> TensorStats::channel_means() const {
  const double all =
      static_cast<double>(elements) + static_cast<double>(nans) + static_cast<double>(infinities);
  const double each = all / static_cast<double>(channel_sums.size());
  std::vector<double> means;
  for (const ExactSum& sum : channel_sums) means.push_back(each > 0 ? sum.value() / each : 0);
  return means;
}

}  // namespace qtool
