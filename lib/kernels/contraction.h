// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/host/copy.h"

namespace qtool {

/// y = the sum over K of a times b, float32, as a product of matrices: both operands are brought
/// into order, and the result out of it, by copies.
struct ContractionSpec {
  int64_t batch = 1, rows = 1, inner = 1, columns = 1;
  StridedCopy left;    ///< kernel input 0 to [batch, rows, inner]
  StridedCopy right;   ///< kernel input 1 to [batch, inner, columns]
  StridedCopy result;  ///< [batch, rows, columns] to the output
};

/// Refuses what oneDNN does.
MadeKernel make_contraction(const ContractionSpec& spec);

}  // namespace qtool
