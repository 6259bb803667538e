// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <utility>

namespace qtool {

/// PCG32 (O'Neill 2014, "PCG: A Family of Simple Fast Space-Efficient Statistically Good
/// Algorithms"): the same numbers on every machine and with every standard library.
class Rng {
 public:
  explicit Rng(uint64_t seed, uint64_t stream = 0);

  uint32_t next();

  /// Uniform in [0, 1), a multiple of 2^-24.
  float uniform();

  /// Standard normal (Box-Muller).
  float normal();

  /// Uniform in [0, bound), without bias; bound > 0.
  uint32_t below(uint32_t bound);

  /// Fisher-Yates.
  template <class T>
  void shuffle(std::span<T> items) {
    for (size_t i = items.size(); i > 1; --i) {
      std::swap(items[i - 1], items[below(static_cast<uint32_t>(i))]);
    }
  }

 private:
  uint64_t state_;
  uint64_t increment_;
};

}  // namespace qtool
