// SPDX-License-Identifier: Apache-2.0
#include <limits>

#include "ops/op_case.h"

namespace qtool::test {

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

OpCase clip(std::string name, std::vector<Constant> inputs, std::vector<Constant> expected = {},
            std::string error = {}) {
  return {.name = std::move(name),
          .op = "Clip",
          .opset = 13,
          .inputs = std::move(inputs),
          .constants = {1, 2},
          .expected = std::move(expected),
          .error = std::move(error)};
}

OpCase clip6(std::string name, CaseAttributes attributes, Constant input,
             std::vector<Constant> expected) {
  return {.name = std::move(name),
          .op = "Clip",
          .opset = 10,
          .attributes = std::move(attributes),
          .inputs = {std::move(input)},
          .expected = std::move(expected)};
}

}  // namespace

std::vector<OpCase> clip_cases() {
  const Constant x = f32({5}, {-3, -1, 0, 2, kNan});
  return {
      clip("both bounds", {x, scalar(-2), scalar(1)}, {f32({5}, {-2, -1, 0, 1, kNan})}),
      clip("low only", {x, scalar(-1)}, {f32({5}, {-1, -1, 0, 2, kNan})}),
      clip("high only", {x, nullptr, scalar(0)}, {f32({5}, {-3, -1, 0, 0, kNan})}),
      clip("no bounds", {x}, {x}),
      clip("low above high: high wins", {f32({3}, {0, 4, 9}), scalar(5), scalar(3)},
           {f32({3}, {3, 3, 3})}),
      clip("infinities", {f32({2}, {-kInf, kInf}), scalar(-1), scalar(1)}, {f32({2}, {-1, 1})}),
      clip("bound of shape [1]", {f32({2}, {-4, 4}), f32({1}, {-1}), f32({1}, {1})},
           {f32({2}, {-1, 1})}),
      clip("images", {noise({2, 3, 4, 5}), scalar(-1), scalar(2.5F)}),
      clip("scalar", {scalar(9), scalar(0), scalar(6)}, {scalar(6)}),
      clip("integers", {s64({3}, {-5, 1, (int64_t{1} << 60) + 1}), s64({}, {-1})},
           {s64({3}, {-1, 1, (int64_t{1} << 60) + 1})}),
      clip("codes", {u8({3}, {0, 100, 255}), u8({}, {7}), u8({}, {200})}, {u8({3}, {7, 100, 200})}),
      clip("half precision",
           {elements<Float16>({2}, {Float16::from(-2), Float16::from(0.5F)}),
            elements<Float16>({}, {Float16::from(-1)})},
           {elements<Float16>({2}, {Float16::from(-1), Float16::from(0.5F)})}),
      clip("bound of another type", {x, s64({}, {0})}, {}, "int64"),
      clip("bound that is a vector", {x, f32({2}, {0, 1})}, {}, "float[2]"),
      clip6("attributes", {{"min", -1.0F}, {"max", 1.0F}}, f32({3}, {-3, 0.5F, 3}),
            {f32({3}, {-1, 0.5F, 1})}),
      clip6("no attributes", {}, f32({2}, {-1e38F, 1e38F}), {f32({2}, {-1e38F, 1e38F})}),
      clip6("low above high: high wins", {{"min", 5.0F}, {"max", 3.0F}}, f32({2}, {0, 9}),
            {f32({2}, {3, 3})}),
  };
}

}  // namespace qtool::test
