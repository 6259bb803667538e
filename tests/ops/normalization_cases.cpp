// SPDX-License-Identifier: Apache-2.0
#include "ops/op_case.h"

namespace qtool::test {

namespace {

OpCase batch_norm(std::string name, CaseAttributes attributes, std::vector<Constant> inputs,
                  std::vector<Constant> expected = {}, std::string error = {}) {
  return {.name = std::move(name),
          .op = "BatchNormalization",
          .opset = 15,
          .attributes = std::move(attributes),
          .inputs = std::move(inputs),
          .constants = {1, 2, 3, 4},
          .expected = std::move(expected),
          .near = 1e-6,
          .error = std::move(error)};
}

}  // namespace

std::vector<OpCase> normalization_cases() {
  // With these, channel 0 is (x - 1) / 2 * 2 + 1 = x and channel 1 is (x - 2) / 3 * 3 - 1 = x - 3.
  const Constant gamma = f32({2}, {2, 3});
  const Constant beta = f32({2}, {1, -1});
  const Constant mean = f32({2}, {1, 2});
  const Constant variance = f32({2}, {4, 9});
  const Attribute none = 0.0F;
  const Constant one = f32({1}, {1});
  const auto positive = [](int64_t count) {
    std::vector<float> values;
    for (int64_t i = 0; i < count; ++i) values.push_back(0.25F + static_cast<float>(i % 5));
    return f32({count}, values);
  };
  OpCase two_outputs =
      batch_norm("running statistics asked for", {}, {ramp({1, 2, 2}), gamma, beta, mean, variance},
                 {}, "training mode");
  two_outputs.outputs = 3;
  return {
      batch_norm("two channels", {{"epsilon", none}},
                 {f32({1, 2, 2}, {1, 2, 3, 4}), gamma, beta, mean, variance},
                 {f32({1, 2, 2}, {1, 2, 0, 1})}),
      batch_norm("matrix", {{"epsilon", none}},
                 {f32({2, 2}, {1, 3, 2, 4}), gamma, beta, mean, variance},
                 {f32({2, 2}, {1, 0, 2, 1})}),
      batch_norm("vector: one channel", {{"epsilon", none}},
                 {f32({3}, {1, 2, 3}), one, one, one, f32({1}, {4})}, {f32({3}, {1, 1.5F, 2})}),
      batch_norm("epsilon", {{"epsilon", 5.0F}},
                 {f32({1, 1, 1}, {7}), one, f32({1}, {0}), one, f32({1}, {4})},
                 {f32({1, 1, 1}, {2})}),
      batch_norm("halves", {{"epsilon", none}},
                 {elements<Float16>({1, 1}, {Float16::from(5)}), one, one, one, f32({1}, {4})},
                 {elements<Float16>({1, 1}, {Float16::from(3)})}),
      batch_norm("no images", {}, {f32({0, 2, 2}, {}), gamma, beta, mean, variance},
                 {f32({0, 2, 2}, {})}),
      batch_norm("no channels", {},
                 {f32({2, 0, 2}, {}), f32({0}, {}), f32({0}, {}), f32({0}, {}), f32({0}, {})},
                 {f32({2, 0, 2}, {})}),
      batch_norm("images", {},
                 {noise({2, 5, 3, 4}), noise({5}, 2), noise({5}, 3), noise({5}, 4), positive(5)}),
      batch_norm(
          "volumes", {},
          {noise({1, 17, 3, 2, 2}), noise({17}, 2), noise({17}, 3), noise({17}, 4), positive(17)}),
      batch_norm("one mean too many", {}, {ramp({1, 2, 2}), gamma, beta, ramp({3}), variance}, {},
                 "one number per channel"),
      batch_norm("scalar parameters", {}, {ramp({1, 2, 2}), scalar(1), beta, mean, variance}, {},
                 "one number per channel"),
      batch_norm("vector with two channels", {}, {ramp({3}), gamma, beta, mean, variance}, {},
                 "one number per channel"),
      batch_norm("training", {{"training_mode", int64_t{1}}},
                 {ramp({1, 2, 2}), gamma, beta, mean, variance}, {}, "training mode"),
      std::move(two_outputs),
  };
}

}  // namespace qtool::test
