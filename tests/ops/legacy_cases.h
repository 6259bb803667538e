// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ops/op_case.h"

namespace qtool::test {

std::vector<OpCase> legacy_cases();
std::vector<OpCase> matmul_nbits_cases();

}  // namespace qtool::test
