// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <memory>
#include <span>
#include <vector>

#include "tensor/tensor.h"

namespace qtool {

/// How much sample stores together may hold in memory; what does not fit goes to files.
class MemoryBudget {
 public:
  explicit MemoryBudget(uint64_t bytes) : left_(bytes) {}
  bool take(uint64_t bytes) {
    if (bytes > left_) return false;
    left_ -= bytes;
    return true;
  }
  void give_back(uint64_t bytes) { left_ += bytes; }

 private:
  uint64_t left_;
};

/// Whether a tensor counts the samples in front, so that a row is one of its slices; a row of one
/// that does not is the whole tensor of one sample alone.
enum class RowForm { slice, whole };

/// One tensor of many samples, row by row: in memory, or in a temporary file that has no name and
/// goes with the process. The budget must live as long.
class SampleStore {
 public:
  /// `row` is the shape of one sample, of slices without the batch. Errors (input): no room in
  /// $TMPDIR.
  SampleStore(DType dtype, Shape row, size_t samples, MemoryBudget& budget,
              RowForm form = RowForm::slice);
  ~SampleStore();
  SampleStore(const SampleStore&) = delete;
  SampleStore& operator=(const SampleStore&) = delete;

  /// Rows [first, first + the batch's extent) from a tensor [batch, row...], or the row `first`
  /// from a whole one. Errors (input): the disk is full.
  void write(size_t first, const TensorView& batch);

  /// These rows as a tensor [rows.size(), row...]; whole ones are read one at a time.
  Tensor read(std::span<const size_t> rows) const;
  Tensor read(size_t first, size_t count) const;

  size_t samples() const { return samples_; }
  RowForm form() const { return form_; }
  bool on_disk() const { return file_ != nullptr; }

 private:
  DType dtype_;
  Shape row_;
  size_t row_bytes_;
  size_t samples_;
  MemoryBudget& budget_;
  RowForm form_;
  std::vector<std::byte> memory_;
  std::FILE* file_ = nullptr;
};

}  // namespace qtool
