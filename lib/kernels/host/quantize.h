// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/kernel.h"
#include "kernels/layout.h"
#include "numerics/affine.h"

namespace qtool {

/// quantize_value over runs of float32, for kernels that quantize what they have just computed.
class RowQuantizer {
 public:
  /// "", or why these parameters cannot be used: 8-bit codes, per tensor.
  static std::string problem(const QuantParams& params);
  explicit RowQuantizer(const QuantParams& params);
  void operator()(const float* from, void* to, int64_t count) const;

 private:
  float scale_;
  int32_t zero_point_;
  int32_t lowest_;
  int32_t highest_;
  bool is_signed_;
};

/// float32 → 8-bit codes (per tensor), storing in another layout where asked: one pass, so that a
/// graph's input is quantized and transposed at once. Equal to quantize_value on every element.
/// Refuses other code types and per-channel parameters.
MadeKernel make_quantize(const Shape& shape, const QuantParams& params, Layout from, Layout to);

/// 8-bit codes (per tensor) → float32, layout kept.
MadeKernel make_dequantize(const Shape& shape, const QuantParams& params);

/// float32 → u8 codes, the scale and the zero point that the tensor's own range gives (ONNX's
/// DynamicQuantizeLinear), layout kept. Outputs: codes, one float, one u8.
KernelPtr make_dynamic_quantize(const Shape& shape);

}  // namespace qtool
