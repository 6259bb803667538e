// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <limits>

#include "ops/op_case.h"

namespace qtool::test {

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

OpCase to(DType dtype, std::string name, Constant x, std::vector<Constant> expected = {},
          std::string error = {}) {
  return {.name = std::move(name),
          .op = "Cast",
          .attributes = {{"to", static_cast<int64_t>(dtype)}},
          .inputs = {std::move(x)},
          .expected = std::move(expected),
          .error = std::move(error)};
}

std::vector<OpCase> cast_cases() {
  const Constant x = f32({6}, {-1.7F, 0, 1.7F, 300, kNan, kInf});
  const auto half = [](float value) { return Float16::from(value); };
  std::vector<OpCase> all{
      to(DType::int32, "truncates", f32({4}, {-1.7F, -0.2F, 1.7F, 1e9F}),
         {s32({4}, {-1, 0, 1, 1000000000})}),
      to(DType::uint8, "saturates", x, {u8({6}, {0, 0, 1, 255, 0, 255})}),
      to(DType::int64, "saturates at 2^63", f32({2}, {1e30F, -1e30F}),
         {s64({2}, {INT64_MAX, INT64_MIN})}),
      to(DType::boolean, "not zero", x,
         {elements<bool>({6}, {true, false, true, true, true, true})}),
      to(DType::float32, "booleans", elements<bool>({2}, {true, false}), {f32({2}, {1, 0})}),
      to(DType::float32, "64-bit integers round", s64({1}, {(1 << 24) + 1}),
         {f32({1}, {16777216})}),
      to(DType::int8, "integers keep their low bits", s32({2}, {257, -129}), {s8({2}, {1, 127})}),
      to(DType::float16, "half precision rounds to even", f32({4}, {2049, 2051, 70000, 1e-8F}),
         {elements<Float16>({4}, {half(2048), half(2052), half(kInf), half(0)})}),
      to(DType::bfloat16, "bfloat16", f32({2}, {1.00390625F, 3e38F}),
         {elements<BFloat16>({2}, {BFloat16::from(1), BFloat16::from(3e38F)})}),
      to(DType::float16, "double rounds once", elements<double>({1}, {1 + 0x1p-11 + 0x1p-40}),
         {elements<Float16>({1}, {Float16{0x3C01}})}),
      to(DType::float32, "to itself", x, {x}),
      to(DType::float64, "images", noise({2, 3, 4, 5})),
      to(DType::int8, "images to codes", noise({2, 3, 4, 5})),
      to(DType::int32, "codes of images", noise_u8({2, 3, 4, 5})),
      to(DType::float32, "images to themselves", noise({2, 3, 4, 5})),
      to(DType::int64, "many", noise({70003})),
      to(DType::int64, "nothing", f32({0, 3}, {}), {s64({0, 3}, {})}),
      to(DType::string, "text", scalar(1), {}, "numbers into text"),
      to(DType::float8e5m2, "8-bit floats", scalar(1), {}, "float8e5m2"),
      to(static_cast<DType>(77), "no type", scalar(1), {}, "\"to\" is 77"),
      {.name = "of another type",
       .op = "CastLike",
       .inputs = {f32({2}, {1.5F, -2}), s64({0}, {})},
       .constants = {1},
       .expected = {s64({2}, {1, -2})}},
      {.name = "images", .op = "CastLike", .inputs = {noise({2, 3, 4, 5}), s32({1}, {7})}},
      {.name = "of its own type", .op = "CastLike", .inputs = {noise({2, 3, 4, 5}), scalar(7)}},
  };
  return all;
}

// Probabilities 1/2, 1/4, 1/8 and 1/8, so that losses are multiples of log 2.
constexpr float kBit = 0.6931472F;
const std::vector<float> kBits{-1 * kBit, -2 * kBit, -3 * kBit, -3 * kBit,
                               -3 * kBit, -1 * kBit, -2 * kBit, -3 * kBit};

OpCase loss(std::string op, std::string name, CaseAttributes attributes,
            std::vector<Constant> inputs, std::vector<Constant> expected = {},
            std::string error = {}) {
  return {.name = std::move(name),
          .op = std::move(op),
          .attributes = std::move(attributes),
          .inputs = std::move(inputs),
          .constants = {1, 2},
          .expected = std::move(expected),
          .near = 1e-6,
          .error = std::move(error)};
}

std::vector<OpCase> loss_cases(const char* op) {
  const Constant x = f32({2, 4}, kBits);
  const Constant labels = s64({2}, {1, 2});
  const Constant weights = f32({4}, {1, 2, 3, 4});
  const auto reduction = [](const char* how) { return CaseAttributes{{"reduction", text(how)}}; };
  CaseAttributes ignoring = reduction("mean");
  ignoring.emplace_back("ignore_index", int64_t{-5});
  return {
      loss(op, "each", reduction("none"), {x, labels}, {f32({2}, {2 * kBit, 2 * kBit})}),
      loss(op, "sum", reduction("sum"), {x, s32({2}, {0, 3})}, {scalar(4 * kBit)}),
      loss(op, "mean", {}, {x, s64({2}, {0, 3})}, {scalar(2 * kBit)}),
      loss(op, "weighted", reduction("none"), {x, labels, weights},
           {f32({2}, {4 * kBit, 6 * kBit})}),
      loss(op, "weighted mean", {}, {x, s64({2}, {0, 3}), weights}, {scalar(13 * kBit / 5)}),
      loss(op, "ignored", ignoring, {x, s64({2}, {-5, 1})}, {scalar(kBit)}),
      loss(op, "all ignored", ignoring, {x, s64({2}, {-5, -5})}, {scalar(kNan)}),
      loss(op, "images", reduction("none"),
           {noise({2, 3, 4, 5}), s64({2, 4, 5}, std::vector<int64_t>(40, 2))}),
      loss(op, "doubles", {}, {make_constant(cast(*x, DType::float64)), labels}),
      loss(op, "label outside", {}, {x, s64({2}, {0, 4})}, {}, "the label 4 of 4 classes"),
      loss(op, "negative label", {}, {x, s64({2}, {0, -1})}, {}, "the label -1 of 4 classes"),
      loss(op, "labels of another shape", {}, {x, s64({3}, {0, 0, 0})}, {}, "labels int64[3]"),
      loss(op, "weights of another length", {}, {x, labels, f32({3}, {1, 1, 1})}, {},
           "weights float[3]"),
      loss(op, "no classes", {}, {f32({2}, {1, 1}), s64({}, {0})}, {}, "without a class axis"),
      loss(op, "reduction", reduction("max"), {x, labels}, {}, "\"reduction\" is \"max\""),
  };
}

}  // namespace

std::vector<OpCase> cast_loss_cases() {
  std::vector<OpCase> all = cast_cases();
  for (const char* op : {"NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"}) {
    for (OpCase& item : loss_cases(op)) all.push_back(std::move(item));
  }
  OpCase both = loss("SoftmaxCrossEntropyLoss", "with logarithms of probabilities", {},
                     {f32({1, 2, 1}, {1000, 1000}), s64({1, 1}, {1})},
                     {scalar(kBit), f32({1, 2, 1}, {-kBit, -kBit})});
  both.outputs = 2;
  all.push_back(std::move(both));
  return all;
}

}  // namespace qtool::test
