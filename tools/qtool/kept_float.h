// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "options.h"
#include "report/records.h"

namespace qtool {

/// The layers (nodes with weights: convolutions, products) that a runtime does not compute on codes
/// when it runs this model, and why. Of qtool's executor: asked of the session's steps. Of ONNX
/// Runtime: read from the graph that it really runs, which it writes after its rewrites.
std::vector<KeptFloat> kept_float(const LoadedModel& model, const RunnerOptions& runner,
                                  std::span<const RunnerValue> inputs, Log& log);

}  // namespace qtool
