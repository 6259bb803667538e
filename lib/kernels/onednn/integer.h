// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "kernels/onednn/primitives.h"

namespace qtool::onednn {

/// Products of codes as whole numbers: int32 sums of (x - zero_x) * (w - zero_w), modulo 2^32.
/// Weights are constant, u8 or s8; their zero points too: none, one, or one per output channel.
/// The source's zero point, of its type, is kernel input 2 where `source_zero` holds. Kernel
/// inputs: x, (w), zero_x.
struct IntegerProductSpec {
  DType source = DType::uint8;
  Shape source_shape;
  Shape destination_shape;
  const Tensor* weights = nullptr;
  std::vector<int32_t> weight_zeros;
  bool source_zero = false;
};

/// [rows, K] x [K, N]; with as many zero points of the source as `source_zeros`, 1 or a divisor of
/// the number of rows, which they follow over and over.
MadeKernel make_integer_matmul(const IntegerProductSpec& spec, int64_t source_zeros);

struct IntegerWindow {
  int64_t groups = 1;
  std::vector<int64_t> strides;
  std::vector<int64_t> pads;
  std::vector<int64_t> dilations;
};

/// x and y lie channels_last; the padding is zero_x, so that it adds nothing.
MadeKernel make_integer_convolution(const IntegerProductSpec& spec, const IntegerWindow& window);

}  // namespace qtool::onednn
