// SPDX-License-Identifier: Apache-2.0
#include "numerics/stats.h"

#include <algorithm>

namespace qtool {

namespace {

void widen(Range& range, const Range& other) {
  range.low = std::min(range.low, other.low);
  range.high = std::max(range.high, other.high);
}

}  // namespace

void TensorStats::merge(const TensorStats& other) {
  if (other.untouched()) return;
  if (untouched()) {
    *this = other;
    return;
  }
  if (channel_axis != other.channel_axis || channel_ranges.size() != other.channel_ranges.size()) {
    throw input_error("statistics of " + std::to_string(channel_ranges.size()) + " channels and of " +
                          std::to_string(other.channel_ranges.size()) + " channels cannot be merged",
                      "Collect both with the same options.");
  }
  if (!other.empty()) {
    if (empty()) {
      range = other.range;
    } else {
      widen(range, other.range);
    }
  }
  samples += other.samples;
  elements += other.elements;
  zeros += other.zeros;
  nans += other.nans;
  infinities += other.infinities;
  sample_lows.merge(other.sample_lows);
  sample_highs.merge(other.sample_highs);
  histogram.merge(other.histogram);
  for (size_t c = 0; c < channel_ranges.size(); ++c) widen(channel_ranges[c], other.channel_ranges[c]);
}

}  // namespace qtool
