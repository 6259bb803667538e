// SPDX-License-Identifier: Apache-2.0
#include "exec/memory_plan.h"

#include <algorithm>
#include <numeric>

#include "support/error.h"
#include "support/text.h"

namespace qtool {

namespace {
constexpr size_t kAlignment = 64;
constexpr size_t kMostBytes = size_t{1} << 47;
}  // namespace

MemoryPlan plan_memory(std::span<const Lifetime> blocks) {
  MemoryPlan plan;
  plan.offsets.assign(blocks.size(), 0);
  std::vector<size_t> order(blocks.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order,
                           [&](size_t a, size_t b) { return blocks[a].bytes > blocks[b].bytes; });
  struct Place {
    size_t begin;
    size_t end;
    size_t block;
  };
  std::vector<Place> placed;  // by begin
  for (const size_t block : order) {
    const Lifetime& life = blocks[block];
    if (life.bytes > kMostBytes) throw input_error("a tensor of " + human_bytes(life.bytes));
    const size_t bytes = (life.bytes + kAlignment - 1) / kAlignment * kAlignment;
    size_t offset = 0;
    for (const Place& other : placed) {
      const Lifetime& theirs = blocks[other.block];
      if (theirs.last < life.first || theirs.first > life.last) continue;
      if (other.begin >= offset + bytes) break;
      offset = std::max(offset, other.end);
    }
    plan.offsets[block] = offset;
    plan.bytes = std::max(plan.bytes, offset + bytes);
    if (plan.bytes > kMostBytes)
      throw input_error("activations of more than " + human_bytes(kMostBytes));
    const Place place{offset, offset + bytes, block};
    placed.insert(std::ranges::upper_bound(placed, offset, {}, &Place::begin), place);
  }
  return plan;
}

}  // namespace qtool
