// SPDX-License-Identifier: Apache-2.0
#include "rounding/soft_rounding.h"

#include <cmath>

#include "passes/graphs.h"

namespace qtool {
namespace {

TEST_CASE("the rectified sigmoid by hand: h(0) = 1/2, flat beyond +-ln 11") {
  // 1.2 p - 0.1 is 0 at p = 1/12 and 1 at p = 11/12, so at V = -+ln 11.
  CHECK(rectified_sigmoid(0) == Approx(0.5));
  CHECK(rectified_sigmoid(std::log(11.0F) + 0.001F) == 1);
  CHECK(rectified_sigmoid(-std::log(11.0F) - 0.001F) == 0);
  CHECK(rectified_sigmoid_slope(3) == 0);
  CHECK(rectified_sigmoid_slope(0) == Approx(0.3));
  for (const float v : {-1.5F, 0.2F, 2.0F}) {
    const float difference = rectified_sigmoid(v + 0.01F) - rectified_sigmoid(v - 0.01F);
    CHECK(rectified_sigmoid_slope(v) == Approx(difference / 0.02F).epsilon(1e-3));
  }
}

/// One weight each in the middle, at both ends and beyond; steps of 0.5 and 2.
struct Example {
  Tensor weights = Tensor::of<float>({2, 4}, {0.6F, -0.2F, 1.4F, 9, 2.4F, -0.8F, 5.6F, -99});
  QuantParams params = checked_params({3, true, true}, {0.5F, 2}, {0, 0}, 0);  // -3 to 3
};

TEST_CASE("soft weights begin as the float ones, hard ones are a code next to them") {
  const Example example;
  SoftRounding rounding(example.weights, example.params);
  std::vector<float> soft(8);
  rounding.soft(soft);
  const std::vector<float> clipped{0.6F, -0.2F, 1.4F, 1.5F, 2.4F, -0.8F, 5.6F, -6};
  for (size_t i = 0; i < 8; ++i) CHECK(soft[i] == Approx(clipped[i]).margin(0.002));
  CHECK(rounding.hard().equals(fake_quantize(example.weights, example.params)));
  CHECK(rounding.changed() == 0);
}

TEST_CASE("gradients move weights to the other code, and never beyond it") {
  const Example example;
  SoftRounding rounding(example.weights, example.params);
  const std::vector<float> up(8, -1);
  for (int i = 0; i < 400; ++i) rounding.update(up, 0.05, 0, 20);
  const Tensor hard = rounding.hard();
  const std::vector<float> ceiled{1, 0, 1.5F, 1.5F, 4, 0, 6, -6};
  for (size_t i = 0; i < 7; ++i) CHECK(hard.data<float>()[i] == ceiled[i]);
  // 0.6 to 0.5 and 2.4 to 2 were nearest; what is clipped at the lower end may go up a step.
  CHECK(rounding.changed() >= 2.0 / 8);
  std::vector<float> soft(8);
  rounding.soft(soft);
  for (size_t i = 0; i < 7; ++i) CHECK(soft[i] == Approx(ceiled[i]));
}

TEST_CASE("the regularizer alone rounds to nearest") {
  Tensor weights(DType::float32, {9});
  for (size_t i = 0; i < 9; ++i)
    weights.data<float>()[i] = 0.05F + 0.11F * static_cast<float>(i);  // 0.05 to 0.93, not 0.5
  const QuantParams params = checked_params({4, true, true}, {1}, {0});
  SoftRounding rounding(weights, params);
  const std::vector<float> none(9, 0);
  for (int i = 0; i < 2000; ++i) rounding.update(none, 0.05, 1, 2);
  std::vector<float> soft(9);
  rounding.soft(soft);
  for (size_t i = 0; i < 9; ++i)
    CHECK(soft[i] == Approx(std::nearbyint(weights.data<float>()[i])).margin(1e-6));
}

}  // namespace
}  // namespace qtool
