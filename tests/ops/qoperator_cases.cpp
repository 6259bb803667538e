// SPDX-License-Identifier: Apache-2.0
#include "ops/op_case.h"

namespace qtool::test {

namespace {

const Constant kHalf = scalar(0.5F);
const Constant kQuarter = scalar(0.25F);
const Constant kZero = u8({}, {0});
const Constant kOne = u8({}, {1});

/// Everything but slot `fed` and, in pairs, slot 3 is an initializer.
OpCase coded(std::string op, std::string name, CaseAttributes attributes,
             std::vector<Constant> inputs, std::vector<Constant> expected,
             std::vector<int> constants) {
  return {.name = std::move(name),
          .op = "com.microsoft." + op,
          .attributes = std::move(attributes),
          .inputs = std::move(inputs),
          .constants = std::move(constants),
          .expected = std::move(expected)};
}

OpCase unary(std::string op, std::string name, CaseAttributes attributes,
             std::vector<Constant> inputs, std::vector<Constant> expected = {}) {
  return coded(std::move(op), std::move(name), std::move(attributes), std::move(inputs),
               std::move(expected), {1, 2, 3, 4});
}

OpCase binary(std::string op, std::string name, std::vector<Constant> inputs,
              std::vector<Constant> expected = {}) {
  return coded(std::move(op), std::move(name), {}, std::move(inputs), std::move(expected),
               {1, 2, 4, 5, 6, 7});
}

OpCase refused(OpCase item, std::string error) {
  item.expected.clear();
  item.error = std::move(error);
  return item;
}

std::vector<OpCase> element_wise() {
  const Constant a = u8({3}, {1, 2, 3});
  const Constant five = u8({}, {5});
  const Constant two = u8({}, {2});
  const Constant coarse = scalar(0.05F);
  return {
      binary("QLinearAdd", "vectors",
             {a, scalar(1), kOne, u8({3}, {4, 4, 4}), kHalf, two, kHalf, five},
             {u8({3}, {7, 9, 11})}),
      binary("QLinearAdd", "broadcast", {a, scalar(1), kOne, u8({1}, {4}), kHalf, two, kHalf, five},
             {u8({3}, {7, 9, 11})}),
      binary("QLinearAdd", "no zero points",
             {u8({2}, {1, 2}), scalar(1), nullptr, u8({2}, {1, 1}), kHalf, nullptr, kHalf},
             {u8({2}, {3, 5})}),
      binary("QLinearAdd", "signed images",
             {noise_s8({2, 5, 7, 3}), coarse, s8({}, {3}), noise_s8({2, 5, 7, 3}, 2), kQuarter,
              s8({}, {-9}), kHalf, s8({}, {11})}),
      binary("QLinearMul", "vectors",
             {a, scalar(1), kOne, u8({3}, {4, 4, 4}), kHalf, two, kHalf, five},
             {u8({3}, {5, 7, 9})}),
      binary("QLinearMul", "signed images, by channel",
             {noise_s8({2, 5, 7, 3}), coarse, s8({}, {3}), noise_s8({5, 1, 1}, 2), coarse,
              s8({}, {-9}), kHalf, s8({}, {11})}),
      unary("QLinearLeakyRelu", "slope", {{"alpha", 0.5F}},
            {s8({2}, {-4, 4}), kHalf, s8({}, {0}), kQuarter, s8({}, {0})}, {s8({2}, {-4, 8})}),
      unary("QLinearSigmoid", "of zero", {},
            {u8({2}, {7, 255}), scalar(1), u8({}, {7}), scalar(1.0F / 256), kZero},
            {u8({2}, {128, 255})}),
      unary("QLinearSoftmax", "equal", {{"axis", int64_t{-1}}, {"opset", int64_t{13}}},
            {u8({1, 2}, {9, 9}), kHalf, kOne, scalar(1.0F / 256), kZero}, {u8({1, 2}, {128, 128})}),
      unary("QLinearSoftmax", "all dimensions behind the axis, as in opset 12",
            {{"axis", int64_t{1}}, {"opset", int64_t{12}}},
            {u8({1, 2, 2}, {9, 9, 9, 9}), kHalf, kOne, scalar(1.0F / 256), kZero},
            {u8({1, 2, 2}, {64, 64, 64, 64})}),
      coded("QLinearWhere", "one of each", {},
            {flags({true, false}), u8({2}, {2, 2}), kHalf, kZero, u8({2}, {10, 10}), kQuarter,
             u8({}, {2}), kHalf, kOne},
            {u8({2}, {3, 5})}, {2, 3, 5, 6, 7, 8}),
      refused(binary("QLinearAdd", "a scale is missing",
                     {a, nullptr, kOne, a, kHalf, two, kHalf, five}),
              "tested"),
      refused(binary("QLinearAdd", "floats", {ramp({3}), kHalf, kOne, a, kHalf, two, kHalf, five}),
              "tested"),
  };
}

std::vector<OpCase> windows() {
  const Constant x = u8({1, 1, 4}, {2, 4, 6, 8});
  const CaseAttributes pairs{{"kernel_shape", ints({2})}, {"strides", ints({2})}};
  const Constant image = noise_u8({2, 5, 9, 7});
  const std::vector<Constant> to{scalar(0.04F), u8({}, {12})};
  return {
      unary("QLinearAveragePool", "pairs", pairs, {x, kHalf, kZero, kQuarter, kOne},
            {u8({1, 1, 2}, {7, 15})}),
      unary("QLinearAveragePool", "padded images",
            {{"kernel_shape", ints({3, 2})}, {"pads", ints({1, 1, 0, 0})}},
            {image, scalar(0.05F), u8({}, {7}), to[0], to[1]}),
      unary("QLinearGlobalAveragePool", "row", {}, {x, kHalf, kZero, kQuarter, kOne},
            {u8({1, 1, 1}, {11})}),
      unary("QLinearGlobalAveragePool", "images", {},
            {image, scalar(0.05F), u8({}, {7}), to[0], to[1]}),
      unary("QLinearReduceMean", "rows", {{"axes", ints({1})}, {"keepdims", int64_t{0}}},
            {u8({2, 2}, {1, 2, 3, 5}), scalar(1), kZero, kHalf, kZero}, {u8({2}, {3, 8})}),
      coded("QLinearConcat", "two grids into a third", {{"axis", int64_t{0}}},
            {kHalf, kOne, u8({2}, {2, 4}), kHalf, kZero, u8({1}, {3}), scalar(1), kOne},
            {u8({3}, {3, 5, 5})}, {0, 1, 3, 4, 6, 7}),
      coded("QLinearConcat", "channels", {{"axis", int64_t{1}}},
            {kHalf, kOne, image, kHalf, kOne, noise_u8({2, 3, 9, 7}, 4), kHalf, kOne}, {},
            {0, 1, 3, 4, 6, 7}),
      refused(unary("QLinearAveragePool", "channels last",
                    {{"kernel_shape", ints({2})}, {"channels_last", int64_t{1}}},
                    {x, kHalf, kZero, kQuarter, kOne}),
              "channels_last"),
  };
}

std::vector<OpCase> products() {
  const Constant a = u8({2, 2}, {1, 2, 3, 4});
  const Constant b = s8({2, 2}, {1, -1, 2, 3});
  const Constant turned = s8({2, 2}, {1, 2, -1, 3});
  const Constant s0 = s8({}, {0});
  const Constant bias = s32({2}, {1, 2});
  const Constant eighth = scalar(0.125F);
  const std::vector<int> constants{1, 2, 3, 4, 5, 6, 7, 8};
  const Constant y = u8({2, 2}, {6, 8, 12, 12});
  return {
      coded("QGemm", "bias", {}, {a, kHalf, kOne, b, kQuarter, s0, bias, eighth, u8({}, {3})}, {y},
            constants),
      coded("QGemm", "turned weights, by channel", {{"transB", int64_t{1}}},
            {a, kHalf, kOne, turned, f32({2}, {0.25F, 0.25F}), s8({2}, {0, 0}), bias, eighth,
             u8({}, {3})},
            {y}, constants),
      coded("QGemm", "real result", {{"alpha", 2.0F}}, {a, kHalf, kOne, b, kQuarter, s0, bias},
            {f32({2, 2}, {0.75F, 1.25F, 2.25F, 2.25F})}, constants),
      refused(coded("QGemm", "no scales", {},
                    {a, kHalf, kOne, s8({2, 0}, {}), f32({0}, {}), s8({0}, {}), s32({1}, {1}),
                     eighth, u8({}, {3})},
                    {}, constants),
              "tested"),
      coded("QGemm", "odd extents", {},
            {noise_u8({17, 33}), scalar(0.02F), u8({}, {131}), noise_s8({33, 19}, 2), scalar(0.01F),
             s0, nullptr, scalar(0.2F), u8({}, {100})},
            {}, constants),
  };
}

}  // namespace

std::vector<OpCase> qoperator_cases() {
  std::vector<OpCase> all;
  for (auto* const list : {element_wise, windows, products}) {
    for (OpCase& item : list()) all.push_back(std::move(item));
  }
  return all;
}

}  // namespace qtool::test
