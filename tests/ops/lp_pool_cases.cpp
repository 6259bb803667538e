// SPDX-License-Identifier: Apache-2.0
#include "ops/op_case.h"

namespace qtool::test {

namespace {

OpCase lp(std::string op, std::string name, CaseAttributes attributes, Constant x,
          std::vector<Constant> expected = {}, std::string error = {}) {
  return {.name = std::move(name),
          .op = std::move(op),
          .opset = 18,
          .attributes = std::move(attributes),
          .inputs = {std::move(x)},
          .expected = std::move(expected),
          .near = 1e-6,
          .error = std::move(error)};
}

}  // namespace

std::vector<OpCase> lp_pool_cases() {
  const Constant x = f32({1, 1, 3}, {3, -4, 0});
  const auto window = [](std::vector<int64_t> kernel, CaseAttributes more = {}) {
    more.emplace_back("kernel_shape", ints(std::move(kernel)));
    return more;
  };
  const Attribute one = int64_t{1};
  return {
      lp("LpPool", "roots of squares", window({2}), x, {f32({1, 1, 2}, {5, 4})}),
      lp("LpPool", "magnitudes", window({2}, {{"p", one}}), x, {f32({1, 1, 2}, {7, 4})}),
      lp("LpPool", "cubes", window({2}, {{"p", int64_t{3}}}), f32({1, 1, 2}, {1, -2}),
         {f32({1, 1, 1}, {2.0800838F})}),
      lp("LpPool", "padding", window({2}, {{"pads", ints({1, 1})}}), x,
         {f32({1, 1, 4}, {3, 5, 4, 0})}),
      lp("LpPool", "strides", window({2}, {{"strides", ints({2})}}), x, {f32({1, 1, 1}, {5})}),
      lp("LpPool", "ceil", window({2}, {{"strides", ints({2})}, {"ceil_mode", one}}), x,
         {f32({1, 1, 2}, {5, 0})}),
      lp("LpPool", "dilation", window({2}, {{"dilations", ints({2})}}), x, {f32({1, 1, 1}, {3})}),
      lp("LpPool", "images, two channels", window({2, 2}),
         f32({1, 2, 2, 2}, {1, 1, 1, 1, 2, 4, 4, 8}), {f32({1, 2, 1, 1}, {2, 10})}),
      lp("LpPool", "images", window({3, 2}, {{"strides", ints({2, 1})}}), noise({2, 3, 7, 5})),
      lp("LpPool", "doubles", window({2}), elements<double>({1, 1, 2}, {3, 4}),
         {elements<double>({1, 1, 1}, {5})}),
      lp("LpPool", "no kernel", {}, x, {}, "\"kernel_shape\" is missing"),
      lp("LpPool", "no order", window({2}, {{"p", int64_t{0}}}), x, {}, "p is 0"),
      lp("LpPool", "integers", window({2}), s32({1, 1, 2}, {3, 4}), {}, "elements of type int32"),
      lp("GlobalLpPool", "squares", {}, f32({1, 2, 2}, {3, 4, 6, 8}), {f32({1, 2, 1}, {5, 10})}),
      lp("GlobalLpPool", "magnitudes", {{"p", one}}, f32({1, 1, 2, 2}, {1, -2, 3, -4}),
         {f32({1, 1, 1, 1}, {10})}),
      lp("GlobalLpPool", "images", {}, noise({2, 3, 4, 5})),
      lp("GlobalLpPool", "matrix", {}, ramp({2, 2}), {}, "no spatial dimensions"),
  };
}

}  // namespace qtool::test
