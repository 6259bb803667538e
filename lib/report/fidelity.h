// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "tensor/tensor.h"

namespace qtool {

/// How near a tensor comes to its reference, over all samples at once. With r the reference, q the
/// other and sums over every element of every sample:
///   sqnr_db = 10 log10(sum r^2 / sum (q - r)^2)    cosine = sum r q / sqrt(sum r^2 sum q^2)
///   mse = mean (q - r)^2                           max_abs_error = max |q - r|
struct Fidelity {
  bool exact = false;             ///< every element is equal; the SQNR has no bound then
  std::optional<double> sqnr_db;  ///< absent: exact, nothing compared, nonfinite > 0, or r = 0
  std::optional<double> cosine;   ///< absent also where one of the two is zero everywhere
  std::optional<double> max_abs_error;
  std::optional<double> mse;
  std::optional<double> agreement;  ///< share of samples with the same top-1, 0 to 1
  uint64_t nonfinite =
      0;  ///< elements that are NaN or infinite on one side and not so on the other
  friend bool operator==(const Fidelity&, const Fidelity&) = default;
};

/// Collects a Fidelity batch by batch. Sums are taken in double within a sample, then over the
/// samples in their order, so that the batch size does not change a bit of the result, as long as
/// the first axis is the batch. Elements that are the same infinity, or NaN on both sides, count
/// as equal; any other NaN or infinity makes all but the agreement absent.
class FidelityMetrics {
 public:
  /// Any numeric types. Errors (input): shapes differ.
  void add(const Tensor& reference, const Tensor& other);

  uint64_t samples() const { return samples_; }
  Fidelity result() const;

 private:
  template <class T>
  void add_sample(std::span<const T> reference, std::span<const T> other, bool classes);

  uint64_t samples_ = 0;
  uint64_t elements_ = 0;
  uint64_t with_classes_ = 0;
  uint64_t agreeing_ = 0;
  uint64_t nonfinite_ = 0;
  bool equal_ = true;
  double reference_energy_ = 0;
  double other_energy_ = 0;
  double product_ = 0;
  double error_energy_ = 0;
  double max_error_ = 0;
};

}  // namespace qtool
