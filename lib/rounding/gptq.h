// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "numerics/affine.h"

namespace qtool {

/// Weights as a matrix: a row for each output channel (an extent of `axis`), a column for each
/// element that its sum reads.
struct WeightMatrix {
  WeightMatrix(const Shape& shape, int axis);
  size_t rows = 0;
  size_t columns = 0;
  /// Where element (row, column) lies in the tensor.
  size_t at(size_t row, size_t column) const {
    return (column / inner * rows + row) * inner + column % inner;
  }

 private:
  size_t inner = 1;
};

/// GPTQ (Frantar et al. 2022, arXiv:2210.17323): column by column, largest second moment first,
/// weights are rounded to nearest on the grid, and the columns still to come take over what that
/// does to the sums: w_k -= (w_j - q_j) / U_jj U_jk, with U the upper Cholesky factor of H^-1 and
/// H the columns' second moments, [groups, columns, columns]; rows belong to groups in order.
/// `damping` times the mean of H's diagonal is added to it, ten times as much where H is then
/// still not positive definite, and so on: the damping used is returned. Columns that never see
/// data are rounded to nearest.
/// `first`: the moments are of the columns from there on, and only these are rounded.
double gptq(Tensor& weights, const WeightMatrix& layout, const QuantParams& params,
            std::span<const double> moments, double damping = 0.01, size_t groups = 1,
            size_t first = 0);

/// The upper triangular U with U^T U = H^-1, row-major; false where H is not positive definite.
bool inverse_factor(std::span<const double> h, size_t n, std::span<double> u);

}  // namespace qtool
