// SPDX-License-Identifier: Apache-2.0
#include "evaluate.h"

namespace qtool {

const Tensor* class_scores(const TensorMap& outputs, const Runner& runner) {
  for (const RunnerValue& declared : runner.outputs()) {
    const auto found = outputs.find(declared.name);
    if (found != outputs.end() && is_floating(found->second.dtype()) &&
        class_rows(found->second.shape())) {
      return &found->second;
    }
  }
  return nullptr;
}

}  // namespace qtool
