// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "tensor/tensor.h"

namespace qtool {

/// A constant float32 matrix that vectors are multiplied with again and again.
class PackedMatrix {
 public:
  PackedMatrix() = default;

  /// `rows` x `columns`, row-major: y = matrix * x adds up along columns.
  PackedMatrix(const float* matrix, int64_t rows, int64_t columns);

  int64_t blocks() const { return blocks_; }

  /// y += matrix * x for the rows of some blocks. A row's sum does not depend on the split.
  void multiply_add(const float* x, float* y, int64_t first_block, int64_t last_block) const;

 private:
  int64_t rows_ = 0;
  int64_t columns_ = 0;
  int64_t blocks_ = 0;
  std::vector<float> elements_;  ///< [blocks, columns, kRows], zeros behind the last row
};

}  // namespace qtool
