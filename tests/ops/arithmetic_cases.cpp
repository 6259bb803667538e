// SPDX-License-Identifier: Apache-2.0
#include <limits>

#include "ops/op_case.h"

namespace qtool::test {

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr int32_t kLowest = std::numeric_limits<int32_t>::min();

OpCase binary(std::string op, std::string name, Constant a, Constant b,
              std::vector<Constant> expected = {}, std::string error = {}) {
  return {.name = std::move(name),
          .op = std::move(op),
          .opset = 18,
          .inputs = {std::move(a), std::move(b)},
          .constants = {1},
          .expected = std::move(expected),
          .near = 1e-6,
          .error = std::move(error)};
}

OpCase mod(std::string name, int64_t fmod, Constant a, Constant b,
           std::vector<Constant> expected = {}, std::string error = {}) {
  OpCase item = binary("Mod", std::move(name), std::move(a), std::move(b), std::move(expected),
                       std::move(error));
  item.attributes = {{"fmod", fmod}};
  return item;
}

OpCase shift(const char* direction, std::string name, Constant a, Constant b,
             std::vector<Constant> expected = {}, std::string error = {}) {
  OpCase item = binary("BitShift", std::move(name), std::move(a), std::move(b), std::move(expected),
                       std::move(error));
  item.attributes = {{"direction", text(direction)}};
  return item;
}

OpCase with_opset(int64_t opset, OpCase item) {
  item.opset = opset;
  return item;
}

std::vector<OpCase> power_cases() {
  return {
      binary("Pow", "values", f32({4}, {2, 4, -2, 10}), f32({4}, {3, 0.5F, 3, -2}),
             {f32({4}, {8, 2, -8, 0.01F})}),
      binary("Pow", "squares", noise({2, 3, 4, 5}), scalar(2)),
      binary("Pow", "square", f32({3}, {-3, 0, kInf}), scalar(2), {f32({3}, {9, 0, kInf})}),
      binary("Pow", "roots", f32({5}, {2.25F, -0.0F, kInf, -kInf, -1}), scalar(0.5F),
             {f32({5}, {1.5F, 0, kInf, kInf, kNan})}),
      binary("Pow", "negative to a fraction", scalar(-8), scalar(1.5F), {scalar(kNan)}),
      binary("Pow", "to zero", f32({3}, {0, kNan, kInf}), scalar(0), {f32({3}, {1, 1, 1})}),
      binary("Pow", "base grows", scalar(2), f32({3}, {0, 1, 10}), {f32({3}, {1, 2, 1024})}),
      binary("Pow", "noise", f32({4}, {0.1F, 1.7F, 20, 3}), noise({5, 4})),
      binary("Pow", "float to integer", f32({2}, {1.5F, -2}), s64({2}, {2, 3}),
             {f32({2}, {2.25F, -8})}),
      binary("Pow", "integer to float", s32({2}, {2, 9}), f32({2}, {3, 0.5F}), {s32({2}, {8, 3})}),
      binary("Pow", "exact beyond double", s64({1}, {3}), s64({1}, {39}),
             {s64({1}, {4052555153018976267})}),
      binary("Pow", "integer to negative", s32({3}, {2, 1, -1}), s32({3}, {-1, -5, -3}),
             {s32({3}, {0, 1, -1})}),
      binary("Pow", "zero to negative saturates", s32({1}, {0}), s32({1}, {-1}),
             {s32({1}, {std::numeric_limits<int32_t>::max()})}),
      binary("Pow", "huge exponent", s32({2}, {2, -1}), s64({1}, {int64_t{1} << 62}),
             {s32({2}, {0, 1})}),
      with_opset(7,
                 binary("Pow", "one type", f32({2}, {2, 3}), f32({2}, {3, 2}), {f32({2}, {8, 9})})),
      with_opset(7,
                 binary("Pow", "two types", f32({1}, {2}), s64({1}, {3}), {}, "different types")),
      binary("Pow", "shapes", f32({3}, {1, 2, 3}), f32({2}, {1, 2}), {}, "do not broadcast"),
  };
}

std::vector<OpCase> remainder_cases() {
  const Constant a = s32({6}, {-4, 7, 5, 4, -7, 8});
  const Constant b = s32({6}, {2, -3, 8, -2, 3, 5});
  return {
      mod("sign of the divisor", 0, a, b, {s32({6}, {0, -2, 5, 0, 2, 3})}),
      mod("sign of the dividend", 1, a, b, {s32({6}, {0, 1, 5, 0, -1, 3})}),
      mod("floats", 1, f32({3}, {-4.5F, 5.5F, 5.5F}), f32({3}, {2, -3, kInf}),
          {f32({3}, {-0.5F, 2.5F, 5.5F})}),
      mod("floats by zero", 1, scalar(1), scalar(0), {scalar(kNan)}),
      mod("images", 1, noise({2, 3, 4, 5}), scalar(0.75F)),
      mod("lowest by -1", 0, s32({1}, {kLowest}), s32({1}, {-1}), {s32({1}, {0})}),
      mod("unsigned", 0, u8({2}, {250, 3}), u8({1}, {7}), {u8({2}, {5, 3})}),
      mod("by zero", 0, s32({1}, {1}), s32({1}, {0}), {}, "division by zero"),
      mod("floats without fmod", 0, scalar(1), scalar(1), {}, "floats need fmod=1"),
  };
}

std::vector<OpCase> bit_cases() {
  return {
      shift("LEFT", "left", u8({3}, {1, 3, 255}), u8({3}, {7, 1, 4}), {u8({3}, {128, 6, 240})}),
      shift("RIGHT", "right", u8({2}, {255, 16}), u8({1}, {4}), {u8({2}, {15, 1})}),
      shift("LEFT", "all bits out", u8({2}, {255, 1}), u8({2}, {8, 200}), {u8({2}, {0, 0})}),
      shift("RIGHT", "64 bits", elements<uint64_t>({2}, {~uint64_t{0}, 1}),
            elements<uint64_t>({2}, {63, 64}), {elements<uint64_t>({2}, {1, 0})}),
      shift("UP", "direction", u8({1}, {1}), u8({1}, {1}), {}, "\"direction\" is \"UP\""),
      shift("LEFT", "signed", s32({1}, {1}), s32({1}, {1}), {}, "elements of type int32"),
      binary("BitwiseAnd", "bytes", u8({2, 1}, {0xF0, 0x3C}), u8({1, 2}, {0xAA, 0x0F}),
             {u8({2, 2}, {0xA0, 0x00, 0x28, 0x0C})}),
      binary("BitwiseOr", "signed", s32({2}, {-8, 1}), s32({}, {3}), {s32({2}, {-5, 3})}),
      binary("BitwiseXor", "64 bits", s64({2}, {-1, 5}), s64({2}, {5, 5}), {s64({2}, {-6, 0})}),
      binary("BitwiseXor", "floats", scalar(1), scalar(1), {}, "elements of type float"),
  };
}

std::vector<OpCase> slope_cases() {
  return {
      binary("PRelu", "channels", f32({2, 3}, {-1, -2, -3, 1, 2, 3}), f32({3}, {10, 0, 0.5F}),
             {f32({2, 3}, {-10, 0, -1.5F, 1, 2, 3})}),
      binary("PRelu", "images", noise({2, 3, 4, 5}), f32({3, 1, 1}, {0.25F, -1, 3})),
      binary("PRelu", "one slope", noise({2, 3, 4, 5}), f32({1}, {0.1F})),
      binary("PRelu", "a slope each", noise({2, 3, 4, 5}), noise({2, 3, 4, 5}, 2)),
      binary("PRelu", "integers", s32({2}, {-3, 3}), s32({1}, {2}), {s32({2}, {-6, 3})}),
      binary("PRelu", "nothing", f32({0, 2}, {}), f32({2}, {1, 2}), {f32({0, 2}, {})}),
      binary("PRelu", "larger slope", f32({2}, {1, 2}), f32({2, 2}, {1, 2, 3, 4}), {},
             "larger than"),
      binary("PRelu", "wider slope", f32({1}, {1}), f32({2}, {1, 2}), {}, "larger than"),
  };
}

}  // namespace

std::vector<OpCase> arithmetic_cases() {
  std::vector<OpCase> all = power_cases();
  for (auto* const more : {remainder_cases, bit_cases, slope_cases}) {
    for (OpCase& item : more()) all.push_back(std::move(item));
  }
  const auto half = [](float value) { return elements<Float16>({1}, {Float16::from(value)}); };
  const auto brain = [](float value) { return elements<BFloat16>({1}, {BFloat16::from(value)}); };
  all.push_back(binary("Add", "half precision", half(2048), half(1), {half(2048)}));
  all.push_back(binary("Mul", "half precision overflows", half(300), half(300), {half(kInf)}));
  all.push_back(binary("Div", "bfloat16", brain(1), brain(3), {brain(0.333984375F)}));
  all.push_back(binary("Sub", "bfloat16", brain(256), brain(1), {brain(255)}));
  return all;
}

}  // namespace qtool::test
