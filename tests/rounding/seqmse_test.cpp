// SPDX-License-Identifier: Apache-2.0
#include "rounding/seqmse.h"

#include "numerics/range.h"
#include "passes/graphs.h"

namespace qtool {
namespace {

using test::random_tensor;

constexpr QuantType kThreeBits{3, true, true};

double error(const Tensor& weights, const WeightMatrix& layout, const QuantParams& params,
             std::span<const double> moments) {
  const Tensor after = fake_quantize(weights, params);
  const size_t n = layout.columns;
  double sum = 0;
  for (size_t r = 0; r < layout.rows; ++r) {
    const auto d = [&](size_t j) {
      const size_t i = layout.at(r, j);
      return static_cast<double>(after.data<float>()[i]) -
             static_cast<double>(weights.data<float>()[i]);
    };
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < n; ++j) sum += d(i) * moments[i * n + j] * d(j);
    }
  }
  return sum;
}

/// x^T x of random samples whose columns have something in common.
std::vector<double> moments_of(size_t columns, uint64_t seed) {
  const Tensor x = random_tensor({64, static_cast<int64_t>(columns)}, seed);
  std::vector<double> moments(columns * columns, 0);
  for (size_t r = 0; r < 64; ++r) {
    const auto at = [&](size_t c) {
      return static_cast<double>(x.data<float>()[r * columns + c]) * (c % 3 == 0 ? 3.0 : 1.0) +
             0.5 * static_cast<double>(x.data<float>()[r * columns]);
    };
    for (size_t i = 0; i < columns; ++i) {
      for (size_t j = 0; j < columns; ++j) moments[i * columns + j] += at(i) * at(j);
    }
  }
  return moments;
}

TEST_CASE("SeqMSE by hand: the scale suits the column that has data") {
  // On codes -3 to 3 the range gives 1/3, on which 0.5 becomes 1/3 or 2/3. Only 0.5 counts:
  // 0.75 of the scale has it at two steps of 1/4.
  const Tensor weights = Tensor::of<float>({1, 2}, {1, 0.5F});
  const QuantParams params = checked_params(kThreeBits, {1.0F / 3}, {0}, 0);
  const std::vector<double> moments{0, 0, 0, 1};
  const auto scales = seqmse(weights, WeightMatrix({1, 2}, 0), params, moments);
  CHECK(scales[0] == Approx(0.25).epsilon(1e-6));
  // With data in the first only, its own grid is exact already and stays.
  const std::vector<double> first{1, 0, 0, 0};
  CHECK(seqmse(weights, WeightMatrix({1, 2}, 0), params, first)[0] == params.scale[0]);
}

TEST_CASE("SeqMSE never leaves more error than the plan: per channel, per tensor, in blocks") {
  for (const uint64_t seed : {1, 2, 3}) {
    const Tensor weights = random_tensor({6, 64}, seed);
    const WeightMatrix layout({6, 64}, 0);
    const std::vector<double> moments = moments_of(64, seed + 10);
    for (const int kind : {0, 1, 2}) {
      const std::optional<int> axis = kind == 0 ? std::optional<int>() : kind == 1 ? 0 : 1;
      const int64_t block = kind == 2 ? 16 : 0;
      QuantParams params = choose_params(weight_ranges(weights, axis, block), kThreeBits,
                                         Scheme::symmetric, axis, block);
      const double before = error(weights, layout, params, moments);
      params.scale = seqmse(weights, layout, params, moments);
      const double after = error(weights, layout, params, moments);
      INFO(kind);
      CHECK(after < 0.95 * before);
    }
  }
}

TEST_CASE("SeqMSE keeps powers of two") {
  const Tensor weights = random_tensor({4, 32}, 5);
  const QuantParams params =
      choose_params(weight_ranges(weights, 0), kThreeBits, Scheme::symmetric_power_of_two, 0);
  const auto scales = seqmse(weights, WeightMatrix({4, 32}, 0), params, moments_of(32, 6));
  for (size_t i = 0; i < scales.size(); ++i) {
    const float ratio = scales[i] / params.scale[i];
    CHECK((ratio == 1 || ratio == 0.5F || ratio == 2));
  }
}

}  // namespace
}  // namespace qtool
