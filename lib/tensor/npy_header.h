// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string_view>

#include "tensor/tensor.h"

namespace qtool {

/// What the header of a NumPy array file says.
struct NpyHeader {
  DType dtype = DType::undefined;
  bool swapped = false;  ///< big endian
  bool fortran = false;  ///< first index fastest
  Shape shape;
};

inline constexpr size_t kMaxNpyHeader = 65536;

/// Reads "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }": a Python dictionary, of
/// which only these keys and forms are understood; nothing is evaluated. Errors (input): another
/// form, a key missing or twice; (unsupported): an element type without a DType.
NpyHeader parse_npy_header(std::string_view text);

}  // namespace qtool
