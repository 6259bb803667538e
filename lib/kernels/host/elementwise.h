// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "kernels/kernel.h"
#include "kernels/post_op.h"
#include "tensor/tensor.h"

namespace qtool {

enum class BinaryOp {
  add,
  subtract,
  multiply,
  divide,
  maximum,    ///< NaN where either is
  minimum,    ///< likewise
  power,      ///< a to the power of b
  remainder,  ///< C's fmod: the sign is a's
  prelu,      ///< a < 0 ? a * b : a
};
enum class CompareOp { equal, greater, greater_or_equal, less, less_or_equal };

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

/// op from the left over any number of operands, each with its strides: ((a op b) op c) ...; only
/// the first two may lie where the output does.
MadeKernel make_fold(BinaryOp op, const Shape& extents,
                     std::span<const std::vector<int64_t>> operands,
                     std::span<const PostOp> post_ops);

/// a op b as booleans for operands of one type, float32, int32 or int64; strides as above.
MadeKernel make_compare(CompareOp op, DType dtype, const Shape& extents,
                        const std::vector<int64_t>& a, const std::vector<int64_t>& b);

/// condition ? x : y, all three broadcast; x and y are moved as they are. Strides as above.
MadeKernel make_select(size_t element_bytes, const Shape& extents,
                       const std::vector<int64_t>& condition, const std::vector<int64_t>& x,
                       const std::vector<int64_t>& y);

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

/// One value, or `count` of them (x and y are one place or two apart), for kernels; not `add`.
float apply(const PostOp& op, float y);
void apply(const PostOp& op, const float* x, float* y, int64_t count);

/// Whether none of them is an addition.
bool all_unary(std::span<const PostOp> ops);

}  // namespace qtool
