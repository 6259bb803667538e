// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace qtool {

/// How scores are cut into rows of classes.
struct ClassRows {
  int64_t samples = 0;
  int64_t classes = 0;  ///< at least 2
};

/// [N,C] or [N,C] with extents of 1 anywhere behind N; [C] alone is one sample. Nothing for any
/// other shape, for C < 2 and for N = 0.
std::optional<ClassRows> class_rows(const Shape& shape);

/// The index of the largest score, the lowest such index where several are equal. NaN is never
/// the largest; nothing where all scores are NaN.
std::optional<int64_t> top1(std::span<const float> scores);
std::optional<int64_t> top1(std::span<const double> scores);

/// Shares of samples, 0 to 1. Absent means that it was not measured.
struct Accuracy {
  std::optional<double> top1;
  std::optional<double> top5;  ///< absent for 5 classes or fewer, where it would say nothing
  uint64_t nan_samples = 0;    ///< samples that have a NaN among their scores
  friend bool operator==(const Accuracy&, const Accuracy&) = default;
};

/// Samples on which two models differ in being right.
struct PairedOutcome {
  uint64_t lost = 0;    ///< the first was right, the second is not
  uint64_t gained = 0;  ///< the reverse
  friend bool operator==(const PairedOutcome&, const PairedOutcome&) = default;
};

/// Top-1 and top-5 of a classifier, batch by batch. A sample counts for top-k when fewer than k
/// classes score higher than its label or equal with a lower index. A label that scores NaN is
/// wrong. Counts are integers, so that the batch size changes nothing. Keeps one bit a sample.
class ClassificationMetrics {
 public:
  /// `scores` as class_rows() wants them, logits or probabilities, of any numeric type; one label
  /// and one id a sample. Errors (input): a shape without classes, a label that is no class (names
  /// the sample), a number of samples that is not the number of labels.
  void add(const Tensor& scores, std::span<const int64_t> labels, std::span<const std::string> ids);

  uint64_t samples() const { return right_.size(); }
  Accuracy accuracy() const;

  /// For every sample, in the order of add(), whether its top-1 was right.
  const std::vector<bool>& right() const { return right_; }

 private:
  std::vector<bool> right_;
  uint64_t top1_ = 0;
  uint64_t top5_ = 0;
  uint64_t nan_samples_ = 0;
  int64_t classes_ = 0;
};

/// Compares sample by sample; both must have seen the same samples in the same order.
PairedOutcome compare_outcomes(const ClassificationMetrics& first,
                               const ClassificationMetrics& second);

}  // namespace qtool
