// SPDX-License-Identifier: Apache-2.0
#include "ops/pool_indices.h"

#include <optional>

namespace qtool {

namespace {

/// The digits of a row-major number over `extents`.
std::vector<int64_t> digits(int64_t number, const Shape& extents) {
  std::vector<int64_t> places(extents.size());
  for (size_t d = extents.size(); d-- > 0;) {
    places[d] = number % extents[d];
    number /= extents[d];
  }
  return places;
}

int64_t row_major(const std::vector<int64_t>& at, const Shape& extents) {
  int64_t number = 0;
  for (size_t d = 0; d < at.size(); ++d) number = number * extents[d] + at[d];
  return number;
}

int64_t column_major_place(const std::vector<int64_t>& at, const Shape& extents) {
  int64_t number = 0;
  for (size_t d = at.size(); d-- > 0;) number = number * extents[d] + at[d];
  return number;
}

/// The element under tap `k` of the window at `o`; nothing in the padding.
std::optional<std::vector<int64_t>> element(const Window& window, const Shape& spatial,
                                            const std::vector<int64_t>& o,
                                            const std::vector<int64_t>& k) {
  std::vector<int64_t> at(o.size());
  for (size_t d = 0; d < o.size(); ++d) {
    at[d] = o[d] * window.strides[d] - window.pad_begin(d) + k[d] * window.dilations[d];
    if (at[d] < 0 || at[d] >= spatial[d]) return std::nullopt;
  }
  return at;
}

}  // namespace

Tensor max_pool_indices(const Tensor& x, const Window& window, const Shape& out,
                        bool column_major) {
  const Shape spatial(x.shape().begin() + 2, x.shape().end());
  const int64_t plane = element_count(spatial);
  const int64_t outputs = element_count(out);
  const int64_t taps = element_count(window.kernel);
  Shape shape{x.shape()[0], x.shape()[1]};
  shape.insert(shape.end(), out.begin(), out.end());
  Tensor indices(DType::int64, shape);
  for (int64_t i = 0; i < indices.size(); ++i) {
    const int64_t base = i / outputs * plane;
    const std::vector<int64_t> o = digits(i % outputs, out);
    std::optional<float> best;
    int64_t place = 0;
    for (int64_t tap = 0; tap < taps; ++tap) {
      const auto at = element(window, spatial, o, digits(tap, window.kernel));
      if (!at) continue;
      const float value = x.data<float>()[static_cast<size_t>(base + row_major(*at, spatial))];
      if (best && !(value > *best || value != value)) continue;
      best = value;
      place = column_major ? column_major_place(*at, spatial) : row_major(*at, spatial);
    }
    indices.data<int64_t>()[static_cast<size_t>(i)] = base + place;
  }
  return indices;
}

}  // namespace qtool
