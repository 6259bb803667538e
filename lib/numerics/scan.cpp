// SPDX-License-Identifier: Apache-2.0
#include "numerics/scan.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <utility>

#include "support/simd.h"

namespace qtool {

namespace {

constexpr size_t kLanes = 16;
constexpr uint32_t kMagnitude = 0x7FFFFFFFU;
constexpr int32_t kInfinity = 0x7F800000;

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

QTOOL_SIMD void widen(Range* ranges, const float* values, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    ranges[i].low = values[i] < ranges[i].low ? values[i] : ranges[i].low;
    ranges[i].high = values[i] > ranges[i].high ? values[i] : ranges[i].high;
  }
}

QTOOL_SIMD void add(double* sums, const float* values, size_t count) {
  for (size_t i = 0; i < count; ++i) sums[i] += static_cast<double>(values[i]);
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

void widen_each(std::span<Range> ranges, std::span<const float> values) {
  QTOOL_CHECK(!ranges.empty() && values.size() % ranges.size() == 0, "whole rows of channels");
  for (size_t begin = 0; begin < values.size(); begin += ranges.size()) {
    widen(ranges.data(), values.data() + begin, ranges.size());
  }
}

void add_each(std::span<double> sums, std::span<const float> values) {
  QTOOL_CHECK(sums.size() == values.size(), "one value for each sum");
  add(sums.data(), values.data(), sums.size());
}

}  // namespace qtool
