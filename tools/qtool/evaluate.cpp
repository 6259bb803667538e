// SPDX-License-Identifier: Apache-2.0
#include "evaluate.h"

namespace qtool {

void for_each_batch(Runner& runner, const DataOptions::Opened& data, size_t batch_size,
                    Progress& progress,
                    const std::function<void(const Batch&, TensorMap&)>& visit) {
  Loader loader(*data.dataset, data.order, {.batch_size = batch_size});
  while (auto batch = loader.next()) {
    const TensorMap inputs = feeds(*batch, runner.inputs());
    TensorMap outputs = runner.run(inputs);
    visit(*batch, outputs);
    progress.advance(batch->size);
  }
}

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
