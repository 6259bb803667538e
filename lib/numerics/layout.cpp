// SPDX-License-Identifier: Apache-2.0
#include "numerics/layout.h"

namespace qtool {

ScaleLayout::ScaleLayout(const Shape& shape, std::optional<int> axis, int64_t block_size) {
  if (!axis) {
    extent = element_count(shape);
    return;
  }
  const auto place = static_cast<size_t>(*axis);
  QTOOL_CHECK(*axis >= 0 && place < shape.size(),
              "axis " + std::to_string(*axis) + " of " + to_string(shape));
  QTOOL_CHECK(block_size >= 0, "blocks of " + std::to_string(block_size));
  per_tensor = false;
  outer = element_count({shape.begin(), shape.begin() + *axis});
  extent = shape[place];
  inner = element_count({shape.begin() + *axis + 1, shape.end()});
  // One block that is longer than the axis is the whole axis; clamped so that sums cannot overflow.
  block = std::min(block_size, std::max<int64_t>(extent, 1));
}

}  // namespace qtool
