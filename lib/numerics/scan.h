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

/// Of finite values, those of channel c at values[i * ranges.size() + c]: widens ranges[c] to hold
/// them and adds them to sums[c], in their order.
void scan_channels(std::span<Range> ranges, std::span<double> sums, std::span<const float> values);

}  // namespace qtool
