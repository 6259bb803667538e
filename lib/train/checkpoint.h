// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

#include "support/json.h"
#include "train/trainer.h"

namespace qtool {

/// The state of a training between two epochs as an .npz file: parameters, optimizer, best epoch.
/// `identity` says what is trained and how; going on is only possible with the same. Written
/// atomically; the same state gives the same bytes.
void write_checkpoint(const std::filesystem::path& path, const Json& identity,
                      const std::vector<Parameter>& parameters, TrainState& state);

/// The epochs that a checkpoint has behind it. Errors (input): no such file, another file.
int epochs_in_checkpoint(const std::filesystem::path& path);

/// Puts back what was written. Errors (input): no such file, another file, another identity (names
/// what differs), tensors that do not fit.
void read_checkpoint(const std::filesystem::path& path, const Json& identity,
                     std::vector<Parameter>& parameters, TrainState& state);

}  // namespace qtool
