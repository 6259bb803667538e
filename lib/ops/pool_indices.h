// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ops/shapes.h"

namespace qtool {

/// Where the maximum of each window of x [N, C, spatial...] (float32) stands: its place in the
/// whole tensor, in row-major order or, as storage_order 1 says, with the spatial axes of each
/// channel in column-major order. Of equal elements the first.
Tensor max_pool_indices(const Tensor& x, const Window& window, const Shape& out, bool column_major);

}  // namespace qtool
