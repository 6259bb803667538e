// SPDX-License-Identifier: Apache-2.0
#include "kernels/host/copy.h"

#include <algorithm>
#include <cstring>
#include <iostream>
#include <numeric>

#include "catch.h"
#include "kernels/run.h"
#include "support/parallel.h"
#include "support/rng.h"
#include "support/text.h"

using namespace qtool;

namespace {

struct Bytes {
  std::vector<std::byte> data;
  Bytes(int64_t elements, size_t width) : data(static_cast<size_t>(elements) * width) {}
};

/// The definition: one element after the other.
void naive(const StridedCopy& copy, size_t width, const std::byte* from, std::byte* to) {
  std::vector<int64_t> index(copy.extents.size(), 0);
  for (int64_t i = 0; i < element_count(copy.extents); ++i) {
    int64_t source = copy.from_offset;
    int64_t target = copy.to_offset;
    int64_t rest = i;
    for (size_t d = index.size(); d-- > 0;) {
      const int64_t at = rest % copy.extents[d];
      rest /= copy.extents[d];
      source += at * copy.from_strides[d];
      target += at * copy.to_strides[d];
    }
    std::memcpy(to + static_cast<size_t>(target) * width,
                from + static_cast<size_t>(source) * width, width);
  }
}

struct Problem {
  StridedCopy copy;
  int64_t from_elements = 1;
  int64_t to_elements = 1;
};

/// Both sides hold the block in a random order of axes; the source steps over elements, backwards
/// or not at all, the target leaves gaps.
Problem random_problem(Rng& rng) {
  const uint32_t rank = rng.below(6);
  Problem problem;
  StridedCopy& copy = problem.copy;
  const uint32_t most = rank <= 2 ? 40 : rank == 3 ? 18 : 6;
  for (uint32_t d = 0; d < rank; ++d)
    copy.extents.push_back(rng.below(40) == 0 ? 0 : 1 + rng.below(most));
  copy.from_strides.resize(rank);
  copy.to_strides.resize(rank);
  std::vector<size_t> order(rank);
  std::iota(order.begin(), order.end(), size_t{0});
  rng.shuffle(std::span<size_t>(order));
  for (const size_t d : order) {
    const uint32_t kind = rng.below(8);
    const int64_t extent = std::max<int64_t>(copy.extents[d], 1);
    if (kind == 0) continue;  // stride 0: the same elements again
    const int64_t step = kind == 1 ? 2 : 1;
    copy.from_strides[d] = problem.from_elements * step;
    if (kind == 2) {
      copy.from_offset += copy.from_strides[d] * (extent - 1);
      copy.from_strides[d] = -copy.from_strides[d];
    }
    problem.from_elements *= extent * step;
  }
  rng.shuffle(std::span<size_t>(order));
  for (const size_t d : order) {
    copy.to_strides[d] = problem.to_elements;
    problem.to_elements *= std::max<int64_t>(copy.extents[d], 1) + (rng.below(5) == 0 ? 1 : 0);
  }
  const int64_t gap = rng.below(3);
  copy.to_offset = gap;
  problem.to_elements += gap;
  return problem;
}

std::string line(const StridedCopy& copy, size_t width) {
  return fmt::format("{} bytes, extents {} from {} + {} to {} + {}", width, to_string(copy.extents),
                     copy.from_offset, to_string(copy.from_strides), copy.to_offset,
                     to_string(copy.to_strides));
}

void fill(std::vector<std::byte>& data, Rng& rng) {
  for (std::byte& byte : data) byte = static_cast<std::byte>(rng.below(256));
}

}  // namespace

TEST_CASE("Strided copies equal a naive loop, for every width, order, sign and gap") {
  constexpr uint64_t kSeed = 3;
  Rng rng(kSeed);
  for (int round = 0; round < 3000; ++round) {
    const size_t width = size_t{1} << rng.below(4);
    const Problem problem = random_problem(rng);
    Bytes from(problem.from_elements, width);
    Bytes to(problem.to_elements, width);
    fill(from.data, rng);
    fill(to.data, rng);
    Bytes wanted = to;
    naive(problem.copy, width, from.data.data(), wanted.data.data());
    CopySpec spec;
    spec.element_bytes = width;
    spec.copies = {problem.copy};
    spec.output_elements = problem.to_elements;
    test::run(*make_copy(spec), {from.data.data()}, {to.data.data()});
    INFO("seed " << kSeed << " round " << round << ": " << line(problem.copy, width));
    REQUIRE(to.data == wanted.data);
  }
}

TEST_CASE("Several copies from several inputs over a fill") {
  // Two columns of three from input 1, one from input 0; the rest is 7.
  CopySpec spec;
  spec.element_bytes = 4;
  spec.output_elements = 12;
  spec.fill_first = true;
  spec.fill = 7;
  spec.copies.push_back({{3, 1}, {1, 1}, {4, 1}, 0, 0, 0});
  spec.copies.push_back({{3, 2}, {2, 1}, {4, 1}, 0, 1, 1});
  const std::vector<int32_t> a{10, 20, 30};
  const std::vector<int32_t> b{11, 12, 21, 22, 31, 32};
  std::vector<int32_t> y(12);
  test::run(*make_copy(spec), {a.data(), b.data()}, {y.data()});
  CHECK(y == std::vector<int32_t>{10, 11, 12, 7, 20, 21, 22, 7, 30, 31, 32, 7});
}

TEST_CASE("Large transpositions, on one thread and on two") {
  for (const Shape& shape : {Shape{3, 300, 400}, Shape{4, 129, 257}, Shape{2, 190, 500},
                             Shape{64, 57, 63}, Shape{1, 1000, 1000}, Shape{17, 16, 1000}}) {
    // [C, H, W] to [H, W, C], as between the layouts.
    const int64_t c = shape[0];
    const int64_t h = shape[1];
    const int64_t w = shape[2];
    CopySpec spec;
    spec.element_bytes = 4;
    spec.output_elements = c * h * w;
    spec.copies = {{{h, w, c}, {w, 1, h * w}, {w * c, c, 1}, 0, 0, 0}};
    std::vector<int32_t> x(static_cast<size_t>(c * h * w));
    std::iota(x.begin(), x.end(), 0);
    for (const int threads : {1, 2, 3}) {
      set_thread_count(threads);
      std::vector<int32_t> y(x.size(), -1);
      test::run(*make_copy(spec), {x.data()}, {y.data()});
      bool right = true;
      for (int64_t i = 0; i < c * h * w; ++i) {
        right = right && y[static_cast<size_t>(i)] == x[static_cast<size_t>(i % c * h * w + i / c)];
      }
      CAPTURE(to_string(shape), threads);
      CHECK(right);
    }
    set_thread_count(0);
  }
}
