// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "options.h"

namespace qtool {

/// What a calibration will have resident, foreseen from a session of one sample: this process so
/// far, weights as packed, activations and data of a batch, statistics, and the table as text.
class MemoryForecast {
 public:
  /// Compiles the graph for the first sample. Errors: those of the session.
  MemoryForecast(const Graph& graph, std::span<const ValueId> tensors, const Dataset& dataset,
                 const Order& order, std::span<const RunnerValue> inputs);

  /// Bytes for batches of this size.
  uint64_t bytes(size_t batch) const;

  /// The largest batch up to `wished` that fits. Errors (input): not even one sample does; names
  /// the least limit that does.
  size_t batch_within(uint64_t limit, size_t wished) const;

 private:
  size_t samples_;
  uint64_t peak_ = 0;         // so far
  uint64_t fixed_ = 0;        // whatever the batch
  uint64_t session_ = 0;      // each session, whatever the batch
  uint64_t activations_ = 0;  // each session, for a sample
  uint64_t inputs_ = 0;       // a sample
};

/// Errors (input): the process has had more than the limit resident.
void check_memory(uint64_t limit);

/// "512MiB", "2GB", "1000000": bytes. Errors (usage): another text.
uint64_t parse_bytes(const std::string& flag, const std::string& text);

}  // namespace qtool
