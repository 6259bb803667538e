// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernels/kernel.h"
#include "kernels/layout.h"
#include "kernels/post_op.h"
#include "tensor/tensor.h"

namespace qtool::onednn {

/// "2.6.3", and the instruction set it uses, such as "avx512_core_vnni".
std::string version();
std::string instruction_set();

/// One tensor as a primitive sees it. Quantized tensors have params; others are float32.
struct Operand {
  DType dtype = DType::float32;
  Shape shape;
  Layout layout = Layout::plain;
  const QuantParams* params = nullptr;
};

/// A post-op and, for add, the tensor it adds (same shape as the destination). The kernel takes
/// such an operand as a further input; it must lie in the destination's memory (in place).
struct PostOpSpec {
  PostOp op;
  std::optional<Operand> operand;
};

/// y = conv(x, w) + bias, then post-ops. Kernel inputs: x, (w), (b), post-op operands in order.
/// Float: all operands float32. Integer: x u8 or s8 with per-tensor params, w s8 codes with zero
/// points 0 or u8 codes with zero points 128 (per tensor or per output channel), bias int32 codes
/// in units of s_x * s_w, or float32; y u8 or s8 codes with per-tensor params, or float32. Weights
/// and bias are packed into the kernel.
struct ConvolutionSpec {
  Operand source;                   ///< [N, C, spatial...]
  Operand destination;              ///< [N, M, spatial...]
  const Tensor* weights = nullptr;  ///< [M, C / groups, kernel...]
  const QuantParams* weight_params = nullptr;
  const Tensor* bias = nullptr;  ///< [M] or null
  const QuantParams* bias_params = nullptr;
  int64_t groups = 1;
  std::vector<int64_t> strides;    ///< per spatial dimension
  std::vector<int64_t> pads;       ///< begins, then ends
  std::vector<int64_t> dilations;  ///< 1: dense
  std::vector<PostOpSpec> post_ops;
};
MadeKernel make_convolution(const ConvolutionSpec& spec);

/// The transposed convolution: weights [C, M / groups, kernel...], source [N, C, ...], destination
/// [N, M, ...] of (extent - 1) * stride + (kernel - 1) * dilation + 1 - pads; end pads may be
/// negative down to 1 - stride, where the destination is larger.
MadeKernel make_deconvolution(const ConvolutionSpec& spec);

/// y = x w + bias, then post-ops, for the last two dimensions (leading ones equal or 1). Types as
/// for convolution; w [.., K, N], constant (then packed) or not (then a kernel input, float32); the
/// bias likewise. Kernel inputs: x, w, bias, post-op operands.
struct MatmulSpec {
  Operand source;
  Operand destination;
  Operand weights;
  const Tensor* constant_weights = nullptr;
  bool transposed_source = false;   ///< stored [.., K, M]
  bool transposed_weights = false;  ///< stored [.., N, K]
  const Tensor* bias = nullptr;     ///< [N]
  bool bias_at_run = false;         ///< float32 [N] as a kernel input
  const QuantParams* bias_params = nullptr;
  std::vector<PostOpSpec> post_ops;
};
MadeKernel make_matmul(const MatmulSpec& spec);

/// Max or average over a window; x and y of one type (float32, u8, s8; average: float32 only).
struct PoolSpec {
  enum class Kind { max, average_including_pads, average_excluding_pads };
  Kind kind = Kind::max;
  Operand source;
  Operand destination;
  std::vector<int64_t> kernel;
  std::vector<int64_t> strides;
  std::vector<int64_t> pads;
  std::vector<int64_t> dilations;
};
MadeKernel make_pool(const PoolSpec& spec);

/// float32 softmax over `axis`.
MadeKernel make_softmax(const Operand& source, int axis, bool logarithm);

}  // namespace qtool::onednn
