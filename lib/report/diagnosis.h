// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <vector>

#include "ops/op_def.h"
#include "report/records.h"

namespace qtool {

/// Layers whose own SQNR (or SQNR, where that is not known) is below this are looked into, in dB.
inline constexpr double kPoorSqnr = 25;

/// For the worst layers that are poor (worst first, at most `most` of them), the signs of the usual
/// causes: one scale for weight channels of very unlike sizes, a grid that many elements lie
/// beyond, a grid that outliers stretch, few bits. A poor layer without any sign gives none.
std::vector<Finding> diagnose(std::vector<LayerError> layers, const Graph& candidate,
                              const OpRegistry& ops, size_t most = 5);

}  // namespace qtool
