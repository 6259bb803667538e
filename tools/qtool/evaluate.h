// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "options.h"
#include "report/metrics.h"

namespace qtool {

/// Runs the chosen samples through a runner, batch by batch, prefetched: visit(batch, outputs).
/// The batch still has its labels and ids; its inputs were handed to the model.
void for_each_batch(Runner& runner, const DataOptions::Opened& data, size_t batch_size,
                    Progress& progress, const std::function<void(const Batch&, TensorMap&)>& visit);

/// Every tensor of a quantized model against the float one, worst first (report/compare.h).
std::vector<LayerError> compare_tensors(const LoadedModel& reference, const LoadedModel& candidate,
                                        const DataOptions::Opened& data,
                                        std::optional<size_t> batch, Progress& progress, Log& log);

/// The output that holds class scores for so many samples, or null: the first one that does.
const Tensor* class_scores(const TensorMap& outputs, const Runner& runner);

}  // namespace qtool
