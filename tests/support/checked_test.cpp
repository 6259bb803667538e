// SPDX-License-Identifier: Apache-2.0
#include "support/checked.h"

#include "catch.h"

using namespace qtool;

TEST_CASE("Checked arithmetic agrees with wider arithmetic on every pair of bytes") {
  int wrong = 0;
  for (int a = -128; a <= 127; ++a) {
    for (int b = -128; b <= 127; ++b) {
      const auto fits = [](int exact) { return exact >= -128 && exact <= 127; };
      const auto product = checked_multiply(static_cast<int8_t>(a), static_cast<int8_t>(b));
      const auto sum = checked_add(static_cast<int8_t>(a), static_cast<int8_t>(b));
      if (product.has_value() != fits(a * b) || (product && *product != a * b)) ++wrong;
      if (sum.has_value() != fits(a + b) || (sum && *sum != a + b)) ++wrong;
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("Checked arithmetic at the ends of 64 bits") {
  constexpr int64_t kMost = INT64_MAX;
  CHECK(checked_multiply(int64_t{3037000499}, int64_t{3037000499}) == 9223372030926249001);
  CHECK(!checked_multiply(int64_t{3037000500}, int64_t{3037000500}));
  CHECK(checked_add(kMost - 1, int64_t{1}) == kMost);
  CHECK(!checked_add(kMost, int64_t{1}));
  CHECK(!checked_multiply(SIZE_MAX / 2 + 1, size_t{2}));
  CHECK(!checked_add(SIZE_MAX, size_t{1}));
}

TEST_CASE("narrow keeps the value or calls it a bug") {
  CHECK(narrow<uint8_t>(int64_t{255}) == 255);
  CHECK(narrow<int32_t>(size_t{2147483647}) == 2147483647);
  CHECK_THROWS_AS(narrow<uint8_t>(256), Error);
  CHECK_THROWS_AS(narrow<size_t>(-1), Error);
  try {
    narrow<int8_t>(200);
  } catch (const Error& error) {
    CHECK(error.kind() == Error::Kind::internal);
    CHECK(error.message().find("value does not fit: 200") != std::string::npos);
  }
}
