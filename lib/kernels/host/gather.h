// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/kernel.h"
#include "tensor/tensor.h"

namespace qtool {

/// y[o, i] = x[o, index i], in rows of bytes: x [outer, extent, row], y [outer, count, row], both
/// dense. `index_dtype` is int32 or int64.
struct GatherSpec {
  int64_t outer = 1;
  int64_t extent = 0;
  size_t row_bytes = 0;
  int64_t count = 0;
  DType index_dtype = DType::int64;
  std::vector<int64_t> known = {};  ///< indices in [0, extent) if they are constants, else empty
};

/// Inputs: x, and the indices where they are not known. Negative indices count from the end.
/// Errors at run time (input): an index outside of the axis.
MadeKernel make_gather(GatherSpec spec);

}  // namespace qtool
