// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "calib/table.h"
#include "quant/plan.h"
#include "quant/selection.h"

namespace qtool {

/// Rounded weights w' give results whose mean is off by E[f(x, w') - f(x, w)] in each channel, as
/// the few weights of a depthwise filter do not average their errors out. f is linear in x, so
/// that the mean error is f(E[x], w' - w), known from the means of the input's channels alone; it
/// is taken off the bias. (Nagel et al. 2019, arXiv:1906.04721, section 4.2, the empirical form
/// with the means that calibration saw.) The op itself computes the mean error, so that padding,
/// groups and strides count as they do in the model.
///
/// Fills `shift` of the plan's bias placements. Where the table has no channel means of the input,
/// or its shape is not known, a bias stays as it is.
void correct_biases(const PlanContext& context, const CalibrationTable& table, QuantPlan& plan);

/// The inputs whose channel means that reads: those of the nodes with constant weights.
std::vector<ValueId> bias_correction_inputs(const PlanContext& context, const Selection& selection);

}  // namespace qtool
