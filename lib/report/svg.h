// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace qtool {

// Charts as SVG elements to stand inside of an HTML page, drawn without scripts. Labels are as a
// model file has them; they are escaped here. Numbers are finite.

struct Point {
  double x = 0;
  double y = 0;
  std::string label;
  bool reference = false;  ///< the float model, drawn in another form
};

struct Scatter {
  std::string title;
  std::string x_title;
  std::string y_title;
  std::vector<Point> points;
  bool joined = false;  ///< by a line, in their order, and without their labels beside them
};
std::string scatter_chart(const Scatter& chart);

/// Two bars a row, of which one may be missing.
struct Bar {
  std::string label;
  std::optional<double> first;
  std::optional<double> second;
};

struct Bars {
  std::string title;
  std::string unit;
  std::string first_title;
  std::string second_title;
  std::vector<Bar> bars;
};
std::string bar_chart(const Bars& chart);

/// Counts of equal bins from low to high, drawn by their logarithms; the part from range_low to
/// range_high is marked.
struct Bins {
  std::string title;
  double low = 0;
  double high = 1;
  std::vector<uint64_t> counts;
  double range_low = 0;
  double range_high = 1;
};
std::string histogram_chart(const Bins& chart);

/// Round numbers that cut [low, high] into 4 to 10 parts, from at or below low to at or above high.
std::vector<double> axis_ticks(double low, double high);

}  // namespace qtool
