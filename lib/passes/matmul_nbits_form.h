// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "ir/graph.h"

namespace qtool {

/// Rewrites products of a float matrix with dequantized constant weights, MatMul and Gemm (alpha
/// and beta 1, transA 0), to com.microsoft's MatMulNBits: codes of at most 4 bits as 4, others as
/// 8; blocks along the rows as they are, scales per channel as blocks of `block`. A Gemm's C
/// becomes an Add. `nodes` only; gives the nodes that were not rewritten, with the reason.
std::vector<std::pair<std::string, std::string>> to_matmul_nbits(Graph& graph,
                                                                 const std::vector<NodeId>& nodes,
                                                                 int64_t block);

}  // namespace qtool
