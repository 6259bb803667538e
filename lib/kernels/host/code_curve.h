// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "kernels/host/lanes.h"
#include "kernels/post_op.h"

namespace qtool {

/// A GELU in units of the codes that it becomes, to 1e-4 of the real result. With Φ(x) + Φ(-x) = 1,
/// which both forms fulfil, it is max(x, 0) - g(|x|) for a g that is 0 from 4.5 on: 16 parabolas.
class CodeCurve {
 public:
  /// None where it is no GELU, or the steps between codes are so small that they would tell.
  static std::optional<CodeCurve> of(const PostOp& op, float unit);

  /// The curve's numbers, in registers.
  struct Held {
    lanes::Reals g[3];
    lanes::Reals per_unit;
    lanes::Reals limit;
    lanes::Reals zero;
  };
  [[gnu::always_inline]] void hold(Held& held) const {
    for (int power = 0; power < 3; ++power) lanes::load(held.g[power], g_[power]);
    lanes::fill(held.per_unit, per_unit_);
    lanes::fill(held.limit, limit_);
    lanes::fill(held.zero, zero_);
  }

  [[gnu::always_inline]] static void apply(const Held& held, lanes::Reals& x) {
    using lanes::Ints;
    using lanes::Reals;
    Reals a = x < -x ? -x : x;
    lanes::bound_above(a, held.limit);
    const Ints piece = __builtin_convertvector(a * kPiecesPerUnit, Ints);
    Reals g[3];
    for (int power = 0; power < 3; ++power) lanes::look_up(g[power], held.g[power], piece);
    lanes::bound_below(x, held.zero);
    x = x * held.per_unit - (g[0] + a * (g[1] + a * g[2]));
  }

 private:
  static constexpr float kPiecesPerUnit = 16 / 4.5F;

  float g_[3][lanes::kCount];
  float per_unit_;
  // With a bound that they know compilers take two instructions for a minimum.
  float limit_ = 0x1.1fffp2F;  ///< just below 4.5
  float zero_ = 0;
};

}  // namespace qtool
