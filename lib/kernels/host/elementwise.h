// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "kernels/kernel.h"
#include "kernels/post_op.h"
#include "tensor/tensor.h"

namespace qtool {

enum class BinaryOp { add, subtract, multiply, divide };

/// One operand of an element-wise kernel. `strides` are per output dimension, 0 where broadcast;
/// null params mean float32.
struct ElementwiseOperand {
  std::vector<int64_t> strides;
  const QuantParams* params = nullptr;
};

/// float32 (x op y), operands broadcast, then post-ops (unary). `extents` are the output's in
/// storage order, outermost first; the output is dense in that order.
MadeKernel make_binary(BinaryOp op, const Shape& extents, const ElementwiseOperand& a,
                       const ElementwiseOperand& b, std::span<const PostOp> post_ops);

/// Codes of a and b (8 bits, per tensor, same extents, no broadcast) → codes of the sum, in one
/// pass: round((sa (a - za) + sb (b - zb)) / sy) + zy, as ONNX's DequantizeLinear, Add and
/// QuantizeLinear give it.
MadeKernel make_quantized_add(int64_t count, const QuantParams& a, const QuantParams& b,
                              const QuantParams& y, std::span<const PostOp> post_ops);

/// float32 unary chain over `count` elements; in place is fine.
MadeKernel make_unary(int64_t count, std::span<const PostOp> post_ops);

/// y = x * scale[c] + shift[c] over float32 stored as [outer, channels, inner].
KernelPtr make_channel_affine(int64_t outer, int64_t channels, int64_t inner,
                              std::vector<float> scale, std::vector<float> shift);

/// Average of each channel over `positions`, 8-bit codes stored [outer, positions, channels] (or
/// [outer, channels, positions] where channels_innermost is false), to codes with other parameters.
/// The sum is an exact integer; one rounding at the end.
MadeKernel make_quantized_average(int64_t outer, int64_t positions, int64_t channels,
                                  bool channels_innermost, const QuantParams& x,
                                  const QuantParams& y);

/// One value, for kernels and references alike.
float apply(const PostOp& op, float y);

}  // namespace qtool
