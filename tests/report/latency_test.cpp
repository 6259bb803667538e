// SPDX-License-Identifier: Apache-2.0
#include "report/latency.h"

#include <limits>
#include <vector>

#include "catch.h"
#include "support/error.h"

using namespace qtool;

TEST_CASE("quantiles interpolate between the two nearest samples") {
  // Positions 0.3, 1.5 and 2.7 of 1, 2, 3, 4.
  const auto four = summarize_latency(std::vector<double>{4, 1, 3, 2});
  CHECK(four.p10 == Approx(1.3).epsilon(1e-15));
  CHECK(four.median == 2.5);
  CHECK(four.p90 == Approx(3.7).epsilon(1e-15));
  // Positions 1, 5 and 9 of 1 to 11: no interpolation.
  const auto eleven = summarize_latency(std::vector<double>{11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1});
  CHECK(eleven == LatencySummary{.median = 6, .p10 = 2, .p90 = 10});
  CHECK(summarize_latency(std::vector<double>{7}) ==
        LatencySummary{.median = 7, .p10 = 7, .p90 = 7});
  CHECK(quantile(std::vector<double>{5, 1}, 0) == 1);
  CHECK(quantile(std::vector<double>{5, 1}, 1) == 5);
}

TEST_CASE("throughput counts samples, not runs") {
  CHECK(throughput(4, std::vector<double>{1.5, 2.5}) == 2000);  // 8 samples in 4 ms
  CHECK(throughput(1, std::vector<double>{0, 0}) == 0);
  CHECK(throughput(1, {}) == 0);
}

TEST_CASE("no runs and impossible times are bugs of the caller") {
  CHECK_THROWS_AS(summarize_latency({}), Error);
  CHECK_THROWS_AS(summarize_latency(std::vector<double>{1, -1}), Error);
  CHECK_THROWS_AS(summarize_latency(std::vector<double>{std::numeric_limits<double>::quiet_NaN()}),
                  Error);
  CHECK_THROWS_AS(quantile(std::vector<double>{1}, 1.5), Error);
}
