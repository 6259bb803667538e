// SPDX-License-Identifier: Apache-2.0
#include "exec/memory_plan.h"

#include <algorithm>

#include "catch.h"
#include "support/error.h"
#include "support/rng.h"

using namespace qtool;

TEST_CASE("Blocks that do not live together share memory") {
  const std::vector<Lifetime> chain{{100, 0, 1}, {100, 1, 2}, {100, 2, 3}, {100, 3, 4}};
  const MemoryPlan plan = plan_memory(chain);
  CHECK(plan.offsets == std::vector<size_t>{0, 128, 0, 128});
  CHECK(plan.bytes == 256);
  CHECK(plan_memory({}).bytes == 0);
}

TEST_CASE("A block goes into a gap that holds it") {
  // The large one and the last one leave 128 bytes between them at step 1.
  const std::vector<Lifetime> blocks{{256, 0, 1}, {128, 0, 0}, {192, 0, 1}, {64, 1, 1}};
  const MemoryPlan plan = plan_memory(blocks);
  CHECK(plan.offsets == std::vector<size_t>{0, 448, 256, 448});
  CHECK(plan.bytes == 576);
}

TEST_CASE(
    "Whatever the lifetimes: live blocks never overlap, offsets are aligned, memory is bounded") {
  Rng rng(14);
  size_t peaks = 0;
  size_t planned = 0;
  for (int round = 0; round < 2000; ++round) {
    const int steps = 1 + static_cast<int>(rng.below(30));
    std::vector<Lifetime> blocks;
    for (uint32_t i = rng.below(40); i > 0; --i) {
      Lifetime life;
      life.bytes = rng.below(10) == 0 ? 0 : 1 + rng.below(5000);
      life.first = static_cast<int>(rng.below(static_cast<uint32_t>(steps)));
      life.last =
          life.first + static_cast<int>(rng.below(static_cast<uint32_t>(steps - life.first)));
      blocks.push_back(life);
    }
    const MemoryPlan plan = plan_memory(blocks);
    REQUIRE(plan.offsets.size() == blocks.size());
    size_t end = 0;
    size_t all = 0;
    for (size_t a = 0; a < blocks.size(); ++a) {
      REQUIRE(plan.offsets[a] % 64 == 0);
      end = std::max(end, plan.offsets[a] + blocks[a].bytes);
      all += (blocks[a].bytes + 63) / 64 * 64;
      for (size_t b = 0; b < a; ++b) {
        const bool together =
            blocks[a].first <= blocks[b].last && blocks[b].first <= blocks[a].last;
        const bool apart = plan.offsets[a] + blocks[a].bytes <= plan.offsets[b] ||
                           plan.offsets[b] + blocks[b].bytes <= plan.offsets[a];
        REQUIRE((!together || apart));
      }
    }
    REQUIRE(plan.bytes >= end);
    REQUIRE(plan.bytes <= all);
    size_t peak = 0;
    for (int step = 0; step < steps; ++step) {
      size_t live = 0;
      for (const Lifetime& life : blocks) {
        if (life.first <= step && step <= life.last) live += (life.bytes + 63) / 64 * 64;
      }
      peak = std::max(peak, live);
    }
    REQUIRE(plan.bytes >= peak);
    peaks += peak;
    planned += plan.bytes;
  }
  // The peak is the least that any plan needs; greedy by size comes close to it.
  CHECK(static_cast<double>(planned) < 1.1 * static_cast<double>(peaks));
}

TEST_CASE("Sizes that no machine has are an error, not an overflow") {
  CHECK_THROWS_AS(plan_memory(std::vector<Lifetime>{{SIZE_MAX - 5, 0, 0}}), Error);
  CHECK_THROWS_AS(plan_memory(std::vector<Lifetime>{
                      {size_t{1} << 46, 0, 0}, {size_t{1} << 46, 0, 0}, {size_t{1} << 46, 0, 0}}),
                  Error);
}
