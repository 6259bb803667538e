// SPDX-License-Identifier: Apache-2.0
#include "kernels/host/packed_matrix.h"

#include <algorithm>

#include "support/simd.h"

namespace qtool {

namespace {

constexpr int64_t kLanes = 8;
constexpr int64_t kVectors = 8;  ///< sums in flight
constexpr int64_t kRows = kVectors * kLanes;

using Lanes [[gnu::vector_size(kLanes * sizeof(float))]] = float;

QTOOL_SIMD void multiply_block(const float* matrix, const float* x, int64_t columns, float* sums) {
  Lanes totals[kVectors];
  __builtin_memcpy(totals, sums, sizeof totals);
  for (int64_t k = 0; k < columns; ++k, matrix += kRows) {
#pragma GCC unroll 8
    for (int64_t v = 0; v < kVectors; ++v) {
      Lanes row;
      __builtin_memcpy(&row, matrix + v * kLanes, sizeof row);
      totals[v] += x[k] * row;
    }
  }
  __builtin_memcpy(sums, totals, sizeof totals);
}

}  // namespace

PackedMatrix::PackedMatrix(const float* matrix, int64_t rows, int64_t columns)
    : rows_(rows), columns_(columns), blocks_((rows + kRows - 1) / kRows),
      elements_(static_cast<size_t>(blocks_ * columns * kRows)) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t k = 0; k < columns; ++k) {
      const int64_t at = (r / kRows * columns + k) * kRows + r % kRows;
      elements_[static_cast<size_t>(at)] = matrix[r * columns + k];
    }
  }
}

void PackedMatrix::multiply_add(const float* x, float* y, int64_t first_block,
                                int64_t last_block) const {
  for (int64_t block = first_block; block < last_block; ++block) {
    const float* matrix = elements_.data() + block * columns_ * kRows;
    const int64_t rows = std::min(kRows, rows_ - block * kRows);
    float sums[kRows] = {};
    std::copy_n(y + block * kRows, rows, sums);
    multiply_block(matrix, x, columns_, sums);
    std::copy_n(sums, rows, y + block * kRows);
  }
}

}  // namespace qtool
