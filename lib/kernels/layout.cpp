// SPDX-License-Identifier: Apache-2.0
#include "kernels/layout.h"

#include <numeric>

namespace qtool {

std::string_view name(Layout layout) { return layout == Layout::plain ? "plain" : "channels_last"; }

std::vector<int> storage_order(const Shape& shape, Layout layout) {
  std::vector<int> order(shape.size());
  std::iota(order.begin(), order.end(), 0);
  if (layout == Layout::channels_last) {
    QTOOL_CHECK(shape.size() >= 3, "channels_last needs rank 3 or more, not " + to_string(shape));
    order.erase(order.begin() + 1);
    order.push_back(1);
  }
  return order;
}

std::vector<int64_t> strides(const Shape& shape, Layout layout) {
  std::vector<int64_t> result(shape.size());
  const std::vector<int> order = storage_order(shape, layout);
  int64_t stride = 1;
  for (size_t i = order.size(); i-- > 0;) {
    const auto dim = static_cast<size_t>(order[i]);
    result[dim] = stride;
    stride *= shape[dim];
  }
  return result;
}

bool same_order(const Shape& shape, Layout a, Layout b) {
  if (a == b || shape.size() < 3 || shape[1] == 1) return true;
  for (size_t dim = 2; dim < shape.size(); ++dim) {
    if (shape[dim] != 1) return false;
  }
  return true;
}

}  // namespace qtool
