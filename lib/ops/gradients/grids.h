// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace qtool {

// What the ops PowerOfTwo and BoundedWeights compute, for those who must give the same numbers
// without a graph.

/// 2^round(log2 x), for x > 0.
float nearest_power_of_two(float x);

/// bound tanh(v / bound) / max |tanh(v / bound)|, the maximum and the bound being those of element
/// i's channel, i / inner modulo bound.size(). A channel whose bound is 0 is 0.
std::vector<double> bounded_weights(std::span<const double> v, std::span<const double> bound,
                                    int64_t inner);

}  // namespace qtool
