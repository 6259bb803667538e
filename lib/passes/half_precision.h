// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>

#include "ops/op_def.h"
#include "passes/mode_report.h"

namespace qtool {

struct HalfOptions {
  std::vector<std::string> excluded = {};     ///< by node id: why it stays, else empty; or nothing
  bool half_io = false;                       ///< the graph's own inputs and outputs too
  std::map<std::string, float> largest = {};  ///< magnitudes that data gave, by value name
};

/// Turns float32 into float16, constants rounded to nearest. A node stays in float32, between
/// Casts, if its op has no float16 form, has bodies or belongs to another domain, if a constant or
/// an observed value exceeds 65504, or if a lone constant (an epsilon) would vanish. The graph's
/// inputs and outputs keep their names, and their types without half_io. For a prepared graph of
/// opset 13 at least.
ModeReport to_float16(Graph& graph, const OpRegistry& ops, const HalfOptions& options);

/// Stores float32 constants of at least 64 elements as bfloat16, with a Cast to float32 behind
/// each: half the file, computed in float32, since runtimes for CPUs have few kernels for bfloat16
/// and none they must have. `excluded` as above, for the nodes that read them.
ModeReport store_as_bfloat16(Graph& graph, const std::vector<std::string>& excluded);

}  // namespace qtool
