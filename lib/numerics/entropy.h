// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "numerics/affine.h"
#include "numerics/stats.h"

namespace qtool {

/// How much of a histogram's shape a grid loses: the Kullback-Leibler divergence of what the grid
/// tells from what was counted (Migacz 2017, "8-bit Inference with TensorRT"). For use inside of
/// this room.
///
/// Elements equal to zero take no part: every grid has a zero. Each bin goes to the code nearest to
/// its middle. P is what was counted, where that lies beyond the outermost codes' cells added to
/// the outermost bin inside that holds something; Q spreads what a code stands for evenly over
/// those of its bins that hold something. Q knows nothing of what was clipped, so clipping costs.
/// Logarithms are natural.
class Divergence {
 public:
  /// Bin i holds counts[i] elements from (first_bin + i) * bin_width on.
  Divergence(double bin_width, int64_t first_bin, std::vector<double> counts);
  explicit Divergence(const TensorStats& stats);

  bool empty() const { return total_ == 0; }
  double bin_width() const { return width_; }
  int64_t first_bin() const { return first_; }
  int64_t end_bin() const { return first_ + static_cast<int64_t>(mass_.size()) - 1; }

  /// Per-tensor parameters. Nothing where no element is inside, or where a code has less than one
  /// bin, so that the histogram cannot tell what it loses.
  std::optional<double> operator()(const QuantParams& params) const;

 private:
  struct Part {
    double mass;
    double filled;
    double order;  // sum of n * log n
  };
  size_t place(double bin) const;
  Part part(size_t begin, size_t end) const;

  double width_;
  int64_t first_;
  double total_;
  std::vector<double> counts_;
  std::vector<double> mass_;    // of the bins before, with one more at the end
  std::vector<double> filled_;  // how many of these hold something
  std::vector<double> order_;
  std::vector<size_t> next_;  // the first bin from here on that holds something
  std::vector<size_t> last_;  // the last one before
};

/// The range whose grid has the least divergence, its bounds at edges of bins: every edge where one
/// bound decides; with two, pairs 1/32 of each side apart, then steps halved around the best down
/// to single bins. Among equals the widest.
Range least_divergence(Divergence divergence, const Range& full, QuantType type, Scheme scheme);

}  // namespace qtool
