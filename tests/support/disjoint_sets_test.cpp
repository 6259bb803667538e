// SPDX-License-Identifier: Apache-2.0
#include "support/disjoint_sets.h"

#include "catch.h"

using qtool::DisjointSets;

TEST_CASE("Sets stand by their lowest member, in whatever order they were joined") {
  DisjointSets sets(7);
  for (size_t i = 0; i < 7; ++i) CHECK(sets.root(i) == i);
  sets.join(5, 4);
  sets.join(6, 5);
  sets.join(1, 3);
  CHECK(sets.root(6) == 4);
  sets.join(6, 3);
  for (const size_t member : {1U, 3U, 4U, 5U, 6U}) CHECK(sets.root(member) == 1);
  CHECK(sets.root(0) == 0);
  CHECK(sets.root(2) == 2);
}
