// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/kernel.h"
#include "kernels/layout.h"
#include "numerics/affine.h"

namespace qtool {

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
