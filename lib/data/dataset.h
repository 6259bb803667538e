// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "support/json.h"
#include "tensor/tensor.h"

namespace qtool {

/// One example: inputs without a batch dimension, and what is known of its class.
struct Sample {
  std::string id;    ///< names it in messages: "test_batch.bin:17", "images/a.jpg"
  TensorMap inputs;  ///< by name; a source with a single anonymous input uses the name ""
  std::optional<int64_t> label;
  TensorMap expected = {};  ///< what a model should answer, by output; where the source has it
};

/// Examples by index. get() is pure and thread-safe: the same index gives the same bits, in any
/// order and from any thread. Shuffling, subsets and batching are wrappers (see batch.h).
class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual size_t size() const = 0;
  virtual Sample get(size_t index) const = 0;

  /// Whether every sample has a label.
  virtual bool labelled() const = 0;

  /// Whether a sample is what one run takes, its batch dimension included: such samples are never
  /// stacked.
  virtual bool batched() const { return false; }

  /// One more than the largest label, if labels are known without reading all samples.
  virtual std::optional<int64_t> class_count() const { return std::nullopt; }

  /// Where it comes from, for provenance: {"kind": ..., "path": ..., "samples": ...,
  /// "sha256": of the files or of the list of files}. Nothing that changes between machines.
  virtual Json provenance() const = 0;
};

}  // namespace qtool
