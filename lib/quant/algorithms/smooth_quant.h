// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "calib/table.h"
#include "quant/plan.h"
#include "quant/recipe.h"
#include "quant/target.h"

namespace qtool {

/// SmoothQuant (Xiao et al. 2022, arXiv:2211.10438): scale[j] = max|x_j|^alpha /
/// max|w_j|^(1 - alpha). Where it pays: for each tensor that quantized Gemms and MatMuls with
/// constant weights read, and whose channel ranges the table has, the expected squared error of
/// their results relative to their power is
///   sum over outputs n and channels j:  E[x_j²] / s_j² * d_w(n)² / 12  +  w_jn² s_j² * d_x² / 12
/// with the steps d of the grids that the scaled ranges give; alpha is the multiple of 1/20 with
/// the least. It is taken where that is less by a fifth and what makes the tensor can absorb the
/// scale, or, as a Mul costs a pass over the tensor, where it is less than a quarter. Errors below
/// 60 dB are left alone.
std::vector<Smoothing> find_smoothings(const Graph& graph, const OpRegistry& ops,
                                       const CalibrationTable& table, const Target& target,
                                       const Recipe& recipe);

/// Finds, edits the graph, and plans for what it then is: what ptq does. As plan_quantization
/// where nothing pays, or the recipe has it off.
QuantPlan smooth_and_plan(Graph& graph, const OpRegistry& ops, CalibrationTable table,
                          const Target& target, const Recipe& recipe);

/// Edits the graph. The float results stay as they were, up to rounding. Errors (input): names
/// that the graph does not have, scales that do not fit.
void smooth(Graph& graph, const std::vector<Smoothing>& smoothings);

/// What calibration of the edited graph would have found: ranges of the scaled tensors are those
/// of their channels, scaled. `graph` is the edited one.
void smooth(CalibrationTable& table, const Graph& graph, const std::vector<Smoothing>& smoothings);

}  // namespace qtool
