// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <string>

#include "options.h"

namespace qtool {

/// Where the outputs come from that a model's are compared with.
class Reference {
 public:
  virtual ~Reference() = default;

  /// What it is called in records.
  virtual std::string name() const = 0;

  /// The outputs for a batch: its samples by their places in the data set, and what the model under
  /// test is fed. Errors (input): there are none for it.
  virtual TensorMap outputs(const Batch& batch, std::span<const size_t> samples,
                            const TensorMap& inputs) = 0;
};

/// `path` is a model, run by qtool; or an .npz of arrays named as the outputs (an .npy of the only
/// one) whose first dimension counts the data set's samples. Empty: what the data set itself says
/// that a model should answer.
std::unique_ptr<Reference> open_reference(const std::string& path, const Dataset& dataset,
                                          std::span<const RunnerValue> outputs, Log& log);

}  // namespace qtool
