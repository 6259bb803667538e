// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "ops/op_def.h"

namespace qtool {

// References of ops that compute with real numbers of any float type: in double, rounded once.

/// The elements of an input. Errors (unsupported): they are not float16, bfloat16, float or double.
std::vector<double> reals(const ReferenceCall& call, size_t slot);

/// Numbers as elements of a float type.
Tensor real_tensor(DType dtype, Shape shape, const std::vector<double>& values);

/// The elements of an input modulo 2^64. Errors (unsupported): they are not integers of 8 to 64
/// bits.
std::vector<uint64_t> integers(const ReferenceCall& call, size_t slot);

/// Integers modulo 2^64 as elements of an integer type, which keep the low bits.
Tensor integer_tensor(DType dtype, Shape shape, const std::vector<uint64_t>& values);

}  // namespace qtool
