// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "ir/graph.h"

namespace qtool {

/// What became of a graph in QOperator form.
struct QOperatorForm {
  size_t computing =
      0;              ///< nodes that are QLinearConv, QLinearMatMul or com.microsoft's QLinear...
  size_t moving = 0;  ///< nodes that read and give codes as they are
  /// Nodes between DequantizeLinear and QuantizeLinear that stay so, with the reason.
  std::vector<std::pair<std::string, std::string>> kept;
};

/// Rewrites nodes between DequantizeLinear and QuantizeLinear, as insert_qdq leaves them, to ops on
/// codes: ONNX's QLinearConv and QLinearMatMul, and ONNX Runtime's com.microsoft ops where ONNX has
/// none; ops that only move data read the codes. What has no such op, or whose result somebody
/// reads as floats too, keeps its Q/DQ nodes, and both forms say the same. Codes have 8 bits.
QOperatorForm to_qoperator_form(Graph& graph);

}  // namespace qtool
