// SPDX-License-Identifier: Apache-2.0
#include <limits>

#include "ops/op_case.h"

namespace qtool::test {

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

OpCase unary(std::string op, std::string name, Constant input, std::vector<Constant> expected = {},
             double near = 0, std::string error = {}) {
  return {.name = std::move(name),
          .op = std::move(op),
          .opset = 18,
          .inputs = {std::move(input)},
          .expected = std::move(expected),
          .near = near,
          .error = std::move(error)};
}

OpCase is_inf(std::string name, CaseAttributes attributes, Constant input, Constant expected) {
  OpCase item = unary("IsInf", std::move(name), std::move(input), {std::move(expected)});
  item.attributes = std::move(attributes);
  return item;
}

Constant flags(Shape shape, std::vector<bool> values) {
  return elements<bool>(std::move(shape), std::move(values));
}

template <class T>
Constant lowest() {
  return elements<T>({1}, {std::numeric_limits<T>::min()});
}

std::vector<OpCase> exact_cases() {
  const Constant halves = f32({7}, {-2.5F, -1.5F, -0.5F, 0.5F, 1.5F, 2.5F, 2.75F});
  const Constant ends = f32({3}, {kInf, -kInf, kNan});
  return {
      unary("Abs", "signs", f32({3}, {-2, -0.0F, 3}), {f32({3}, {2, 0, 3})}),
      unary("Abs", "integers", s8({2}, {-127, 5}), {s8({2}, {127, 5})}),
      unary("Abs", "the lowest integer wraps", lowest<int64_t>(), {lowest<int64_t>()}),
      unary("Abs", "unsigned", elements<uint64_t>({1}, {~uint64_t{0}}),
            {elements<uint64_t>({1}, {~uint64_t{0}})}),
      unary("Neg", "signs", f32({3}, {-2, 0, 3}), {f32({3}, {2, 0, -3})}),
      unary("Neg", "integers", s32({2}, {-7, 7}), {s32({2}, {7, -7})}),
      unary("Neg", "the lowest integer wraps", lowest<int32_t>(), {lowest<int32_t>()}),
      unary("Neg", "unsigned", u8({1}, {1}), {}, 0, "elements of type uint8"),
      unary("Sign", "values", f32({4}, {-0.1F, 0, 7, kNan}), {f32({4}, {-1, 0, 1, kNan})}),
      unary("Sign", "integers", s64({3}, {-9, 0, 9}), {s64({3}, {-1, 0, 1})}),
      unary("Sign", "unsigned", u8({2}, {0, 200}), {u8({2}, {0, 1})}),
      unary("Floor", "halves", halves, {f32({7}, {-3, -2, -1, 0, 1, 2, 2})}),
      unary("Ceil", "halves", halves, {f32({7}, {-2, -1, 0, 1, 2, 3, 3})}),
      unary("Round", "halves to even", halves, {f32({7}, {-2, -2, 0, 0, 2, 2, 3})}),
      unary("Round", "large and infinite", f32({3}, {8388609, kInf, kNan}),
            {f32({3}, {8388609, kInf, kNan})}),
      unary("Reciprocal", "values", f32({4}, {2, -4, 0, kInf}),
            {f32({4}, {0.5F, -0.25F, kInf, 0})}),
      unary("Sqrt", "values", f32({4}, {0, 2.25F, kInf, -1}), {f32({4}, {0, 1.5F, kInf, kNan})}),
      unary("Sqrt", "half precision", elements<Float16>({1}, {Float16::from(2.25F)}),
            {elements<Float16>({1}, {Float16::from(1.5F)})}),
      unary("Exp", "ends", ends, {f32({3}, {kInf, 0, kNan})}),
      unary("Exp", "out of range", f32({4}, {88.7228F, 88.7229F, -103.97F, -104}),
            {f32({4}, {3.4026947e38F, kInf, 1.4012985e-45F, 0})}, 1e-6),
      unary("Log", "ends", f32({5}, {kInf, 0, -0.0F, -1, kNan}),
            {f32({5}, {kInf, -kInf, -kInf, kNan, kNan})}),
      unary("Log", "subnormal", f32({1}, {1.4012985e-45F}), {f32({1}, {-103.27893F})}, 1e-6),
      unary("Erf", "ends", ends, {f32({3}, {1, -1, kNan})}),
  };
}

std::vector<OpCase> bit_cases() {
  const Constant ends = f32({4}, {kInf, -kInf, kNan, 1});
  return {
      unary("IsNaN", "ends", ends, {flags({4}, {false, false, true, false})}),
      unary("IsNaN", "half precision", elements<BFloat16>({2}, {BFloat16::from(kNan), BFloat16{}}),
            {flags({2}, {true, false})}),
      unary("IsNaN", "integers", s32({1}, {1}), {}, 0, "elements of type int32"),
      is_inf("both", {}, ends, flags({4}, {true, true, false, false})),
      is_inf("positive", {{"detect_negative", int64_t{0}}}, ends,
             flags({4}, {true, false, false, false})),
      is_inf("negative", {{"detect_positive", int64_t{0}}}, ends,
             flags({4}, {false, true, false, false})),
      unary("Not", "both", flags({2}, {true, false}), {flags({2}, {false, true})}),
      unary("Not", "a number", s32({1}, {1}), {}, 0, "elements of type int32"),
      unary("BitwiseNot", "bytes", u8({3}, {0, 255, 0xA5}), {u8({3}, {255, 0, 0x5A})}),
      unary("BitwiseNot", "signed", s64({2}, {0, 41}), {s64({2}, {-1, -42})}),
      unary("BitwiseNot", "floats", scalar(1), {}, 0, "elements of type float"),
  };
}

}  // namespace

std::vector<OpCase> unary_cases() {
  std::vector<OpCase> all = exact_cases();
  for (OpCase& item : bit_cases()) all.push_back(std::move(item));
  struct Value {
    const char* op;
    float x;
    float y;
  };
  // Where the function has a known value.
  for (const Value& v : std::initializer_list<Value>{{"Exp", 0, 1},
                                                     {"Exp", 1, 2.7182817F},
                                                     {"Log", 1, 0},
                                                     {"Log", 2.7182817F, 1},
                                                     {"Erf", 0.5F, 0.5204999F},
                                                     {"Erf", -2, -0.9953223F},
                                                     {"Sin", 0.5235988F, 0.5F},
                                                     {"Cos", 1.0471976F, 0.5F},
                                                     {"Tan", 0.7853982F, 1},
                                                     {"Asin", 0.5F, 0.5235988F},
                                                     {"Acos", 0.5F, 1.0471976F},
                                                     {"Acos", 2, kNan},
                                                     {"Atan", 1, 0.7853982F},
                                                     {"Sinh", 0.6931472F, 0.75F},
                                                     {"Cosh", 0.6931472F, 1.25F},
                                                     {"Asinh", 0.75F, 0.6931472F},
                                                     {"Acosh", 1.25F, 0.6931472F},
                                                     {"Acosh", 0.5F, kNan},
                                                     {"Atanh", 0.6F, 0.6931472F},
                                                     {"Atanh", 1, kInf}}) {
    all.push_back(unary(v.op, "of " + std::to_string(v.x), scalar(v.x), {scalar(v.y)}, 2e-7));
    all.push_back(unary(v.op, "in doubles, of " + std::to_string(v.x),
                        make_constant(cast(*scalar(v.x), DType::float64)),
                        {make_constant(cast(*scalar(v.y), DType::float64))}, 2e-7));
  }
  for (const char* op : {"Abs",  "Neg",  "Sign", "Floor", "Ceil",  "Round", "Reciprocal", "Sqrt",
                         "Exp",  "Log",  "Erf",  "Sin",   "Cos",   "Tan",   "Asin",       "Acos",
                         "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh"}) {
    all.push_back(unary(op, "images", noise({2, 3, 5, 4}, 2)));
    all.push_back(unary(op, "odd count", noise({40007}, 5)));
    all.push_back(unary(op, "nothing", f32({0, 3}, {}), {f32({0, 3}, {})}));
    all.push_back(unary(op, "half precision", make_constant(cast(*noise({9}), DType::float16))));
    all.push_back(unary(op, "booleans", flags({1}, {true}), {}, 0, "elements of type bool"));
  }
  return all;
}

}  // namespace qtool::test
