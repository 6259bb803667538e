// SPDX-License-Identifier: Apache-2.0
// Reductions of random shapes against sums written out here in long double, and the same bits at
// any thread count.
#include "kernels/host/reduce.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "catch.h"
#include "kernels/run.h"
#include "support/parallel.h"
#include "support/rng.h"

using namespace qtool;

namespace {

long double defined(ReduceOp op, const std::vector<float>& list) {
  long double sum = 0, product = 1, magnitudes = 0, squares = 0, exponentials = 0;
  long double largest = -HUGE_VALL, smallest = HUGE_VALL;
  for (const float element : list) {
    const auto x = static_cast<long double>(element);
    sum += x;
    product *= x;
    magnitudes += std::fabs(x);
    squares += x * x;
    exponentials += std::exp(x);
    largest = std::fmax(largest, x);
    smallest = std::fmin(smallest, x);
  }
  switch (op) {
    case ReduceOp::sum: return sum;
    case ReduceOp::mean: return sum / static_cast<long double>(list.size());
    case ReduceOp::max: return largest;
    case ReduceOp::min: return smallest;
    case ReduceOp::product: return product;
    case ReduceOp::l1: return magnitudes;
    case ReduceOp::l2: return std::sqrt(squares);
    case ReduceOp::log_sum: return std::log(sum);
    case ReduceOp::log_sum_exp: return std::log(exponentials);
    case ReduceOp::sum_square: return squares;
  }
  return 0;
}

struct Problem {
  Shape extents;
  std::vector<bool> reduced;
};

Problem random_problem(Rng& rng, int round) {
  Problem problem;
  const uint32_t rank = 1 + rng.below(5);
  const uint32_t long_one = round % 7 == 0 ? rng.below(rank) : rank;
  for (uint32_t d = 0; d < rank; ++d) {
    problem.extents.push_back(rng.below(40) == 0 ? 0 : 1 + rng.below(d == long_one ? 1500 : 6));
    problem.reduced.push_back(rng.below(2) == 0);
  }
  return problem;
}

/// The elements of each result, in order.
std::vector<std::vector<float>> lists(const Problem& problem, const std::vector<float>& x) {
  int64_t results = 1;
  for (size_t d = 0; d < problem.extents.size(); ++d) {
    if (!problem.reduced[d]) results *= problem.extents[d];
  }
  std::vector<std::vector<float>> all(static_cast<size_t>(results));
  for (size_t i = 0; i < x.size(); ++i) {
    auto rest = static_cast<int64_t>(i);
    int64_t place = 0;
    int64_t stride = 1;
    for (size_t d = problem.extents.size(); d-- > 0;) {
      const int64_t at = rest % problem.extents[d];
      rest /= problem.extents[d];
      if (problem.reduced[d]) continue;
      place += at * stride;
      stride *= problem.extents[d];
    }
    all[static_cast<size_t>(place)].push_back(x[i]);
  }
  return all;
}

}  // namespace

TEST_CASE("Reductions of random dimensions") {
  Rng rng(21);
  for (int round = 0; round < 700; ++round) {
    const Problem problem = random_problem(rng, round);
    const auto op = static_cast<ReduceOp>(rng.below(10));
    std::vector<float> x(static_cast<size_t>(element_count(problem.extents)));
    for (float& value : x) value = op == ReduceOp::log_sum ? 0.1F + rng.uniform() : rng.normal();
    const auto wanted = lists(problem, x);
    const MadeKernel made = make_reduce(op, problem.extents, problem.reduced, {});
    REQUIRE(made.kernel != nullptr);
    std::vector<float> y(wanted.size());
    std::vector<float> again(wanted.size());
    set_thread_count(1);
    test::run(*made.kernel, {x.data()}, {y.data()});
    set_thread_count(3);
    test::run(*made.kernel, {x.data()}, {again.data()});
    set_thread_count(0);
    CAPTURE(round, static_cast<int>(op), to_string(problem.extents));
    for (size_t i = 0; i < y.size(); ++i) {
      const auto exact = static_cast<double>(defined(op, wanted[i]));
      const bool nans = std::isnan(exact) && std::isnan(y[i]);
      if (nans || static_cast<double>(y[i]) == exact) continue;
      // A float's rounding, and for exponentials that of their kernel.
      const double allowed = 1e-6 * std::fabs(exact) + (op == ReduceOp::log_sum_exp ? 1e-6 : 1e-12);
      REQUIRE(std::fabs(static_cast<double>(y[i]) - exact) <= allowed);
    }
    for (size_t i = 0; i < y.size(); ++i)
      REQUIRE(std::bit_cast<uint32_t>(y[i]) == std::bit_cast<uint32_t>(again[i]));
  }
}

TEST_CASE("Where the largest and smallest are, along any dimension") {
  Rng rng(22);
  for (int round = 0; round < 300; ++round) {
    const int64_t outer = rng.below(5);
    const int64_t along = 1 + rng.below(9);
    const int64_t inner = rng.below(round % 10 == 0 ? 1500 : 7);
    const bool last = rng.below(2) == 0;
    const bool largest = rng.below(2) == 0;
    std::vector<float> x(static_cast<size_t>(outer * along * inner));
    for (float& value : x) value = static_cast<float>(rng.below(4));  // many equals
    std::vector<int64_t> y(static_cast<size_t>(outer * inner));
    const KernelPtr kernel =
        make_arg_reduce(largest ? ArgOp::max : ArgOp::min, last, outer, along, inner);
    test::run(*kernel, {x.data()}, {y.data()});
    for (int64_t o = 0; o < outer; ++o) {
      for (int64_t i = 0; i < inner; ++i) {
        std::vector<float> line;
        for (int64_t k = 0; k < along; ++k)
          line.push_back(x[static_cast<size_t>((o * along + k) * inner + i)]);
        const float best =
            largest ? *std::ranges::max_element(line) : *std::ranges::min_element(line);
        const auto first = std::ranges::find(line, best) - line.begin();
        const auto back = std::find(line.rbegin(), line.rend(), best) - line.rbegin();
        CAPTURE(round, outer, along, inner, last, largest);
        REQUIRE(y[static_cast<size_t>(o * inner + i)] == (last ? along - 1 - back : first));
      }
    }
  }
}
