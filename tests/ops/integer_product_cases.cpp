// SPDX-License-Identifier: Apache-2.0
#include "ops/op_case.h"

namespace qtool::test {

namespace {

/// Weights and all parameters are initializers in models, but for the source's zero point.
OpCase whole(std::string op, std::string name, CaseAttributes attributes,
             std::vector<Constant> inputs, std::vector<Constant> expected = {}) {
  return {.name = std::move(name),
          .op = std::move(op),
          .attributes = std::move(attributes),
          .inputs = std::move(inputs),
          .constants = {1, 3},
          .expected = std::move(expected)};
}

OpCase qlinear(std::string op, std::string name, CaseAttributes attributes,
               std::vector<Constant> inputs, std::vector<Constant> expected = {}) {
  return {.name = std::move(name),
          .op = std::move(op),
          .attributes = std::move(attributes),
          .inputs = std::move(inputs),
          .constants = {1, 2, 3, 4, 5, 6, 7, 8},
          .expected = std::move(expected)};
}

OpCase refused(OpCase item, std::string error) {
  item.expected.clear();
  item.error = std::move(error);
  return item;
}

std::vector<OpCase> matmul_integer_cases() {
  const char* op = "MatMulInteger";
  const Constant a = u8({2, 2}, {1, 2, 3, 4});
  const Constant b = s8({2, 2}, {1, -1, 2, 3});
  const Constant y = s32({2, 2}, {2, 3, 8, 7});
  const Constant one = u8({}, {1});
  return {
      whole(op, "zero point of the source", {}, {a, b, one}, {y}),
      whole(op, "no zero points", {}, {u8({2, 2}, {0, 1, 2, 3}), b}, {y}),
      whole(op, "signed source", {}, {s8({2, 2}, {-4, -3, -2, -1}), b, s8({}, {-4})}, {y}),
      whole(op, "a zero point per row", {}, {u8({2, 2}, {1, 2, 4, 5}), b, u8({2}, {1, 2})}, {y}),
      whole(op, "a zero point per column", {}, {a, u8({2, 2}, {2, 1, 3, 5}), one, u8({2}, {1, 2})},
            {y}),
      whole(op, "only the weights have a zero point", {},
            {u8({2, 2}, {0, 1, 2, 3}), u8({2, 2}, {129, 127, 130, 131}), nullptr, u8({}, {128})},
            {y}),
      whole(op, "vectors", {}, {u8({2}, {3, 5}), s8({2}, {10, 100}), one}, {s32({}, {420})}),
      whole(op, "a vector on the left", {}, {u8({2}, {1, 2}), b, one}, {s32({2}, {2, 3})}),
      whole(op, "no rows", {}, {u8({0, 2}, {}), b, one}, {s32({0, 2}, {})}),
      whole(op, "nothing to add", {}, {u8({2, 0}, {}), s8({0, 1}, {}), one}, {s32({2, 1}, {0, 0})}),
      whole(op, "odd extents, u8 by s8", {},
            {noise_u8({3, 7, 13}), noise_s8({13, 11}, 2), u8({}, {131})}),
      whole(op, "odd extents, u8 by u8", {},
            {noise_u8({17, 33}), noise_u8({33, 19}, 2), u8({}, {3}), noise_u8({19}, 5)}),
      whole(op, "odd extents, s8 by u8", {},
            {noise_s8({17, 33}), noise_u8({33, 19}, 2), s8({}, {-77}), u8({}, {200})}),
      whole(op, "odd extents, s8 by s8, by row", {},
            {noise_s8({2, 5, 33}), noise_s8({33, 19}, 2), noise_s8({5}, 9), s8({}, {3})}),
      whole(op, "sums beyond the whole numbers of floats", {},
            {u8({1, 1500}, std::vector<uint8_t>(1500, 255)), s8({1500, 1},
                                                                [] {
                                                                  std::vector<int8_t> w(1500, 127);
                                                                  w[0] = 126;
                                                                  return w;
                                                                }())},
            {s32({1, 1}, {48577500 - 255})}),
      whole(op, "batches on both sides", {},
            {noise_u8({2, 3, 4}), noise_u8({2, 4, 5}, 2), u8({}, {9}), u8({}, {7})}),
      refused(whole(op, "other extents inside", {}, {noise_u8({2, 3}), noise_s8({4, 2})}),
              "inner extents differ: 3 and 4"),
      refused(whole(op, "wrong type", {}, {s32({1, 1}, {1}), b}), "codes are uint8 or int8"),
      refused(whole(op, "a zero point of another type", {}, {a, b, s8({}, {1})}),
              "codes of type uint8, but zero points of type int8"),
      refused(whole(op, "too many zero points", {}, {a, b, u8({3}, {1, 1, 1})}),
              "3 zero points for an axis of extent 2"),
  };
}

std::vector<OpCase> conv_integer_cases() {
  const char* op = "ConvInteger";
  const Constant x = u8({1, 1, 3}, {2, 3, 4});
  const Constant w = s8({1, 1, 2}, {3, 1});
  const Constant one = u8({}, {1});
  const Attribute pads = ints({1, 1});
  const CaseAttributes odd{{"pads", ints({2, 0, 1, 1})}, {"strides", ints({2, 1})}};
  return {
      whole(op, "zero point of the source", {}, {x, w, one}, {s32({1, 1, 2}, {5, 9})}),
      whole(op, "padding is the zero point", {{"pads", pads}}, {x, w, one},
            {s32({1, 1, 4}, {1, 5, 9, 9})}),
      whole(op, "zero points of both", {{"pads", pads}},
            {x, u8({1, 1, 2}, {133, 131}), one, u8({}, {130})}, {s32({1, 1, 4}, {1, 5, 9, 9})}),
      whole(op, "no zero points", {}, {u8({1, 1, 3}, {1, 2, 3}), w}, {s32({1, 1, 2}, {5, 9})}),
      whole(op, "a zero point per filter", {},
            {x, s8({2, 1, 2}, {4, 2, 5, 3}), one, s8({2}, {1, 2})}, {s32({1, 2, 2}, {5, 9, 5, 9})}),
      whole(op, "odd, u8 by s8", odd,
            {noise_u8({2, 5, 9, 7}), noise_s8({6, 5, 3, 2}, 2), u8({}, {131})}),
      whole(op, "odd, u8 by u8", odd,
            {noise_u8({2, 5, 9, 7}), noise_u8({6, 5, 3, 2}, 2), u8({}, {131}), u8({}, {17})}),
      whole(op, "odd, s8 by u8 by filter", odd,
            {noise_s8({2, 5, 9, 7}), noise_u8({6, 5, 3, 2}, 2), s8({}, {-31}), noise_u8({6}, 8)}),
      whole(op, "groups", {{"group", int64_t{3}}, {"pads", ints({1, 1, 1, 1})}},
            {noise_u8({2, 6, 5, 5}), noise_u8({9, 2, 3, 3}, 2), u8({}, {90}), noise_u8({9}, 8)}),
      whole(op, "depthwise, dilated",
            {{"group", int64_t{5}}, {"dilations", ints({2, 2})}, {"pads", ints({2, 2, 2, 2})}},
            {noise_u8({1, 5, 6, 7}), noise_u8({5, 1, 3, 3}, 2), u8({}, {90}), u8({}, {128})}),
      whole(op, "no images", {}, {u8({0, 1, 3}, {}), w, one}, {s32({0, 1, 2}, {})}),
      refused(whole(op, "channels that do not fit", {}, {noise_u8({1, 3, 4}), noise_s8({1, 2, 2})}),
              "3 input channels, but the weights expect 2"),
  };
}

std::vector<OpCase> qlinear_conv_cases() {
  const char* op = "QLinearConv";
  const Constant x = u8({1, 1, 3}, {2, 3, 4});
  const Constant w = s8({1, 1, 2}, {3, 1});
  const Constant one = u8({}, {1});
  const Constant s0 = s8({}, {0});
  const auto inputs = [](Constant source, Constant zero, Constant weights, Constant scale,
                         Constant zeros, Constant bias) {
    return std::vector<Constant>{
        source,        scalar(0.5F),
        zero,          weights,
        scale,         zeros,
        scalar(0.25F), zero->dtype() == DType::uint8 ? u8({}, {10}) : s8({}, {10}),
        bias};
  };
  const CaseAttributes odd{{"pads", ints({2, 0, 1, 1})}, {"strides", ints({2, 1})}};
  const Constant fine = scalar(0.001F);
  const Constant by_filter = f32({6}, {0.001F, 0.002F, 0.0005F, 0.003F, 0.001F, 0.0007F});
  const Constant bias6 = s32({6}, {1000, -2000, 0, 5, 12345, -99});
  const std::vector<Constant> exact = inputs(x, one, w, scalar(0.25F), s0, s32({1}, {3}));
  std::vector<OpCase> cases{
      qlinear(op, "bias", {}, exact, {u8({1, 1, 2}, {14, 16})}),
      qlinear(op, "padding is the zero point", {{"pads", ints({1, 1})}}, exact,
              {u8({1, 1, 4}, {12, 14, 16, 16})}),
      qlinear(op, "scales and zero points per filter", {},
              inputs(x, one, s8({2, 1, 2}, {4, 2, 5, 3}), f32({2}, {0.25F, 0.5F}), s8({2}, {1, 2}),
                     nullptr),
              {u8({1, 2, 2}, {12, 14, 15, 19})}),
      qlinear(
          op, "saturates", {},
          inputs(u8({1, 1, 2}, {0, 255}), one, s8({1, 1, 1}, {100}), scalar(0.25F), s0, nullptr),
          {u8({1, 1, 2}, {0, 255})}),
      qlinear(op, "odd, u8 by s8", odd,
              inputs(noise_u8({2, 5, 9, 7}), u8({}, {131}), noise_s8({6, 5, 3, 2}, 2), fine, s0,
                     bias6)),
      qlinear(op, "odd, by filter", odd,
              inputs(noise_u8({2, 5, 9, 7}), u8({}, {131}), noise_s8({6, 5, 3, 2}, 2), by_filter,
                     s8({6}, {0, 0, 0, 0, 0, 0}), bias6)),
      qlinear(op, "odd, s8 by s8", odd,
              inputs(noise_s8({2, 5, 9, 7}), s8({}, {-5}), noise_s8({6, 5, 3, 2}, 2), by_filter,
                     s8({6}, {0, 0, 0, 0, 0, 0}), nullptr)),
      qlinear(op, "odd, u8 by u8", odd,
              inputs(noise_u8({2, 5, 9, 7}), u8({}, {131}), noise_u8({6, 5, 3, 2}, 2), fine,
                     u8({}, {128}), bias6)),
      qlinear(op, "odd, u8 by u8 with any zero point", odd,
              inputs(noise_u8({2, 5, 9, 7}), u8({}, {131}), noise_u8({6, 5, 3, 2}, 2), fine,
                     u8({}, {77}), bias6)),
      qlinear(op, "no images", {}, inputs(u8({0, 1, 3}, {}), one, w, scalar(0.25F), s0, nullptr),
              {u8({0, 1, 2}, {})}),
  };
  std::vector<Constant> two = exact;
  two[6] = f32({2}, {1, 1});
  cases.push_back(refused(qlinear(op, "two scales of the result", {}, two), "scale"));
  return cases;
}

std::vector<OpCase> qlinear_matmul_cases() {
  const char* op = "QLinearMatMul";
  const auto inputs = [](Constant a, Constant zero, Constant b, Constant scale, Constant zeros) {
    return std::vector<Constant>{a,     scalar(0.5F), zero,           b,
                                 scale, zeros,        scalar(0.125F), u8({}, {3})};
  };
  const Constant a = u8({2, 2}, {1, 2, 3, 4});
  const Constant b = s8({2, 2}, {1, -1, 2, 3});
  const Constant one = u8({}, {1});
  const Constant s0 = s8({}, {0});
  const Constant quarter = scalar(0.25F);
  const std::vector<Constant> exact = inputs(a, one, b, quarter, s0);
  std::vector<Constant> by_row = inputs(u8({2, 2}, {1, 2, 4, 5}), u8({2}, {1, 2}), b, quarter, s0);
  by_row[1] = f32({2}, {0.5F, 1});
  std::vector<Constant> short_scales = inputs(a, one, b, f32({3}, {1, 1, 1}), s8({3}, {0, 0, 0}));
  return {
      qlinear(op, "matrices", {}, exact, {u8({2, 2}, {5, 6, 11, 10})}),
      qlinear(op, "scales per column", {},
              inputs(a, one, b, f32({2}, {0.25F, 0.5F}), s8({2}, {0, 0})),
              {u8({2, 2}, {5, 9, 11, 17})}),
      qlinear(op, "scales and zero points per row", {}, by_row, {u8({2, 2}, {5, 6, 19, 17})}),
      qlinear(op, "unsigned weights", {},
              inputs(a, one, u8({2, 2}, {129, 127, 130, 131}), quarter, u8({}, {128})),
              {u8({2, 2}, {5, 6, 11, 10})}),
      qlinear(op, "a vector on the left", {}, inputs(u8({2}, {1, 2}), one, b, quarter, s0),
              {u8({2}, {5, 6})}),
      qlinear(
          op, "batches", {},
          inputs(noise_u8({3, 5, 33}), u8({}, {99}), noise_s8({33, 17}, 2), scalar(0.001F), s0)),
      qlinear(op, "batches on both sides", {},
              inputs(noise_u8({3, 5, 9}), u8({}, {99}), noise_u8({3, 9, 7}, 2), scalar(0.001F),
                     u8({}, {50}))),
      refused(qlinear(op, "three scales for two columns", {}, short_scales), "3 "),
  };
}

std::vector<OpCase> dynamic_quantize_cases() {
  const auto dynamic = [](std::string name, Constant x, std::vector<Constant> expected = {}) {
    return OpCase{.name = std::move(name),
                  .op = "DynamicQuantizeLinear",
                  .inputs = {std::move(x)},
                  .expected = std::move(expected),
                  .outputs = 3};
  };
  return {
      dynamic("both signs", f32({4}, {-5.1F, 0, 10.2F, 20.4F}),
              {u8({4}, {0, 51, 153, 255}), scalar(25.5F / 255), u8({}, {51})}),
      dynamic("positive: 0 is in the range", f32({2}, {51, 255}),
              {u8({2}, {51, 255}), scalar(1), u8({}, {0})}),
      dynamic("negative: 0 is in the range", f32({2}, {-255, -51}),
              {u8({2}, {0, 204}), scalar(1), u8({}, {255})}),
      dynamic("zeros", f32({3}, {0, 0, 0}), {u8({3}, {0, 0, 0}), scalar(1), u8({}, {0})}),
      dynamic("nothing", f32({0}, {}), {u8({0}, {}), scalar(1), u8({}, {0})}),
      dynamic("a scalar", scalar(255), {u8({}, {255}), scalar(1), u8({}, {0})}),
      dynamic("images", noise({2, 3, 17, 19})),
      dynamic("large", noise({40000})),
  };
}

}  // namespace

std::vector<OpCase> integer_product_cases() {
  std::vector<OpCase> all;
  for (auto* const list : {matmul_integer_cases, conv_integer_cases, qlinear_conv_cases,
                           qlinear_matmul_cases, dynamic_quantize_cases}) {
    for (OpCase& item : list()) all.push_back(std::move(item));
  }
  return all;
}

}  // namespace qtool::test
