// SPDX-License-Identifier: Apache-2.0
#include "support/rng.h"

#include <cmath>
#include <numbers>

namespace qtool {

namespace {
constexpr uint64_t kMultiplier = 6364136223846793005ULL;
}

Rng::Rng(uint64_t seed, uint64_t stream) : state_(0), increment_((stream << 1) | 1) {
  next();
  state_ += seed;
  next();
}

uint32_t Rng::next() {
  const uint64_t old = state_;
  state_ = old * kMultiplier + increment_;
  const auto shifted = static_cast<uint32_t>(((old >> 18) ^ old) >> 27);
  const auto rotation = static_cast<uint32_t>(old >> 59);
  return (shifted >> rotation) | (shifted << ((32 - rotation) & 31));
}

float Rng::uniform() { return static_cast<float>(next() >> 8) * 0x1p-24F; }

float Rng::normal() {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - static_cast<double>(uniform())));
  return static_cast<float>(radius * std::cos(2.0 * std::numbers::pi * uniform()));
}

uint32_t Rng::below(uint32_t bound) {
  const uint32_t rejected = (0U - bound) % bound;
  for (;;) {
    const uint32_t value = next();
    if (value >= rejected) return value % bound;
  }
}

}  // namespace qtool
