// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "numerics/affine.h"

namespace qtool {

/// A sum of floats that is exact (a wide fixed-point accumulator), so that it does not depend on
/// the order in which terms and partial sums were added. Finite terms only.
class ExactSum {
 public:
  void add(float term);
  void add(double term);
  void merge(const ExactSum& other);

  /// The exact sum, rounded once.
  double value() const;

  /// As text and back, exact (hexadecimal limbs, low first).
  std::string to_text() const;
  static ExactSum from_text(const std::string& text);
  friend bool operator==(const ExactSum&, const ExactSum&);

 private:
  void normalise() const;
  static constexpr int kLimbs = 70;  // 32 bits each: 2^-1074 to beyond 2^1024, with head room
  mutable std::array<int64_t, kLimbs> limbs_{};
  mutable uint32_t pending_ = 0;
};

/// A histogram on a grid that depends only on the values seen, never on their order or on how
/// they were cut into batches: bin i holds the values in [i * 2^k, (i + 1) * 2^k), and k is the
/// least exponent for which all of the values (and 0) fit into kBins consecutive bins. When the
/// range grows, pairs of bins merge exactly. Memory is bounded by kBins counters.
class Histogram {
 public:
  static constexpr int kBins = 2048;

  /// Counts finite values; the others must have been filtered.
  void observe(std::span<const float> values);
  void merge(const Histogram& other);

  bool empty() const { return counts_.empty(); }
  int exponent() const { return exponent_; }        ///< bin width is 2^exponent
  int64_t first_bin() const { return first_bin_; }  ///< grid index of counts()[0]
  std::span<const uint64_t> counts() const { return counts_; }  ///< trimmed: ends are not zero
  uint64_t total() const;

  /// Rebuilds one from its parts. Errors (input): parts that no histogram has.
  static Histogram from_parts(int exponent, int64_t first_bin, std::vector<uint64_t> counts);
  friend bool operator==(const Histogram&, const Histogram&) = default;

 private:
  void include(float low, float high);
  void coarsen(int exponent);

  int exponent_ = 0;
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
  Range range;            ///< of the finite elements; meaningless while elements == 0
  ExactSum sample_lows;   ///< sum over the samples of each sample's lowest element
  ExactSum sample_highs;
  Histogram histogram;
  std::optional<int> channel_axis;
  std::vector<Range> channel_ranges;  ///< per index of channel_axis

  bool empty() const { return elements == 0; }

  /// Exactly what observing both would have given. Errors (input): unlike channels.
  void merge(const TensorStats& other);
  friend bool operator==(const TensorStats&, const TensorStats&) = default;
};

/// The full observed range.
struct MinMax {
  friend bool operator==(const MinMax&, const MinMax&) = default;
};
/// The mean over the samples of each sample's bounds (NNCF's default; clips outlier samples).
struct MeanMinMax {
  friend bool operator==(const MeanMinMax&, const MeanMinMax&) = default;
};
/// Leaves (100 - percentile) percent of the elements outside, split evenly between the sides that
/// the tensor has. 50 < percentile <= 100.
struct Percentile {
  double percentile = 99.999;
  friend bool operator==(const Percentile&, const Percentile&) = default;
};
/// The interval with the least expected squared quantization error over the histogram.
struct MeanSquare {
  friend bool operator==(const MeanSquare&, const MeanSquare&) = default;
};

using RangeMethod = std::variant<MinMax, MeanMinMax, Percentile, MeanSquare>;

/// "minmax", "mean-minmax", "percentile:99.99", "mse".
std::string to_string(const RangeMethod& method);

/// The inverse. Errors (usage): another word, with what is possible.
RangeMethod parse_range_method(const std::string& text);

/// The interval that the method chooses for a grid, always inside of the observed range (0 added).
/// Errors (input): no element was observed.
Range select_range(const TensorStats& stats, QuantType type, Scheme scheme,
                   const RangeMethod& method);

/// Sum over the histogram of the squared error of quantizing with `params`: each bin's mass spread
/// evenly over its width; what lies outside of the representable interval is clipped.
double expected_squared_error(const Histogram& histogram, const QuantParams& params);

/// Per channel (or for the whole tensor, with no axis), the scale range with the least squared
/// error of quantizing exactly these elements: for weights. A grid search over shrunken ranges,
/// refined around the best (Banner et al. 2019, arXiv:1810.05723, search for the clipping value).
std::vector<Range> mse_weight_ranges(const Tensor& weights, QuantType type, Scheme scheme,
                                     std::optional<int> axis);

/// Per channel (or whole tensor) lowest and highest element. Errors (input): NaN or infinity.
std::vector<Range> weight_ranges(const Tensor& weights, std::optional<int> axis);

}  // namespace qtool
