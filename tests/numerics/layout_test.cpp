// SPDX-License-Identifier: Apache-2.0
#include "numerics/layout.h"

#include <vector>

#include "catch.h"

using namespace qtool;

namespace {

std::vector<int64_t> slices(const ScaleLayout& layout) {
  std::vector<int64_t> found;
  layout.for_each_element([&](int64_t element, int64_t slice) {
    CHECK(element == static_cast<int64_t>(found.size()));
    found.push_back(slice);
  });
  return found;
}

}  // namespace

TEST_CASE("every element in order with the slice whose scale it has") {
  const Shape shape{2, 3, 2};
  using Slices = std::vector<int64_t>;
  CHECK(slices({shape, std::nullopt, 0}) == Slices(12, 0));
  CHECK(slices({shape, 0, 0}) == Slices{0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1});
  CHECK(slices({shape, 1, 0}) == Slices{0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2});
  CHECK(slices({shape, 2, 0}) == Slices{0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1});
  // Blocks of two of three: scales of [2, 2, 2].
  CHECK(slices({shape, 1, 2}) == Slices{0, 1, 0, 1, 2, 3, 4, 5, 4, 5, 6, 7});
  CHECK(slices({{2, 3}, 1, 2}) == Slices{0, 0, 1, 2, 2, 3});
  CHECK(slices({{0, 3}, 1, 0}).empty());
}
