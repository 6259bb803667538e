// SPDX-License-Identifier: Apache-2.0
#include "rounding/element_grids.h"

#include <algorithm>
#include <cmath>

#include "numerics/layout.h"

namespace qtool {

ElementGrids::ElementGrids(const Shape& shape, const QuantParams& params) {
  const auto count = static_cast<size_t>(element_count(shape));
  for (std::vector<float>* each : {&scale, &lowest, &highest}) each->resize(count);
  slice.resize(count);
  ScaleLayout(shape, params.axis, params.block_size)
      .for_each_element([&](int64_t element, int64_t of) {
        const auto i = static_cast<size_t>(element);
        const auto s = static_cast<size_t>(of);
        scale[i] = params.scale[s];
        lowest[i] = static_cast<float>(params.type.lowest() - params.zero_point[s]);
        highest[i] = static_cast<float>(params.type.highest() - params.zero_point[s]);
        slice[i] = static_cast<uint32_t>(s);
      });
}

float ElementGrids::nearest(size_t i, float w, float with_scale) const {
  return std::clamp(std::nearbyint(w / with_scale), lowest[i], highest[i]) * with_scale + 0.0F;
}

bool powers_of_two(const QuantParams& params) {
  return std::ranges::all_of(params.scale, [](float scale) {
    int exponent = 0;
    return std::frexp(scale, &exponent) == 0.5F;
  });
}

}  // namespace qtool
