// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "tensor/tensor.h"

namespace qtool {

/// How the elements of a tensor share scales: element (o, a, i) of [outer, extent, inner] belongs
/// to slice a per channel, to slice (o, a / block, i) of [outer, blocks, inner] when blocked, and
/// to slice 0 per tensor.
struct ScaleLayout {
  /// The axis must be one of the shape's (internal error otherwise).
  ScaleLayout(const Shape& shape, std::optional<int> axis, int64_t block_size);

  int64_t outer = 1;
  int64_t extent = 1;
  int64_t inner = 1;
  int64_t block = 0;  ///< 0: not blocked
  bool per_tensor = true;

  int64_t blocks() const { return block == 0 ? extent : (extent + block - 1) / block; }
  int64_t elements() const { return outer * extent * inner; }
  int64_t slices() const {
    if (per_tensor) return 1;
    return block == 0 ? extent : outer * blocks() * inner;
  }

  /// Cuts the tensor into contiguous runs: uniform(begin, count, slice) where one slice holds the
  /// run, ramp(begin, count, first_slice) where element i of it belongs to first_slice + i.
  template <class Uniform, class Ramp>
  void for_each_run(Uniform&& uniform, Ramp&& ramp) const {
    if (elements() == 0) return;
    if (per_tensor) {
      uniform(int64_t{0}, elements(), int64_t{0});
    } else if (block == 0) {
      for (int64_t o = 0; o < outer; ++o) {
        if (inner == 1) {
          ramp(o * extent, extent, int64_t{0});
          continue;
        }
        for (int64_t a = 0; a < extent; ++a) uniform((o * extent + a) * inner, inner, a);
      }
    } else if (inner == 1) {
      for (int64_t o = 0; o < outer; ++o) {
        for (int64_t b = 0; b < blocks(); ++b) {
          const int64_t begin = b * block;
          uniform(o * extent + begin, std::min(block, extent - begin), o * blocks() + b);
        }
      }
    } else {
      for (int64_t row = 0; row < outer * extent; ++row) {
        const int64_t slice_row = row / extent * blocks() + row % extent / block;
        ramp(row * inner, inner, slice_row * inner);
      }
    }
  }

  /// Calls f(element, slice) for each element, in order.
  template <class F>
  void for_each_element(F&& f) const {
    for_each_run(
        [&](int64_t begin, int64_t count, int64_t slice) {
          for (int64_t i = 0; i < count; ++i) f(begin + i, slice);
        },
        [&](int64_t begin, int64_t count, int64_t first_slice) {
          for (int64_t i = 0; i < count; ++i) f(begin + i, first_slice + i);
        });
  }

  /// Calls f(begin, count, stride) for the pieces that make up one slice.
  template <class F>
  void for_each_piece(int64_t slice, F&& f) const {
    if (elements() == 0) return;
    if (per_tensor) {
      f(int64_t{0}, elements(), int64_t{1});
    } else if (block == 0 && inner == 1) {
      f(slice, outer, extent);
    } else if (block == 0) {
      for (int64_t o = 0; o < outer; ++o) f((o * extent + slice) * inner, inner, int64_t{1});
    } else {
      const int64_t o = slice / inner / blocks();
      const int64_t begin = slice / inner % blocks() * block;
      f((o * extent + begin) * inner + slice % inner, std::min(block, extent - begin), inner);
    }
  }
};

}  // namespace qtool
