// SPDX-License-Identifier: Apache-2.0
#include "rounding/sample_store.h"

#include "passes/graphs.h"

namespace qtool {
namespace {

using test::random_tensor;

TEST_CASE("samples come back as they went, from memory and from disk") {
  const Tensor all = random_tensor({10, 3, 2}, 1);
  const size_t bytes = 10 * 6 * sizeof(float);
  for (const bool disk : {false, true}) {
    MemoryBudget budget(disk ? bytes - 1 : bytes);
    SampleStore store(DType::float32, {3, 2}, 10, budget);
    CHECK(store.on_disk() == disk);
    // The second half first.
    const auto half = [&](size_t first) {
      const auto elements = all.data<float>().subspan(first * 6, 30);
      return Tensor::of<float>({5, 3, 2}, elements);
    };
    store.write(5, half(5).view());
    store.write(0, half(0).view());
    CHECK(store.read(0, 10).equals(all));
    const std::vector<size_t> rows{7, 0, 7};
    const Tensor some = store.read(rows);
    REQUIRE(some.shape() == Shape{3, 3, 2});
    for (size_t r = 0; r < rows.size(); ++r) {
      for (size_t i = 0; i < 6; ++i)
        CHECK(some.data<float>()[6 * r + i] == all.data<float>()[6 * rows[r] + i]);
    }
  }
}

TEST_CASE("whole tensors come back one at a time, in their shape") {
  MemoryBudget budget(1000);
  SampleStore store(DType::float32, {3, 1, 2}, 4, budget, RowForm::whole);
  std::vector<Tensor> all;
  for (size_t i = 0; i < 4; ++i) {
    all.push_back(random_tensor({3, 1, 2}, i + 1));
    store.write(i, all.back().view());
  }
  for (size_t i = 0; i < 4; ++i) CHECK(store.read(i, 1).equals(all[i]));
}

TEST_CASE("a store gives its memory back") {
  MemoryBudget budget(100);
  {
    const SampleStore first(DType::uint8, {50}, 2, budget);
    CHECK(!first.on_disk());
    CHECK(SampleStore(DType::uint8, {1}, 1, budget).on_disk());
  }
  CHECK(!SampleStore(DType::uint8, {50}, 2, budget).on_disk());
}

}  // namespace
}  // namespace qtool
