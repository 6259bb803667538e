// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace qtool {

/// A block of memory that is needed from step `first` to step `last`, both included.
struct Lifetime {
  size_t bytes = 0;
  int first = 0;
  int last = 0;
};

/// Offsets (multiples of 64) for blocks so that no two that live at once overlap, and the bytes
/// needed in all. Greedy by size: the largest first, each at the lowest place that is free
/// (Pisarchyk and Lee 2020, arXiv:2001.03288, "greedy by size for offset calculation"). Errors
/// (input): more than any machine has.
struct MemoryPlan {
  std::vector<size_t> offsets;
  size_t bytes = 0;
};
MemoryPlan plan_memory(std::span<const Lifetime> blocks);

}  // namespace qtool
