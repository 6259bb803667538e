// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/kernel.h"
#include "numerics/affine.h"

namespace qtool {

/// e^(x - max) / sum of them, over each of `rows` runs of `along` float32; as float32, or as 8-bit
/// codes where `result` (per tensor) is given. These are quantize_value of results that are right
/// to 1e-5 of themselves, so that one code in some hundred lies beside a tie on the other side.
MadeKernel make_softmax(int64_t rows, int64_t along, const QuantParams* result);

}  // namespace qtool
