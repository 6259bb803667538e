// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "calibration.h"
#include "ptq_modes.h"

namespace qtool {

/// --mode weight-only: weights in few bits, as DequantizeLinear (format qdq) or MatMulNBits
/// (matmul-nbits). Methods that learn take the data. Errors: as of plan_weights.
ConvertedModel convert_weights(const LoadedModel& model, const DataOptions& data,
                               const Recipe& recipe, const std::string& format,
                               std::optional<uint64_t> memory_limit, const Globals& globals,
                               Log& log);

}  // namespace qtool
