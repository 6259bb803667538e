// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "ops/op_def.h"

namespace qtool {

// References of ops that compute with real numbers of any float type: in double, rounded once.

/// The elements of an input. Errors (unsupported): they are not float16, bfloat16, float or double.
std::vector<double> reals(const ReferenceCall& call, size_t slot);

/// Numbers as elements of a float type.
Tensor real_tensor(DType dtype, Shape shape, const std::vector<double>& values);

}  // namespace qtool
