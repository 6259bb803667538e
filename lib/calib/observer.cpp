// SPDX-License-Identifier: Apache-2.0
#include "calib/observer.h"

#include <algorithm>
#include <cmath>

#include "numerics/scan.h"
#include "support/checked.h"

namespace qtool {

namespace {

constexpr int64_t kBlock = 16384;  // 64 KiB: stays in the second-level cache between the passes

void widen(std::optional<Range>& range, const Range& other) {
  if (!range) {
    range = other;
    return;
  }
  range->low = std::min(range->low, other.low);
  range->high = std::max(range->high, other.high);
}

}  // namespace

Observer::Observer(std::optional<int> channel_axis) { stats_.channel_axis = channel_axis; }

void Observer::observe_sample(const float* data, int64_t outer, int64_t channels, int64_t inner) {
  QTOOL_CHECK(outer >= 0 && channels >= 0 && inner >= 0, "a negative extent");
  if (stats_.channel_axis && channels > 0) {
    if (stats_.channel_ranges.empty()) {
      stats_.channel_ranges.resize(narrow<size_t>(channels));
      stats_.channel_sums.resize(narrow<size_t>(channels));
    }
    if (stats_.channel_ranges.size() != narrow<size_t>(channels)) {
      throw input_error("a sample has " + std::to_string(channels) +
                            " channels, those before it had " +
                            std::to_string(stats_.channel_ranges.size()),
                        "Collect this tensor's range without its channels.");
    }
  }
  sums_.assign(stats_.channel_sums.size(), 0.0);
  const uint64_t sample = seen_++;
  const uint64_t others = stats_.nans + stats_.infinities;
  const int64_t elements = outer * channels * inner;
  // Blocks of whole rows, where the channels lie innermost.
  const int64_t length =
      inner == 1 && channels > 0 ? std::max<int64_t>(1, kBlock / channels) * channels : kBlock;
  std::optional<Range> range;
  for (int64_t begin = 0; begin < elements; begin += length) {
    const auto count = static_cast<size_t>(std::min(length, elements - begin));
    const auto found = observe_block({data + begin, count}, begin, {channels, inner});
    if (found) widen(range, *found);
  }
  if (stats_.nans + stats_.infinities > others && !first_non_finite_) first_non_finite_ = sample;
  if (!range) return;
  std::optional<Range> whole;
  if (stats_.samples > 0) whole = stats_.range;
  widen(whole, *range);
  stats_.range = *whole;
  ++stats_.samples;
  stats_.sample_lows.add(static_cast<double>(range->low));
  stats_.sample_highs.add(static_cast<double>(range->high));
  for (size_t c = 0; c < sums_.size(); ++c) stats_.channel_sums[c].add(sums_[c]);
}

/// Returns the range of the block's finite elements, if it has any.
std::optional<Range> Observer::observe_block(std::span<const float> block, int64_t begin,
                                             const Place& place) {
  const Scan seen = scan(block);
  stats_.zeros += seen.zeros;
  if (seen.finite) {
    if (stats_.channel_axis) observe_channels(block, begin, place);
    stats_.elements += block.size();
    stats_.histogram.observe(block, seen.range, seen.zeros);
    return seen.range;
  }
  // Zeros in the place of what is not finite widen no channel.
  finite_.assign(block.begin(), block.end());
  for (float& value : finite_) {
    stats_.nans += std::isnan(value) ? 1U : 0U;
    stats_.infinities += std::isinf(value) ? 1U : 0U;
    if (!std::isfinite(value)) value = 0;
  }
  if (stats_.channel_axis) observe_channels(finite_, begin, place);
  finite_.clear();
  std::copy_if(block.begin(), block.end(), std::back_inserter(finite_),
               [](float value) { return std::isfinite(value); });
  if (finite_.empty()) return std::nullopt;
  const Scan rest = scan(finite_);
  stats_.elements += finite_.size();
  stats_.histogram.observe(finite_, rest.range, rest.zeros);
  return rest.range;
}

void Observer::observe_channels(std::span<const float> block, int64_t begin, const Place& place) {
  const std::span<Range> ranges = stats_.channel_ranges;
  if (place.inner == 1) {
    scan_channels(ranges, sums_, block);
    return;
  }
  size_t done = 0;
  while (done < block.size()) {
    const int64_t element = begin + static_cast<int64_t>(done);
    const auto channel = static_cast<size_t>(element / place.inner % place.channels);
    const auto left = static_cast<size_t>(place.inner - element % place.inner);
    const auto run = block.subspan(done, std::min(left, block.size() - done));
    const Range range = scan(run).range;
    ranges[channel].low = std::min(ranges[channel].low, range.low);
    ranges[channel].high = std::max(ranges[channel].high, range.high);
    // One after the other, as with the channels innermost: both layouts give the same sum.
    for (const float value : run) sums_[channel] += static_cast<double>(value);
    done += run.size();
  }
}

void Observer::merge(const Observer& other) {
  stats_.merge(other.stats_);
  if (!first_non_finite_ && other.first_non_finite_)
    first_non_finite_ = seen_ + *other.first_non_finite_;
  seen_ += other.seen_;
}

}  // namespace qtool
