// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "numerics/affine.h"

namespace qtool {

/// What one look at some floats tells.
struct Scan {
  uint64_t zeros = 0;  ///< +0 and -0
  bool finite = true;  ///< neither NaN nor infinity among them
  Range range;         ///< lowest and highest, -0 read as +0; only of use where finite
};

/// At least one value. About a quarter of a nanosecond a value from the cache.
Scan scan(std::span<const float> values);

/// Widens ranges[i % ranges.size()] to hold values[i], for finite values.
void widen_each(std::span<Range> ranges, std::span<const float> values);

/// sums[i] += values[i].
void add_each(std::span<double> sums, std::span<const float> values);

}  // namespace qtool
