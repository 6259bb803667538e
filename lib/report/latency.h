// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

namespace qtool {

/// Milliseconds of one run.
struct LatencySummary {
  double median = 0;
  double p10 = 0;
  double p90 = 0;
  friend bool operator==(const LatencySummary&, const LatencySummary&) = default;
};

/// The p-quantile, 0 <= p <= 1, of at least one finite sample in any order, by linear interpolation
/// between the two nearest: position p (n - 1) of the sorted samples counted from 0 (type 7 of
/// Hyndman and Fan 1996, "Sample Quantiles in Statistical Packages"; NumPy's default).
double quantile(std::span<const double> samples, double p);

/// Of at least one run, each finite and not negative.
LatencySummary summarize_latency(std::span<const double> milliseconds);

/// Samples a second over all of the runs: batch * runs / sum of times; 0 where that sum is 0.
double throughput(uint64_t batch, std::span<const double> milliseconds);

}  // namespace qtool
