// SPDX-License-Identifier: Apache-2.0
// The lists that make up data_movement_cases().
#pragma once

#include "ops/op_case.h"

namespace qtool::test {

std::vector<OpCase> split_gather_cases();
std::vector<OpCase> scatter_cases();
std::vector<OpCase> expand_cases();
std::vector<OpCase> fill_cases();
std::vector<OpCase> pick_cases();
std::vector<OpCase> resize_cases();
std::vector<OpCase> einsum_cases();
std::vector<OpCase> sampling_cases();
std::vector<OpCase> signal_cases();

}  // namespace qtool::test
