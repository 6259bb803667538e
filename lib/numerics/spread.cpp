// SPDX-License-Identifier: Apache-2.0
#include "numerics/spread.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace qtool {

std::vector<Mass> spread(const TensorStats& stats) {
  const Histogram& histogram = stats.histogram;
  const double width = std::ldexp(1.0, histogram.exponent());
  std::vector<Mass> masses;
  masses.reserve(histogram.counts().size() + 1);
  if (stats.zeros > 0) masses.push_back({0, 0, static_cast<double>(stats.zeros)});
  for (size_t i = 0; i < histogram.counts().size(); ++i) {
    const int64_t bin = histogram.first_bin() + static_cast<int64_t>(i);
    uint64_t count = histogram.counts()[i];
    if (bin == 0) count -= std::min(count, stats.zeros);
    if (count == 0) continue;
    const double low =
        std::max(static_cast<double>(bin) * width, static_cast<double>(stats.range.low));
    const double high =
        std::min(static_cast<double>(bin + 1) * width, static_cast<double>(stats.range.high));
    // A sliver is a point: the highest value often stands at the very start of its bin, such as
    // the 6 of a ReLU6, and the density there would be beyond all measure.
    const bool point = !(high - low > width / 4096);
    masses.push_back({point ? high : low, high, static_cast<double>(count)});
  }
  return masses;
}

SpreadError::SpreadError(const std::vector<Mass>& masses) {
  edges_.reserve(masses.size() + 1);
  changes_.reserve(masses.size() + 1);
  for (const Mass& mass : masses) {
    if (mass.low == mass.high) {
      if (mass.low != 0) points_.push_back(mass);
      continue;
    }
    const double density = mass.count / (mass.high - mass.low);
    if (edges_.empty() || edges_.back() != mass.low) {
      edges_.push_back(mass.low);
      changes_.push_back(0);
    }
    changes_.back() -= density;
    edges_.push_back(mass.high);
    changes_.push_back(density);
  }
}

namespace {

/// The grid around 0 in units of values: codes less the zero point.
struct Grid {
  explicit Grid(const QuantParams& params)
      : step(static_cast<double>(params.scale[0])), inverse(1 / step),
        lowest(params.type.lowest() - params.zero_point[0]),
        highest(params.type.highest() - params.zero_point[0]) {}

  /// The number of the grid's point nearest to x. Either one will do at a tie.
  double nearest(double x) const {
    double place = x * inverse;
    place = place < lowest ? lowest : place;
    place = place > highest ? highest : place;
    constexpr double kUnitSpacing = 0x1.8p52;
    return (place + kUnitSpacing) - kUnitSpacing;
  }

  /// The integral of the squared error from 0 to x.
  double integral(double x) const {
    const double number = nearest(x);
    const double error = x - number * step;
    return number * (step * step * step / 12) + error * error * error / 3;
  }

  double step;
  double inverse;
  double lowest;
  double highest;
};

}  // namespace

double SpreadError::operator()(const QuantParams& params) const {
  QTOOL_CHECK(params.per_tensor(), "one scale for the tensor");
  const Grid grid(params);
  constexpr size_t kLanes = 4;  // independent sums, in an order that is the same everywhere
  std::array<double, kLanes> sums{};
  size_t i = 0;
  for (; i + kLanes <= edges_.size(); i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      sums[lane] += changes_[i + lane] * grid.integral(edges_[i + lane]);
    }
  }
  for (; i < edges_.size(); ++i) sums[0] += changes_[i] * grid.integral(edges_[i]);
  double total = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  for (const Mass& point : points_) {
    const double error = point.low - grid.nearest(point.low) * grid.step;
    total += point.count * error * error;
  }
  return std::max(total, 0.0);
}

namespace {

/// Elements of the mass above t.
double above(const Mass& mass, double t) {
  if (mass.low > t) return mass.count;
  if (mass.high <= t) return 0;
  return mass.count * ((mass.high - t) / (mass.high - mass.low));
}

}  // namespace

double tail_threshold(const std::vector<Mass>& masses, Sides sides, double outside) {
  const auto tail = [&](double t) {
    double count = 0;
    for (const Mass& mass : masses) {
      if (sides.above) count += above(mass, t);
      if (sides.below) count += above({-mass.high, -mass.low, mass.count}, t);
    }
    return count;
  };
  double high = 0;
  for (const Mass& mass : masses) {
    if (sides.above) high = std::max(high, mass.high);
    if (sides.below) high = std::max(high, -mass.low);
  }
  if (tail(0) <= outside) return 0;
  double low = 0;
  // Halving ends at two neighbouring floats; that finds a step in the tail as well as a slope.
  while (static_cast<float>(low) != static_cast<float>(high)) {
    const double middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) break;
    (tail(middle) <= outside ? high : low) = middle;
  }
  return high;
}

}  // namespace qtool
