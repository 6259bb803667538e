// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace qtool {

/// Indices into a data set, in the order of use.
using Order = std::vector<size_t>;

/// 0, 1, ... count - 1, or the first `limit` of them.
Order in_order(size_t count, std::optional<size_t> limit = std::nullopt);

/// A permutation of 0 ... count - 1 that depends on nothing but its arguments.
Order shuffled(size_t count, uint64_t seed, uint64_t epoch = 0);

/// Some samples of a data set as one; provenance() adds what was chosen.
class Subset : public Dataset {
 public:
  /// Indices may repeat; each is below all->size().
  Subset(std::shared_ptr<const Dataset> all, Order chosen);

  size_t size() const override { return chosen_.size(); }
  Sample get(size_t index) const override;
  bool labelled() const override { return all_->labelled(); }
  bool batched() const override { return all_->batched(); }
  std::optional<int64_t> class_count() const override { return all_->class_count(); }
  Json provenance() const override;

 private:
  std::shared_ptr<const Dataset> all_;
  Order chosen_;
};

/// Samples stacked along a new first dimension; a single one as it is where it is a batch already.
struct Batch {
  TensorMap inputs;             ///< [size, ...] each
  TensorMap expected;           ///< likewise, where the source has it
  std::vector<int64_t> labels;  ///< empty where the samples have none
  std::vector<std::string> ids;
  size_t first = 0;  ///< place of its first sample in the order
  size_t size = 0;
};

/// The samples at `indices`, at least one. Errors (input): samples that differ in input names,
/// types or shapes, or in having a label, named by their ids; what get() throws.
Batch make_batch(const Dataset& dataset, std::span<const size_t> indices, size_t first = 0);

/// Batches in order, made ahead on threads of its own. At most workers + ahead batches exist at a
/// time besides those handed out. Neither number changes what comes.
class Loader {
 public:
  struct Options {
    size_t batch_size = 32;  ///< 1 for a data set whose samples are batches
    int workers = 1;         ///< 0: next() makes each batch itself
    size_t ahead = 2;        ///< batches that may wait
    bool drop_last = false;  ///< leave out a last batch that is not full
  };

  /// `dataset` outlives the loader.
  Loader(const Dataset& dataset, Order order, Options options);
  ~Loader();  ///< waits for the samples in work, not for the rest
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  size_t batches() const;  ///< in all
  size_t samples() const;  ///< in all

  /// The next batch, or nothing at the end. Rethrows what kept it from being made; after that the
  /// loader is at its end. For one thread.
  std::optional<Batch> next();

 private:
  class Queue;
  std::unique_ptr<Queue> queue_;
};

}  // namespace qtool
