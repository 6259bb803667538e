// SPDX-License-Identifier: Apache-2.0
#include "passes/pipelines.h"

#include "passes/passes.h"

namespace qtool {

Pipeline preparation_pipeline() {
  return {
      {unlist_constants(), "a weight that callers may override cannot be folded or quantized"},
      {inline_functions(), "what a function computes is folded and quantized like the rest"},
      {inline_branches(), "what a branch computes is folded and quantized like the rest"},
      {distinct_names(), "rules and plans find nodes by name, and runtimes refuse two of one"},
      {lift_constants(), "weights must be found as constants, wherever the exporter put them"},
      {compute_in_float(), "kernels are for float32; weights are folded and quantized in it"},
      {eliminate_identity(), "an Identity between Conv and BatchNormalization would hide the pair"},
      {fold_constants(), "weights behind Transpose, Reshape or Cast become constants"},
      {fold_gemm(),
       "with alpha and beta gone a Gemm is a product and a bias, as folding a"
       " BatchNormalization and integer kernels need it"},
      {fold_batch_norm(), "its scales belong to the weights before these get their own grid"},
      {fold_batch_norm_ahead(), "those that had no layer in front, into the one behind"},
      {eliminate_dead(), "what the folds left behind"},
  };
}

Pipeline quantization_pipeline(int64_t opset) {
  Pipeline pipeline = preparation_pipeline();
  pipeline.push_back({upgrade_opset(opset), "QuantizeLinear has an axis from opset 13 on"});
  return pipeline;
}

}  // namespace qtool
