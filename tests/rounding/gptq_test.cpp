// SPDX-License-Identifier: Apache-2.0
#include "rounding/gptq.h"

#include <cmath>

#include "numerics/range.h"
#include "passes/graphs.h"
#include "rounding/moments.h"

namespace qtool {
namespace {

using test::Build;
using test::random_tensor;

/// x^T x of samples whose columns have much in common.
struct Correlated {
  static constexpr size_t kColumns = 12;
  std::vector<double> x;
  std::vector<double> moments;

  explicit Correlated(uint64_t seed) : moments(kColumns * kColumns, 0) {
    const Tensor noise = random_tensor({200, kColumns}, seed);
    const Tensor common = random_tensor({200, 2}, seed + 1);
    for (size_t r = 0; r < 200; ++r) {
      for (size_t c = 0; c < kColumns; ++c) {
        x.push_back(0.3 * static_cast<double>(noise.data<float>()[r * kColumns + c]) +
                    static_cast<double>(common.data<float>()[2 * r + c % 2]));
      }
    }
    for (size_t r = 0; r < 200; ++r) {
      for (size_t i = 0; i < kColumns; ++i) {
        for (size_t j = 0; j < kColumns; ++j)
          moments[i * kColumns + j] += x[r * kColumns + i] * x[r * kColumns + j];
      }
    }
  }
  double error(const Tensor& a, const Tensor& b, size_t rows) const {
    double sum = 0;
    for (size_t r = 0; r < 200; ++r) {
      for (size_t o = 0; o < rows; ++o) {
        double difference = 0;
        for (size_t c = 0; c < kColumns; ++c) {
          difference +=
              x[r * kColumns + c] * static_cast<double>(a.data<float>()[o * kColumns + c] -
                                                        b.data<float>()[o * kColumns + c]);
        }
        sum += difference * difference;
      }
    }
    return sum;
  }
};

TEST_CASE("the factor is upper triangular and its square is the inverse") {
  const Correlated data(3);
  constexpr size_t n = Correlated::kColumns;
  std::vector<double> u(n * n);
  REQUIRE(inverse_factor(data.moments, n, u));
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < i; ++j) CHECK(u[i * n + j] == 0);
  }
  // H U^T U is the identity.
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < n; ++j) {
      double sum = 0;
      for (size_t k = 0; k < n; ++k) {
        for (size_t m = 0; m < n; ++m) sum += data.moments[i * n + k] * u[m * n + k] * u[m * n + j];
      }
      CHECK(sum == Approx(i == j ? 1 : 0).margin(1e-9));
    }
  }
  const std::vector<double> flat{1, 1, 1, 1};
  std::vector<double> none(4);
  CHECK(!inverse_factor(flat, 2, none));
}

TEST_CASE("GPTQ by hand: what rounding takes from one column the next one gets") {
  // x1 = x2 always, w = 0.4 and 0.4: the first becomes 0, its 0.4 goes to the second: 0.8 -> 1.
  Tensor weights = Tensor::of<float>({1, 2}, {0.4F, 0.4F});
  const QuantParams params = checked_params({4, true, true}, {1}, {0});
  const std::vector<double> moments{100, 100, 100, 100};
  const double damping = gptq(weights, WeightMatrix({1, 2}, 0), params, moments, 1e-4);
  CHECK(to_floats(weights) == std::vector<float>{0, 1});
  CHECK(damping == 1e-4);
}

TEST_CASE("without damping a singular matrix gets some, and columns without data are rounded") {
  Tensor weights = Tensor::of<float>({1, 3}, {0.4F, 0.4F, 2.6F});
  const QuantParams params = checked_params({4, true, true}, {1}, {0});
  const std::vector<double> moments{100, 100, 0, 100, 100, 0, 0, 0, 0};
  CHECK(gptq(weights, WeightMatrix({1, 3}, 0), params, moments, 0) > 0);
  CHECK(to_floats(weights) == std::vector<float>{0, 1, 3});
}

TEST_CASE("GPTQ's sums are nearer than those of rounding to nearest, per channel and in blocks") {
  for (const uint64_t seed : {1, 20, 40}) {
    const Correlated data(seed);
    const Tensor weights = random_tensor({5, 12}, seed + 7);
    for (const int64_t block : {0, 4}) {
      const QuantType type{3, true, true};
      const int axis = block == 0 ? 0 : 1;
      const QuantParams params =
          choose_params(weight_ranges(weights, axis, block), type, Scheme::symmetric, axis, block);
      Tensor rounded = weights.clone();
      gptq(rounded, WeightMatrix(weights.shape(), 0), params, data.moments);
      CHECK(rounded.equals(fake_quantize(rounded, params)));
      const Tensor nearest = fake_quantize(weights, params);
      CHECK(data.error(weights, rounded, 5) < 0.8 * data.error(weights, nearest, 5));
    }
  }
}

/// The layer's second moments over these samples.
std::vector<double> moments_of(const Build& b, const Tensor& x, const Shape& weights) {
  const Facts facts = infer_facts(b.graph, builtin_ops());
  const auto layer = linear_layer(b.graph, builtin_ops(), facts, b.graph.nodes().at(0), 1, weights);
  REQUIRE(layer);
  MemoryBudget budget(1 << 20);
  SampleStore store(DType::float32, {x.shape().begin() + 1, x.shape().end()},
                    static_cast<size_t>(x.shape()[0]), budget);
  store.write(0, x.view());
  const size_t columns = WeightMatrix(layer->weights, layer->axis).columns;
  return second_moments(b.graph, builtin_ops(), *layer, store, 100, {0, columns});
}

TEST_CASE("second moments of a product are those of its rows, whichever way its weights lie") {
  const Tensor x = random_tensor({5, 3, 4}, 2);
  std::vector<double> wanted(16, 0);
  for (size_t r = 0; r < 15; ++r) {
    for (size_t i = 0; i < 16; ++i)
      wanted[i] += static_cast<double>(x.data<float>()[4 * r + i / 4]) *
                   static_cast<double>(x.data<float>()[4 * r + i % 4]);
  }
  Build b;
  b.input("x", {5, 3, 4});
  b.random("w", {4, 2}, 1);
  b.node("MatMul", {"x", "w"}, {"y"});
  b.output("y");
  const auto got = moments_of(b, x, {4, 2});
  REQUIRE(got.size() == 16);
  for (size_t i = 0; i < 16; ++i) CHECK(got[i] == Approx(wanted[i]));

  Build gemm;
  gemm.input("x", {15, 4});
  gemm.random("w", {2, 4}, 1);
  gemm.node("Gemm", {"x", "w"}, {"y"}, {{"transB", int64_t{1}}});
  gemm.output("y");
  const auto same = moments_of(gemm, x.clone().reshaped({15, 4}), {2, 4});
  for (size_t i = 0; i < 16; ++i) CHECK(same[i] == Approx(wanted[i]));
}

TEST_CASE("second moments of a convolution are those of its patches, group by group") {
  // 4 channels in 2 groups, 3x2 kernel, stride 2, one row of padding on top.
  Build b;
  b.input("x", {2, 4, 5, 4});
  b.random("w", {6, 2, 3, 2}, 1);
  b.node("Conv", {"x", "w"}, {"y"},
         {{"group", int64_t{2}},
          {"strides", std::vector<int64_t>{2, 2}},
          {"pads", std::vector<int64_t>{1, 0, 0, 0}}});
  b.output("y");
  const Tensor x = random_tensor({2, 4, 5, 4}, 3);
  const auto got = moments_of(b, x, {6, 2, 3, 2});
  REQUIRE(got.size() == 2 * 12 * 12);
  std::vector<double> wanted(got.size(), 0);
  const auto element = [&](int64_t n, int64_t c, int64_t h, int64_t w) {
    if (h < 0) return 0.0;
    return static_cast<double>(x.data<float>()[static_cast<size_t>(((n * 4 + c) * 5 + h) * 4 + w)]);
  };
  for (int64_t n = 0; n < 2; ++n) {
    for (int64_t oh = 0; oh < 2; ++oh) {
      for (int64_t ow = 0; ow < 2; ++ow) {
        for (int64_t g = 0; g < 2; ++g) {
          std::vector<double> patch;
          for (int64_t i = 0; i < 12; ++i)
            patch.push_back(element(n, 2 * g + i / 6, 2 * oh - 1 + i % 6 / 2, 2 * ow + i % 2));
          for (size_t i = 0; i < 144; ++i)
            wanted[static_cast<size_t>(g) * 144 + i] += patch[i / 12] * patch[i % 12];
        }
      }
    }
  }
  for (size_t i = 0; i < got.size(); ++i) CHECK(got[i] == Approx(wanted[i]).margin(1e-5));
}

}  // namespace
}  // namespace qtool
