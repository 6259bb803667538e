// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "passes/pass.h"

namespace qtool {

// One function a pass, each in the file of its name, which opens with what it does and when.
PassPtr unlist_constants();
PassPtr inline_functions();
PassPtr inline_branches();
PassPtr distinct_names();
PassPtr lift_constants();
PassPtr compute_in_float();
PassPtr eliminate_identity();
PassPtr fold_constants();
PassPtr fold_gemm();
PassPtr fold_batch_norm();
PassPtr fold_batch_norm_ahead();
PassPtr eliminate_dead();
PassPtr upgrade_opset(int64_t opset);
PassPtr drop_qdq();

}  // namespace qtool
