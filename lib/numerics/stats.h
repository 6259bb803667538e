// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "numerics/affine.h"

namespace qtool {

/// A sum of finite floats that is exact (a wide fixed-point accumulator), so that it does not
/// depend on the order in which terms and partial sums were added. Holds only the digits in use.
class ExactSum {
 public:
  void add(double term);
  void merge(const ExactSum& other);

  /// The exact sum, rounded once to nearest even.
  double value() const;

  /// As text and back, exact: "-0x3p-1" is -1.5. The digits are an odd integer, zero is "0x0p0",
  /// so that equal sums have equal texts. Errors (input): another text.
  std::string to_text() const;
  static ExactSum from_text(const std::string& text);
  friend bool operator==(const ExactSum& a, const ExactSum& b) {
    return a.normalised() == b.normalised();
  }

 private:
  static constexpr int kLimbs = 70;  // of 32 bits each: 2^-1074 to 2^1024, and head room
  using Limbs = std::array<int64_t, kLimbs>;
  Limbs normalised() const;  // limbs 0 to 2^32 - 1, but for the last, which has the sign
  static Limbs carried(const Limbs& limbs);
  static Limbs absolute(const Limbs& normalised);
  void assign(const Limbs& limbs);
  int64_t* window(size_t begin, size_t end);  // limbs begin to end, from now on kept

  std::vector<int64_t> limbs_;  // from first_ on; all others are 0
  size_t first_ = 0;
  uint32_t pending_ = 0;  // additions since the carries were last passed on
};

/// A histogram on a grid that depends only on the values seen, never on their order or on how
/// they were cut into batches: bin i holds the values in [i * 2^k, (i + 1) * 2^k), and k is the
/// least exponent (from kMinExponent on) for which all of the values and 0 fit into kBins
/// consecutive bins. When the range grows, pairs of bins merge exactly. Memory is bounded by
/// kBins counters.
class Histogram {
 public:
  static constexpr int kBins = 2048;
  static constexpr int kMinExponent = -126;  ///< 2^k and its inverse are normal floats
  static constexpr int kMaxExponent = 118;   ///< holds every float

  /// Counts finite values; others must have been filtered (internal error).
  void observe(std::span<const float> values);

  /// The same where the caller knows the values' lowest and highest and how many are 0. About a
  /// quarter of a nanosecond a value in blocks of thousands.
  void observe(std::span<const float> values, Range range, uint64_t zeros);

  void merge(const Histogram& other);

  bool empty() const { return counts_.empty(); }
  int exponent() const { return exponent_; }                    ///< bin width is 2^exponent
  int64_t first_bin() const { return first_bin_; }              ///< grid index of counts()[0]
  std::span<const uint64_t> counts() const { return counts_; }  ///< trimmed: ends are not zero
  uint64_t total() const;

  /// The count of one bin of the grid, 0 outside.
  uint64_t count(int64_t bin) const;
  int64_t bin_of(float value) const;

  /// Rebuilds one from its parts. Errors (input): parts that no histogram has.
  static Histogram from_parts(int exponent, int64_t first_bin, std::vector<uint64_t> counts);
  friend bool operator==(const Histogram&, const Histogram&) = default;

 private:
  void coarsen_to_hold(double low, double high);
  void extend_to(int64_t first, int64_t last);

  int exponent_ = kMinExponent;
  int64_t first_bin_ = 0;
  std::vector<uint64_t> counts_;
};

/// What calibration keeps of one tensor: mergeable, bounded in memory whatever the number of
/// samples, and equal for every order, batch size and sharding of the same samples.
struct TensorStats {
  uint64_t samples = 0;   ///< samples that held at least one finite element
  uint64_t elements = 0;  ///< finite elements
  uint64_t zeros = 0;     ///< elements equal to zero
  uint64_t nans = 0;
  uint64_t infinities = 0;
  Range range;           ///< of the finite elements, never -0; zeros while elements == 0
  ExactSum sample_lows;  ///< sum over the samples of each sample's lowest element
  ExactSum sample_highs;
  Histogram histogram;
  std::optional<int> channel_axis;
  std::vector<Range> channel_ranges;   ///< per index of channel_axis, each widened to hold 0
  std::vector<ExactSum> channel_sums;  ///< over the samples of each sample's sum of the channel

  /// Mean of each channel's elements, those that are not finite counted as 0; empty without
  /// channels.
  std::vector<double> channel_means() const;

  bool empty() const { return elements == 0; }

  /// Whether nothing was ever fed, not even a sample without elements.
  bool untouched() const { return *this == TensorStats{}; }

  /// Exactly what observing both would have given. Errors (input): unlike channels.
  void merge(const TensorStats& other);
  friend bool operator==(const TensorStats&, const TensorStats&) = default;
};

}  // namespace qtool
