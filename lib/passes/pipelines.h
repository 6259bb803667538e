// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "passes/pass.h"

namespace qtool {

/// Makes a model as plain as it can be without changing what it computes, beyond the rounding of
/// folded constants. Values that are left keep their names, graph outputs always do, so that a
/// calibration table fits every graph that was prepared in this way.
Pipeline preparation_pipeline();

/// The preparation, then the ops brought to `opset` of ai.onnx where the model is older. For
/// calibrate, ptq and qat. Errors (unsupported): an op that upgrade_opset cannot convert.
Pipeline quantization_pipeline(int64_t opset = 13);

}  // namespace qtool
