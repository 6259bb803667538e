// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "numerics/affine.h"

namespace qtool {

/// The grid of each element of a tensor: codes less the zero point lie in [lowest, highest].
struct ElementGrids {
  ElementGrids(const Shape& shape, const QuantParams& params);
  std::vector<float> scale;
  std::vector<float> lowest;
  std::vector<float> highest;
  std::vector<uint32_t> slice;  ///< which of the parameters' scales

  /// On the grid with this scale, to nearest.
  float nearest(size_t i, float w, float with_scale) const;
};

/// All scales are powers of two.
bool powers_of_two(const QuantParams& params);

}  // namespace qtool
