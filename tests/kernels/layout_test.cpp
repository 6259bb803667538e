// SPDX-License-Identifier: Apache-2.0
#include "kernels/layout.h"

#include "catch.h"
#include "kernels/host/copy.h"
#include "kernels/run.h"
#include "support/rng.h"

using namespace qtool;

namespace {

/// All index tuples of a shape, in row-major order.
std::vector<std::vector<int64_t>> indices(const Shape& shape) {
  std::vector<std::vector<int64_t>> all;
  for (int64_t i = 0; i < element_count(shape); ++i) {
    std::vector<int64_t> index(shape.size());
    int64_t rest = i;
    for (size_t d = shape.size(); d-- > 0;) {
      index[d] = rest % shape[d];
      rest /= shape[d];
    }
    all.push_back(index);
  }
  return all;
}

int64_t offset(const std::vector<int64_t>& index, const std::vector<int64_t>& strides) {
  int64_t sum = 0;
  for (size_t d = 0; d < index.size(); ++d) sum += index[d] * strides[d];
  return sum;
}

Shape random_shape(Rng& rng, uint32_t rank, uint32_t most) {
  Shape shape;
  for (uint32_t d = 0; d < rank; ++d) shape.push_back(1 + rng.below(most));
  return shape;
}

}  // namespace

TEST_CASE("Strides of the two layouts, worked by hand") {
  CHECK(strides({2, 3, 4, 5}, Layout::plain) == std::vector<int64_t>{60, 20, 5, 1});
  CHECK(strides({2, 3, 4, 5}, Layout::channels_last) == std::vector<int64_t>{60, 1, 15, 3});
  CHECK(strides({2, 3, 4}, Layout::channels_last) == std::vector<int64_t>{12, 1, 3});
  CHECK(strides({}, Layout::plain).empty());
  CHECK(storage_order({2, 3, 4, 5}, Layout::channels_last) == std::vector<int>{0, 2, 3, 1});
  CHECK(storage_order({2, 3}, Layout::plain) == std::vector<int>{0, 1});
  CHECK(name(Layout::channels_last) == "channels_last");
  CHECK_THROWS_AS(strides({2, 3}, Layout::channels_last), Error);
}

TEST_CASE("Layouts are the same order exactly where every element lies in the same place") {
  Rng rng(1);
  for (int round = 0; round < 300; ++round) {
    const Shape shape = random_shape(rng, 3 + rng.below(3), 3);
    const auto plain = strides(shape, Layout::plain);
    const auto last = strides(shape, Layout::channels_last);
    bool same = true;
    for (const auto& index : indices(shape))
      same = same && offset(index, plain) == offset(index, last);
    CAPTURE(to_string(shape));
    CHECK(same_order(shape, Layout::plain, Layout::channels_last) == same);
    CHECK(same_order(shape, Layout::channels_last, Layout::plain) == same);
    CHECK(same_order(shape, Layout::channels_last, Layout::channels_last));
  }
  CHECK(same_order({4, 5}, Layout::plain, Layout::plain));
  CHECK(same_order({}, Layout::plain, Layout::plain));
}

TEST_CASE("A layout conversion moves every element to its place, and back") {
  Rng rng(2);
  for (int round = 0; round < 200; ++round) {
    const Shape shape = random_shape(rng, 3 + rng.below(3), round % 4 == 0 ? 21 : 5);
    if (element_count(shape) > 100000) continue;
    std::vector<uint16_t> plain(static_cast<size_t>(element_count(shape)));
    for (size_t i = 0; i < plain.size(); ++i) plain[i] = static_cast<uint16_t>(i);
    std::vector<uint16_t> last(plain.size());
    std::vector<uint16_t> back(plain.size());
    test::run(*make_layout_conversion(shape, 2, Layout::plain, Layout::channels_last),
              {plain.data()}, {last.data()});
    test::run(*make_layout_conversion(shape, 2, Layout::channels_last, Layout::plain),
              {last.data()}, {back.data()});
    CAPTURE(to_string(shape));
    const auto steps = strides(shape, Layout::channels_last);
    size_t i = 0;
    bool right = true;
    for (const auto& index : indices(shape))
      right = right && last[static_cast<size_t>(offset(index, steps))] == plain[i++];
    CHECK(right);
    CHECK(back == plain);
  }
}
