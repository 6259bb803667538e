// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tensor/tensor.h"

namespace qtool {

/// com.microsoft.MatMulNBits: Y = A W^T + bias, W [N,K] in codes of `bits` (2, 4 or 8) without a
/// sign, each row in blocks of `block` (a power of two from 16 on), the last one filled up.
struct NBitsLayout {
  int64_t rows = 0;     ///< N
  int64_t columns = 0;  ///< K
  int64_t bits = 4;
  int64_t block = 32;

  int64_t blocks() const { return (columns + block - 1) / block; }
  int64_t row_bytes() const { return blocks() * block * bits / 8; }
  int64_t zero_bytes() const { return (blocks() * bits + 7) / 8; }  ///< of one row
};

/// The weights as numbers, [K,N]. `codes` uint8 [N, blocks, block * bits / 8], low bits first;
/// `scales` float, one a block; `zeros` packed likewise row by row, or float, one a block, or null:
/// the middle code. Errors (input): sizes that do not fit, types that are none of these.
Tensor dequantize_nbits(const NBitsLayout& layout, const Tensor& codes, const Tensor& scales,
                        const Tensor* zeros);

/// The inverse's halves: codes of W [N,K] and zero points [N, blocks], each row by row in bytes.
Tensor pack_nbits(const NBitsLayout& layout, std::span<const int32_t> codes);
Tensor pack_zeros(const NBitsLayout& layout, std::span<const int32_t> zeros);

}  // namespace qtool
