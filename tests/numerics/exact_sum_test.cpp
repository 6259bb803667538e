// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "catch.h"
#include "numerics/stats.h"
#include "support/rng.h"

using namespace qtool;

namespace {

ExactSum sum_of(std::initializer_list<double> terms) {
  ExactSum sum;
  for (const double term : terms) sum.add(term);
  return sum;
}

/// Any finite float, all exponents alike.
float any_float(Rng& rng) {
  for (;;) {
    const float value = std::bit_cast<float>(rng.next());
    if (std::isfinite(value)) return value;
  }
}

}  // namespace

TEST_CASE("a sum that doubles would lose") {
  CHECK(sum_of({1e300, 1, -1e300}).value() == 1);
  CHECK(sum_of({0x1p127, 0x1p-149, -0x1p127}).value() == 0x1p-149);
  CHECK(sum_of({0.1, 0.2, -0.1, -0.2}).value() == 0);
  CHECK(sum_of({}).value() == 0);
  CHECK(sum_of({-0.0}).value() == 0);
}

TEST_CASE("the sum is rounded once, half to even") {
  CHECK(sum_of({1, 0x1p-53}).value() == 1);                       // a tie: 1 is even
  CHECK(sum_of({1, 0x1p-53, 0x1p-1074}).value() == 1 + 0x1p-52);  // just above the tie
  CHECK(sum_of({1, 0x1p-52, 0x1p-53}).value() == 1 + 0x1p-51);    // a tie: up to even
  CHECK(sum_of({-1, -0x1p-53, -0x1p-1074}).value() == -1 - 0x1p-52);
  CHECK(sum_of({0x1p-1074, 0x1p-1074}).value() == 0x1p-1073);
  CHECK(std::isinf(sum_of({0x1.fffffffffffffp1023, 0x1.fffffffffffffp1023}).value()));
}

TEST_CASE("integers: the sum equals that of integer arithmetic") {
  Rng rng(1);
  ExactSum sum;
  int64_t oracle = 0;
  for (int i = 0; i < 100000; ++i) {
    const auto term = static_cast<int64_t>(rng.next()) - (int64_t{1} << 31);
    oracle += term;
    sum.add(static_cast<double>(term));
  }
  CHECK(sum.value() == static_cast<double>(oracle));
}

TEST_CASE("order and grouping do not matter") {
  Rng rng(2);
  std::vector<float> terms(2000);
  for (float& term : terms) term = any_float(rng);
  ExactSum forward;
  for (const float term : terms) forward.add(static_cast<double>(term));
  for (int trial = 0; trial < 10; ++trial) {
    rng.shuffle(std::span(terms));
    std::vector<ExactSum> parts(7);
    for (const float term : terms) parts[rng.below(7)].add(static_cast<double>(term));
    ExactSum merged;
    for (const ExactSum& part : parts) merged.merge(part);
    CHECK(merged == forward);
    CHECK(merged.to_text() == forward.to_text());
  }
  for (const float term : terms) forward.add(-static_cast<double>(term));
  CHECK(forward == ExactSum{});
}

TEST_CASE("text form of a sum") {
  CHECK(sum_of({}).to_text() == "0x0p0");
  CHECK(sum_of({-1.5}).to_text() == "-0x3p-1");
  CHECK(sum_of({16}).to_text() == "0x1p4");
  CHECK(sum_of({0x1p-1074}).to_text() == "0x1p-1074");
  CHECK(sum_of({0x2bp3}).to_text() == "0x2bp3");
  Rng rng(3);
  ExactSum sum;
  for (int i = 0; i < 300; ++i) {
    sum.add(static_cast<double>(any_float(rng)));
    const std::string text = sum.to_text();
    REQUIRE(ExactSum::from_text(text) == sum);
    // strtod reads such a number too, and rounds it once.
    REQUIRE(std::strtod(text.c_str(), nullptr) == sum.value());
  }
}

TEST_CASE("another text is refused") {
  for (const char* text :
       {"", "-", "0x", "0xp0", "1.5", "0x2p0", "0x01p0", "-0x0p0", "0x1p", "0x1p0 ", "0x1p-1075",
        "0x1p99999", "0x1p2300", "0xgp0", "0X1p0", "0x1p0x", "0x1p999999999999", "--0x1p0"}) {
    INFO(text);
    CHECK_THROWS_AS(ExactSum::from_text(text), Error);
  }
  CHECK_THROWS_AS(ExactSum::from_text("0x" + std::string(1000000, 'f') + "p0"), Error);
}
