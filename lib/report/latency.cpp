// SPDX-License-Identifier: Apache-2.0
#include "report/latency.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "support/error.h"

namespace qtool {

namespace {

double quantile_of_sorted(std::span<const double> sorted, double p) {
  const double position = p * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(position);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  const double share = position - static_cast<double>(below);
  return sorted[below] + share * (sorted[above] - sorted[below]);
}

std::vector<double> sorted_copy(std::span<const double> samples) {
  QTOOL_CHECK(!samples.empty(), "a quantile of nothing");
  std::vector<double> sorted(samples.begin(), samples.end());
  for (const double sample : sorted) QTOOL_CHECK(std::isfinite(sample), "a sample is not finite");
  std::sort(sorted.begin(), sorted.end());
  return sorted;
}

}  // namespace

double quantile(std::span<const double> samples, double p) {
  QTOOL_CHECK(p >= 0 && p <= 1, "a quantile lies between 0 and 1");
  return quantile_of_sorted(sorted_copy(samples), p);
}

LatencySummary summarize_latency(std::span<const double> milliseconds) {
  const std::vector<double> sorted = sorted_copy(milliseconds);
  QTOOL_CHECK(sorted.front() >= 0, "a negative time");
  return {.median = quantile_of_sorted(sorted, 0.5),
          .p10 = quantile_of_sorted(sorted, 0.1),
          .p90 = quantile_of_sorted(sorted, 0.9)};
}

double throughput(uint64_t batch, std::span<const double> milliseconds) {
  double total = 0;
  for (const double time : milliseconds) total += time;
  const double samples = static_cast<double>(batch) * static_cast<double>(milliseconds.size());
  return total > 0 ? samples / total * 1000 : 0;
}

}  // namespace qtool
