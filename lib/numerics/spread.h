// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "numerics/stats.h"

namespace qtool {

/// Elements that lie evenly between two values; all of them at one where low == high.
struct Mass {
  double low = 0;
  double high = 0;
  double count = 0;
};

/// What the statistics say of where the elements are: one Mass per bin, cut to the observed
/// range, and one at exactly 0 for the zeros. For use inside of this room.
std::vector<Mass> spread(const TensorStats& stats);

/// The squared error of quantizing such elements, in one pass over them for each set of params.
class SpreadError {
 public:
  explicit SpreadError(const std::vector<Mass>& masses);
  double operator()(const QuantParams& params) const;

 private:
  std::vector<double> edges_;    // where the density changes
  std::vector<double> changes_;  // minus by how much
  std::vector<Mass> points_;
};

/// The least t such that at most `outside` elements are above t (sides.above) or below -t
/// (sides.below).
struct Sides {
  bool below = true;
  bool above = true;
};
double tail_threshold(const std::vector<Mass>& masses, Sides sides, double outside);

}  // namespace qtool
