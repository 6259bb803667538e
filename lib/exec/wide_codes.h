// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "ops/op_def.h"

namespace qtool {

/// Integer kernels take 8-bit codes. In the returned graph the constants of 4 bits that a
/// DequantizeLinear reads, codes and zero points, are the same numbers in 8 bits. Nothing where
/// there are none.
std::optional<Graph> with_wide_codes(const Graph& graph, const OpRegistry& ops);

}  // namespace qtool
