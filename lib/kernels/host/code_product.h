// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/onednn/primitives.h"

namespace qtool {

/// How the operands of a product lie, where it is not row by row: elements from neighbour to
/// neighbour along each dimension, leading ones included; empty: row-major.
struct ProductStrides {
  std::vector<int64_t> source;
  std::vector<int64_t> weights;
};

/// The product of `spec` where both operands are 8-bit codes, u8 or s8 with any zero points (one
/// scale for the source; for the weights one, or one per column with zero points 0), both possibly
/// known only at run time. Sums are exact; results are codes, float32, or the int32 sums
/// themselves. Post-ops: any unary ones, and in float32 one addition, whose operand is kernel
/// input `addend` and need not lie in the destination.
MadeKernel make_code_product(const onednn::MatmulSpec& spec, const ProductStrides& strides = {},
                             size_t addend = 2);

/// The int32 sums with zero points that are known only at run time: kernel inputs 2 and 3, each
/// one code of its operand's type, or absent for 0.
MadeKernel make_code_sums(const onednn::MatmulSpec& spec);

/// Whether that is the fastest kernel for products of such an extent.
bool prefers_code_product(const onednn::MatmulSpec& spec);

}  // namespace qtool
