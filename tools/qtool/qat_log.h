// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>

#include "train/trainer.h"

namespace qtool {

/// The file of --log: one JSON object a line, for each epoch, and with --log-steps for each batch
/// before its epoch's. Written whole after each epoch; the same training gives the same bytes,
/// whether it was resumed or not.
class QatLog {
 public:
  /// An empty `file`: nothing is written.
  QatLog(std::string file, bool steps) : file_(std::move(file)), steps_(steps) {}

  /// Takes over the steps of the first `epochs` epochs from the file, where it exists. Errors
  /// (input): it is no such log.
  void resume(int epochs);

  void step(int epoch, double loss, double rate);
  void write(const std::vector<EpochResult>& history) const;

 private:
  std::string file_;
  bool steps_;
  std::map<int, std::vector<std::string>> lines_;  ///< by epoch
};

}  // namespace qtool
