// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ops/op_def.h"
#include "passes/mode_report.h"

namespace qtool {

/// Quantizes the weights of MatMul, Gemm and Conv to 8 bits, symmetric, one scale a channel of the
/// result, and what they read at run time: DynamicQuantizeLinear, then MatMulInteger or
/// ConvInteger, whose sums are scaled back to float32. Needs no data. `excluded`: by node id, why a
/// node stays, else empty. Products without constant weights, LSTM, GRU and RNN stay. For a
/// prepared graph of opset 13 at least.
ModeReport quantize_dynamically(Graph& graph, const OpRegistry& ops,
                                const std::vector<std::string>& excluded);

}  // namespace qtool
