// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "calib/table.h"
#include "ops/op_def.h"
#include "quant/plan.h"
#include "quant/recipe.h"
#include "quant/target.h"

namespace qtool {

/// Decides what is quantized and how; edits nothing. The graph has been through
/// quantization_pipeline(). Errors (unsupported): the model is quantized already and the recipe
/// does not allow it; (usage): a recipe's pattern matches nothing; (input): weights with NaN or
/// infinity.
QuantPlan plan_quantization(const Graph& graph, const OpRegistry& ops,
                            const CalibrationTable& table, const Target& target,
                            const Recipe& recipe = {});

/// The values whose statistics plan_quantization will look up, by id: all that a calibration has
/// to observe. Errors: as above.
std::vector<ValueId> values_to_calibrate(const Graph& graph, const OpRegistry& ops,
                                         const Target& target, const Recipe& recipe = {});

/// Their names.
std::vector<std::string> tensors_to_calibrate(const Graph& graph, const OpRegistry& ops,
                                              const Target& target, const Recipe& recipe = {});

}  // namespace qtool
