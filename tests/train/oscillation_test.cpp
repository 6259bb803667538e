// SPDX-License-Identifier: Apache-2.0
#include "train/oscillation.h"

#include <cmath>

#include "passes/graphs.h"

namespace qtool {
namespace {

/// Two weights a channel with scales 1 and 1/2, codes from -2 to 1.
struct Weights {
  std::vector<Parameter> parameters;
  std::vector<WeightGrid> grids{{0, 1, 0, -2, 1, false}};

  explicit Weights(std::vector<float> values) {
    Parameter weight;
    weight.value = Tensor::of<float>({2, 2}, values);
    Parameter scale;
    scale.kind = Parameter::Kind::scale;
    scale.value = Tensor::of<float>({2}, {1, 0.5F});
    parameters.push_back(std::move(weight));
    parameters.push_back(std::move(scale));
  }

  void set(std::vector<float> values) { parameters[0].value = Tensor::of<float>({2, 2}, values); }
  std::vector<float> values() const { return to_floats(parameters[0].value); }
};

TEST_CASE("dampening by hand: twice lambda times the way to the code, inside of the grid") {
  const Weights weights({0.7F, -0.2F, 0.3F, 0.9F});  // codes 1, 0, 1 (0.5), 2 cut to 1
  OscillationSpec spec;
  spec.damping = 0.25;
  std::vector<Tensor> gradients;
  gradients.push_back(Tensor::of<float>({2, 2}, {1, 1, 1, 1}));
  gradients.emplace_back();
  dampen(spec, weights.grids, weights.parameters, 0, gradients);
  CHECK(to_floats(gradients[0]) == std::vector<float>{1, 1, 1, 1});
  dampen(spec, weights.grids, weights.parameters, 1, gradients);
  const std::vector<double> expected{1 + 0.5 * -0.3, 1 + 0.5 * -0.2, 1 + 0.5 * -0.2, 1};
  for (size_t i = 0; i < 4; ++i) CHECK(to_floats(gradients[0])[i] == Approx(expected[i]));
  dampen(spec, weights.grids, weights.parameters, 0.5, gradients);
  CHECK(to_floats(gradients[0])[0] == Approx(1 + 1.5 * 0.5 * -0.3));
}

TEST_CASE("a weight that keeps turning back is frozen where it was on average; others go on") {
  Weights weights({0.4F, 0, 0, 0});
  OscillationSpec spec;
  spec.freeze = 0.3;
  spec.momentum = 0.25;
  std::vector<Tensor> state;
  freeze_oscillating(spec, weights.grids, weights.parameters, state);
  // Codes 1, 0, 1: up is no turn; the averages of turns are 0, 1/4, 7/16, those of codes 1/4,
  // 3/16, 25/64: frozen on 0.
  weights.set({0.6F, 0, -0.3F, 0});
  freeze_oscillating(spec, weights.grids, weights.parameters, state);
  CHECK(to_floats(state[2])[0] == 0);
  weights.set({0.4F, 0, -0.6F, 0.2F});
  freeze_oscillating(spec, weights.grids, weights.parameters, state);
  CHECK(to_floats(state[2])[0] == 0.25F);
  CHECK(to_floats(state[3])[0] == 0.1875F);
  CHECK(weights.values()[0] == 0.4F);
  weights.set({0.6F, 0, -0.8F, 0.3F});
  freeze_oscillating(spec, weights.grids, weights.parameters, state);
  CHECK(weights.values() == std::vector<float>{0, 0, -0.8F, 0.3F});
  // For good, whatever the optimizer does; a code that only falls is never frozen.
  weights.set({1, 0.1F, -1, 0.3F});
  freeze_oscillating(spec, weights.grids, weights.parameters, state);
  CHECK(weights.values() == std::vector<float>{0, 0.1F, -1, 0.3F});
  CHECK(to_floats(state[2])[2] == 0);
  std::vector<Tensor> other;
  other.emplace_back(DType::float32, Shape{2, 2});
  CHECK_THROWS_AS(freeze_oscillating(spec, weights.grids, weights.parameters, other), Error);
}

}  // namespace
}  // namespace qtool
