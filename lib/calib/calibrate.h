// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "calib/table.h"
#include "exec/session.h"

namespace qtool {

/// Samples ready for the model: every input by name with the batch in front.
struct FeedBatch {
  TensorMap inputs;
  std::vector<std::string> ids;  ///< one a sample, for messages
};
using FeedSource = std::function<std::optional<FeedBatch>()>;

enum class NonFinite {
  refuse,  ///< a NaN or an infinity ends the run
  count,   ///< they are counted and left out
};

struct CalibrateOptions {
  NonFinite non_finite = NonFinite::refuse;
  std::function<void(size_t)> advance = {};  ///< told the samples done
};

/// Runs all samples through the graph and collects the statistics of `tensors` (float values of the
/// graph; its inputs too). Values are observed where they lie right after they were computed,
/// nothing is kept of a sample; memory depends on the graph and the batch, not on the number of
/// samples. Statistics count sample by sample, so that neither the batch size nor the number of
/// threads changes a bit of them; where some tensor has no batch dimension in front, the samples
/// run one by one, or, in a model of a fixed batch size, a batch counts as one sample. Fills
/// `tensors` and `samples` of the table. Errors (input): a non-finite element (names tensor and
/// sample), no samples; what the session throws.
CalibrationTable calibrate(const Graph& graph, const OpRegistry& ops,
                           std::span<const ValueId> tensors, const FeedSource& source,
                           const CalibrateOptions& options = {});

}  // namespace qtool
