// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/kernel.h"
#include "numerics/affine.h"

namespace qtool {

/// e^(x - max) / sum of them, over each of `rows` runs of `along` float32; as float32, or as 8-bit
/// codes where `result` (per tensor) is given: quantize_value of the float32 result.
MadeKernel make_softmax(int64_t rows, int64_t along, const QuantParams* result);

}  // namespace qtool
