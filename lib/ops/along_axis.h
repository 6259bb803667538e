// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tensor/tensor.h"

namespace qtool {

/// A tensor seen as [outer, along, inner], `along` being one of its dimensions.
struct AlongAxis {
  int64_t outer = 1;
  int64_t along = 1;
  int64_t inner = 1;

  /// 0 <= axis < rank.
  AlongAxis(const Shape& shape, int64_t axis) {
    for (size_t d = 0; d < shape.size(); ++d) {
      const auto at = static_cast<int64_t>(d);
      (at < axis ? outer : at == axis ? along : inner) *= shape[d];
    }
  }

  size_t index(int64_t o, int64_t k, int64_t i) const {
    return static_cast<size_t>((o * along + k) * inner + i);
  }

  /// visit(outer, inner) for each line along the axis.
  template <class F>
  void for_lines(F&& visit) const {
    for (int64_t o = 0; o < outer; ++o) {
      for (int64_t i = 0; i < inner; ++i) visit(o, i);
    }
  }
};

}  // namespace qtool
