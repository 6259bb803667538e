// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>

#include "kernels/host/elementwise.h"
#include "support/parallel.h"

namespace qtool {

/// The loops of a kernel that reads `operands` broadcast tensors in step with its dense output:
/// neighbouring dimensions that all operands step through alike are one.
template <size_t operands>
struct BroadcastLoop {
  using Steps = std::array<int64_t, operands>;
  std::vector<int64_t> extents;  ///< at least one
  std::vector<Steps> strides;    ///< per dimension, in elements

  /// `given` holds each operand's strides per dimension of `shape`.
  BroadcastLoop(const Shape& shape,
                const std::array<const std::vector<int64_t>*, operands>& given) {
    for (size_t d = 0; d < shape.size(); ++d) {
      if (shape[d] == 1) continue;
      Steps steps;
      for (size_t k = 0; k < operands; ++k) steps[k] = (*given[k])[d];
      if (!extents.empty() && continues(steps, shape[d])) {
        extents.back() *= shape[d];
        strides.back() = steps;
      } else {
        extents.push_back(shape[d]);
        strides.push_back(steps);
      }
    }
    if (extents.empty()) {
      extents.push_back(1);
      strides.push_back({});
    }
  }

  const Steps& inner() const { return strides.back(); }

  /// Calls row(offsets of the operands, offset of the output, count) for pieces of the innermost
  /// dimension, in parallel.
  template <class Row>
  void for_rows(const Row& row) const {
    constexpr int64_t kGrain = int64_t{1} << 15;
    const int64_t count = extents.back();
    int64_t rows = 1;
    for (size_t d = 0; d + 1 < extents.size(); ++d) rows *= extents[d];
    if (rows == 1) {
      parallel_for(count, kGrain, [&](int64_t begin, int64_t end) {
        Steps offsets;
        for (size_t k = 0; k < operands; ++k) offsets[k] = begin * inner()[k];
        row(offsets, begin, end - begin);
      });
      return;
    }
    const int64_t grain = std::max<int64_t>(1, kGrain / std::max<int64_t>(count, 1));
    parallel_for(rows, grain, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) row(offsets_of(r), r * count, count);
    });
  }

 private:
  bool continues(const Steps& steps, int64_t extent) const {
    for (size_t k = 0; k < operands; ++k) {
      if (strides.back()[k] != steps[k] * extent) return false;
    }
    return true;
  }

  Steps offsets_of(int64_t row) const {
    Steps offsets{};
    for (size_t d = extents.size() - 1; d-- > 0;) {
      const int64_t at = row % extents[d];
      row /= extents[d];
      for (size_t k = 0; k < operands; ++k) offsets[k] += at * strides[d][k];
    }
    return offsets;
  }
};

}  // namespace qtool
