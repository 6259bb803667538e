// SPDX-License-Identifier: Apache-2.0
#include "report/number_text.h"

#include "catch.h"

using namespace qtool;

TEST_CASE("numbers keep about three digits") {
  CHECK(three_digits(0) == "0.000");
  CHECK(three_digits(0.0512) == "0.0512");
  CHECK(three_digits(0.02) == "0.0200");
  CHECK(three_digits(0.6123) == "0.612");
  CHECK(three_digits(0.9996) == "1.00");
  CHECK(three_digits(6.126) == "6.13");
  CHECK(three_digits(9.996) == "10.0");
  CHECK(three_digits(61.26) == "61.3");
  CHECK(three_digits(99.96) == "100");
  CHECK(three_digits(1612.4) == "1612");
  CHECK(three_digits(-6.126) == "-6.13");
}

TEST_CASE("differences of shares are told in points and never vanish") {
  CHECK(points(0) == "no change");
  CHECK(points(-0.0003) == "-0.03 points");
  CHECK(points(0.0123) == "+1.23 points");
  CHECK(points(0.00002) == "+0.002 points");
  CHECK(points(-1e-9) == "-1.0e-07 points");
  CHECK(percent(0.9173) == "91.73 %");
  CHECK(percent(std::nullopt) == "-");
}

TEST_CASE("ratios say what they mean") {
  CHECK(size_change(0.25) == "0.250x (-75.0 %)");
  CHECK(size_change(1.5) == "1.50x (+50.0 %)");
  CHECK(size_change(1) == "same size");
  CHECK(speed_change(3.146) == "3.15x faster");
  CHECK(speed_change(0.8) == "1.25x slower");
  CHECK(speed_change(1.004) == "same speed");
}

TEST_CASE("counts are grouped and agree with their noun") {
  CHECK(grouped(0) == "0");
  CHECK(grouped(999) == "999");
  CHECK(grouped(1000) == "1,000");
  CHECK(grouped(1234567) == "1,234,567");
  CHECK(counted(1, "sample") == "1 sample");
  CHECK(counted(10'000, "sample") == "10,000 samples");
}

TEST_CASE("long names lose their middle, by whole characters") {
  CHECK(elided("abcdefgh", 8) == "abcdefgh");
  CHECK(elided("abcdefghi", 8) == "abc..ghi");
  CHECK(elided("äöüßäöüßx", 8) == "äöü..üßx");
  CHECK(elided("a\nb", 8) == "a\\x0ab");
}
