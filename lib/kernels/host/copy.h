// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/kernel.h"
#include "kernels/layout.h"

namespace qtool {

/// Moves a block of elements between two strided places: every reshuffling of data (layout
/// conversion, Transpose, Slice, Concat, Split, Pad, Expand, Tile) is one or several of these.
struct StridedCopy {
  Shape extents;
  std::vector<int64_t> from_strides;  ///< in elements; may be 0 or negative
  std::vector<int64_t> to_strides;
  int64_t from_offset = 0;
  int64_t to_offset = 0;
  int input = 0;   ///< which kernel input it reads
  int output = 0;  ///< which kernel output it writes; an absent one is left out
};

/// Runs the copies in order after setting the whole of output 0 to `fill` where `fill_first`.
/// Element sizes of 1, 2, 4 and 8 bytes. Output 0 is one dense tensor of `output_elements`.
struct CopySpec {
  size_t element_bytes = 4;
  std::vector<StridedCopy> copies;
  int64_t output_elements = 0;
  bool fill_first = false;
  uint64_t fill = 0;  ///< the element's bits
};

KernelPtr make_copy(CopySpec spec);

/// The same elements in another layout.
KernelPtr make_layout_conversion(const Shape& shape, size_t element_bytes, Layout from, Layout to);

}  // namespace qtool
