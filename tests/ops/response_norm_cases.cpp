// SPDX-License-Identifier: Apache-2.0
#include "ops/op_case.h"

namespace qtool::test {

namespace {

OpCase one_input(std::string op, std::string name, CaseAttributes attributes, Constant x,
                 std::vector<Constant> expected = {}, std::string error = {}) {
  return {.name = std::move(name),
          .op = std::move(op),
          .opset = 13,
          .attributes = std::move(attributes),
          .inputs = {std::move(x)},
          .expected = std::move(expected),
          .near = 1e-6,
          .error = std::move(error)};
}

std::vector<OpCase> response_cases() {
  const char* op = "LRN";
  const auto window = [](int64_t size, float alpha, float beta, float bias) {
    return CaseAttributes{{"size", size}, {"alpha", alpha}, {"beta", beta}, {"bias", bias}};
  };
  const Constant x = f32({1, 4, 1}, {1, 2, 3, 4});
  return {
      one_input(op, "window of one", window(1, 1, 1, 0), x,
                {f32({1, 4, 1}, {1, 0.5F, 1.0F / 3, 0.25F})}),
      // Sums of squares 5, 14, 29, 25.
      one_input(op, "window of three", window(3, 3, 1, 1), x,
                {f32({1, 4, 1}, {1.0F / 6, 2.0F / 15, 3.0F / 30, 4.0F / 26})}),
      // The longer half lies behind: 5, 13, 25, 16.
      one_input(op, "window of two", window(2, 2, 1, 0), x,
                {f32({1, 4, 1}, {1.0F / 5, 2.0F / 13, 3.0F / 25, 4.0F / 16})}),
      one_input(op, "window beyond all", window(99, 99, 1, 0), f32({1, 2, 1}, {1, 2}),
                {f32({1, 2, 1}, {0.2F, 0.4F})}),
      one_input(op, "root", window(1, 1, 0.5F, 0), f32({1, 2}, {3, 4}), {f32({1, 2}, {1, 1})}),
      one_input(op, "defaults", {{"size", int64_t{5}}}, noise({2, 19, 5, 7})),
      one_input(op, "images", window(4, 0.5F, 0.75F, 2), noise({2, 7, 3, 5})),
      one_input(op, "no images", window(3, 1, 1, 1), f32({0, 2, 2}, {}), {f32({0, 2, 2}, {})}),
      one_input(op, "no size", {}, x, {}, "\"size\" is 0"),
      one_input(op, "vector", window(1, 1, 1, 1), ramp({3}), {}, "no channels"),
      one_input(op, "codes", window(1, 1, 1, 1), u8({1, 1}, {1}), {}, "elements of type uint8"),
  };
}

std::vector<OpCase> lp_cases() {
  const char* op = "LpNormalization";
  const Attribute first = int64_t{1};
  return {
      one_input(op, "rows", {}, f32({2, 2}, {3, -4, 0, 2}), {f32({2, 2}, {0.6F, -0.8F, 0, 1})}),
      one_input(op, "columns of magnitudes", {{"p", first}, {"axis", int64_t{0}}},
                f32({2, 2}, {1, -2, 3, 6}), {f32({2, 2}, {0.25F, -0.25F, 0.75F, 0.75F})}),
      one_input(op, "zeros", {}, f32({1, 2}, {0, 0}), {f32({1, 2}, {0, 0})}),
      one_input(op, "images", {{"axis", first}}, noise({2, 5, 3, 4})),
      one_input(op, "doubles", {}, elements<double>({2}, {3, 4}),
                {elements<double>({2}, {0.6, 0.8})}),
      one_input(op, "cubes", {{"p", int64_t{3}}}, ramp({2}), {}, "expected 1 or 2"),
      one_input(op, "axis", {{"axis", int64_t{1}}}, ramp({2}), {}, "axis 1 is outside"),
  };
}

std::vector<OpCase> mean_variance_cases() {
  const char* op = "MeanVarianceNormalization";
  return {
      // By default each channel is one group, across images: 1, 3 and 2, 10.
      one_input(op, "channels", {}, f32({2, 2, 1, 1}, {1, 2, 3, 10}),
                {f32({2, 2, 1, 1}, {-1, -1, 1, 1})}),
      one_input(op, "rows", {{"axes", ints({-1})}}, f32({2, 2}, {1, 3, 2, 10}),
                {f32({2, 2}, {-1, 1, -1, 1})}),
      one_input(op, "middle", {{"axes", ints({1})}}, f32({1, 2, 2}, {1, 2, 3, 10}),
                {f32({1, 2, 2}, {-1, -1, 1, 1})}),
      one_input(op, "constant", {{"axes", ints({0})}}, f32({2}, {5, 5}), {f32({2}, {0, 0})}),
      one_input(op, "images", {}, noise({2, 5, 3, 4})),
      one_input(op, "axes beyond the rank", {}, ramp({2, 2}), {}, "axis 2 is outside"),
  };
}

}  // namespace

std::vector<OpCase> response_norm_cases() {
  std::vector<OpCase> all = response_cases();
  for (OpCase& item : lp_cases()) all.push_back(std::move(item));
  for (OpCase& item : mean_variance_cases()) all.push_back(std::move(item));
  return all;
}

}  // namespace qtool::test
