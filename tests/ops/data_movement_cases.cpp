// SPDX-License-Identifier: Apache-2.0
#include "ops/data_movement_cases.h"

namespace qtool::test {

std::vector<OpCase> data_movement_cases() {
  std::vector<OpCase> all;
  for (auto* const list : {split_gather_cases, scatter_cases, expand_cases, fill_cases, pick_cases,
                           resize_cases, einsum_cases, sampling_cases, signal_cases}) {
    for (OpCase& item : list()) all.push_back(std::move(item));
  }
  return all;
}

}  // namespace qtool::test
