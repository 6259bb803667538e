// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/kernel.h"
#include "kernels/layout.h"

namespace qtool {

/// Where the elements along one axis of a resized tensor come from: output k is the sum over t of
/// weight[k * taps + t] times the input's element index[k * taps + t].
struct ResizeAxis {
  int64_t input = 1;
  int64_t output = 1;
  int64_t taps = 1;
  std::vector<int64_t> index = {};  ///< in [0, input); empty: the axis stays as it is
  std::vector<double> weight = {};  ///< empty: one tap of weight 1
  std::vector<bool> outside = {};   ///< output k lies outside of the input; empty: none does

  bool kept() const { return index.empty(); }
};

/// Axes with one tap without weights, one for each dimension; elements of 1, 2, 4 or 8 bytes.
MadeKernel make_nearest_resize(const std::vector<ResizeAxis>& axes, size_t element_bytes,
                               Layout layout);

/// float32, weighted along one axis after the other. Source and result lie in `layout`.
MadeKernel make_weighted_resize(const std::vector<ResizeAxis>& axes, Layout layout);

}  // namespace qtool
