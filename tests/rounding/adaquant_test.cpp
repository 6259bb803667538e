// SPDX-License-Identifier: Apache-2.0
#include "rounding/adaquant.h"

#include "passes/graphs.h"

namespace qtool {
namespace {

using test::random_tensor;

TEST_CASE("AdaQuant by hand: the first step is the rate, in steps of the grid") {
  const Tensor weights = Tensor::of<float>({1, 2}, {0.4F, 9});
  AdaQuant learning(weights, checked_params({4, true, true}, {2}, {0}));
  std::vector<float> soft(2);
  learning.soft(soft);
  CHECK(soft == std::vector<float>{0, 8});  // 0.2 and 4.5 steps, halves to even
  // Against a gradient that asks for more, Adam's first step is the whole rate: 0.4 + 0.4 * 2.
  const std::vector<float> up{-1, 0};
  learning.update(up, {0, 0.4, 0, 0});
  learning.soft(soft);
  CHECK(soft[0] == Approx(2).epsilon(0.05));  // 1.2 is 0.6 steps: one code up
  CHECK(learning.changed() == 0.5);
}

TEST_CASE("AdaQuant moves by more than a code, and not beyond the end of its grid") {
  const Tensor weights = Tensor::of<float>({1, 1}, {0.4F});
  AdaQuant learning(weights, checked_params({3, true, true}, {1}, {0}));
  const std::vector<float> up{-1};
  for (int i = 0; i < 200; ++i) learning.update(up, {0, 0.1, 0, 0});
  CHECK(learning.hard().data<float>()[0] == Approx(3));  // codes end at 3; a power of two stays
  CHECK(learning.params().scale[0] == 1);
}

TEST_CASE("AdaQuant finds weights and scale that fit a given result better than nearest") {
  // The wanted result is w x for correlated x; the loss is |x (w' - w)|^2.
  const Tensor weights = random_tensor({1, 16}, 3);
  const Tensor x = random_tensor({40, 16}, 4);
  const QuantParams params = checked_params({3, true, true}, {0.7F}, {0});
  AdaQuant learning(weights, params);
  const auto residuals = [&](std::span<const float> now) {
    std::vector<double> all(40, 0);
    for (size_t r = 0; r < 40; ++r) {
      for (size_t j = 0; j < 16; ++j) {
        const double common = static_cast<double>(x.data<float>()[r * 16]);
        all[r] += (static_cast<double>(x.data<float>()[r * 16 + j]) + common) *
                  static_cast<double>(now[j] - weights.data<float>()[j]);
      }
    }
    return all;
  };
  const auto loss = [&](std::span<const float> now) {
    double sum = 0;
    for (const double each : residuals(now)) sum += each * each;
    return sum;
  };
  std::vector<float> soft(16);
  learning.soft(soft);
  const double nearest = loss(soft);
  for (int i = 0; i < 500; ++i) {
    learning.soft(soft);
    const std::vector<double> all = residuals(soft);
    std::vector<float> gradient(16, 0);
    for (size_t r = 0; r < 40; ++r) {
      for (size_t j = 0; j < 16; ++j) {
        const float common = x.data<float>()[r * 16];
        gradient[j] += 2 * static_cast<float>(all[r]) * (x.data<float>()[r * 16 + j] + common);
      }
    }
    learning.update(gradient, {i / 500.0, 0.02, 0, 0});
  }
  const Tensor hard = learning.hard();
  CHECK(loss(hard.data<float>()) < 0.5 * nearest);
  CHECK(hard.equals(fake_quantize(hard, learning.params())));
}

}  // namespace
}  // namespace qtool
