// SPDX-License-Identifier: Apache-2.0
#include "numerics/scan.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstring>
#include <utility>

#include "support/simd.h"

namespace qtool {

namespace {

constexpr size_t kLanes = 16;
constexpr uint32_t kMagnitude = 0x7FFFFFFFU;
constexpr int32_t kInfinity = 0x7F800000;

using Floats __attribute__((vector_size(kLanes / 2 * sizeof(float)))) = float;
using Doubles __attribute__((vector_size(kLanes / 2 * sizeof(double)))) = double;

struct Totals {
  float low;
  float high;
  uint32_t zeros = 0;
  bool finite = true;
};

/// Looks at count values, a multiple of kLanes. Every lane keeps its own extremes, as the
/// compiler may not reorder a float minimum by itself.
QTOOL_SIMD void include(Totals& totals, const float* values, size_t count) {
  std::array<float, kLanes> low;
  std::array<float, kLanes> high;
  std::array<uint32_t, kLanes> zeros{};
  std::array<int32_t, kLanes> largest{};
  low.fill(totals.low);
  high.fill(totals.high);
  for (size_t i = 0; i < count; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      const float value = values[i + lane];
      const auto magnitude = static_cast<int32_t>(std::bit_cast<uint32_t>(value) & kMagnitude);
      low[lane] = value < low[lane] ? value : low[lane];
      high[lane] = value > high[lane] ? value : high[lane];
      zeros[lane] += magnitude == 0 ? 1U : 0U;
      largest[lane] = magnitude > largest[lane] ? magnitude : largest[lane];
    }
  }
  for (size_t lane = 0; lane < kLanes; ++lane) {
    totals.low = std::min(totals.low, low[lane]);
    totals.high = std::max(totals.high, high[lane]);
    totals.zeros += zeros[lane];
    totals.finite &= largest[lane] < kInfinity;
  }
}

/// The last `fresh` of kLanes neighbouring channels, whose totals stay in registers from row to
/// row.
QTOOL_SIMD void include_channels(Range* ranges, double* sums, const float* values, size_t rows,
                                 size_t stride, size_t fresh) {
  constexpr size_t kHalf = kLanes / 2;
  Floats low[2];
  Floats high[2];
  Doubles sum[2];
  for (size_t lane = 0; lane < kLanes; ++lane) {
    low[lane / kHalf][lane % kHalf] = ranges[lane].low;
    high[lane / kHalf][lane % kHalf] = ranges[lane].high;
    sum[lane / kHalf][lane % kHalf] = sums[lane];
  }
  for (size_t row = 0; row < rows; ++row) {
    for (size_t half = 0; half < 2; ++half) {
      Floats value;
      std::memcpy(&value, values + row * stride + half * kHalf, sizeof value);
      low[half] = value < low[half] ? value : low[half];
      high[half] = value > high[half] ? value : high[half];
      sum[half] += __builtin_convertvector(value, Doubles);
    }
  }
  for (size_t lane = kLanes - fresh; lane < kLanes; ++lane) {
    ranges[lane] = {low[lane / kHalf][lane % kHalf], high[lane / kHalf][lane % kHalf]};
    sums[lane] = sum[lane / kHalf][lane % kHalf];
  }
}

}  // namespace

Scan scan(std::span<const float> values) {
  QTOOL_CHECK(!values.empty(), "nothing to scan");
  Scan result;
  Totals totals{values[0], values[0]};
  // Chunks keep the 32-bit counts of zeros from overflowing.
  constexpr size_t kChunk = size_t{1} << 28;
  while (!values.empty()) {
    const auto chunk = values.first(std::min(kChunk, values.size()));
    const size_t whole = chunk.size() / kLanes * kLanes;
    include(totals, chunk.data(), whole);
    if (whole < chunk.size()) {
      std::array<float, kLanes> rest;
      rest.fill(chunk.back());
      std::copy(chunk.begin() + static_cast<std::ptrdiff_t>(whole), chunk.end(), rest.begin());
      include(totals, rest.data(), kLanes);
      if (chunk.back() == 0) totals.zeros -= static_cast<uint32_t>(kLanes - (chunk.size() - whole));
    }
    result.zeros += std::exchange(totals.zeros, 0);
    values = values.subspan(chunk.size());
  }
  result.finite = totals.finite;
  result.range = {totals.low + 0.0F, totals.high + 0.0F};
  return result;
}

void scan_channels(std::span<Range> ranges, std::span<double> sums, std::span<const float> values) {
  const size_t channels = ranges.size();
  QTOOL_CHECK(channels > 0 && values.size() % channels == 0, "whole rows of channels");
  QTOOL_CHECK(sums.size() == channels, "a sum for each channel");
  const size_t rows = values.size() / channels;
  if (channels < kLanes) {
    for (size_t i = 0; i < values.size(); ++i) {
      Range& range = ranges[i % channels];
      range.low = values[i] < range.low ? values[i] : range.low;
      range.high = values[i] > range.high ? values[i] : range.high;
      sums[i % channels] += static_cast<double>(values[i]);
    }
    return;
  }
  // Of the last lanes some were included already where the channels are no multiple of them.
  for (size_t done = 0; done < channels; done += kLanes) {
    const size_t first = std::min(done, channels - kLanes);
    include_channels(ranges.data() + first, sums.data() + first, values.data() + first, rows,
                     channels, kLanes - (done - first));
  }
}

}  // namespace qtool
