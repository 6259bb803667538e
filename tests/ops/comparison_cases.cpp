// SPDX-License-Identifier: Apache-2.0
#include <limits>

#include "ops/op_case.h"

namespace qtool::test {

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

Constant flags(Shape shape, std::vector<bool> values) {
  return elements<bool>(std::move(shape), std::move(values));
}

OpCase binary(std::string op, std::string name, Constant a, Constant b,
              std::vector<Constant> expected = {}, std::string error = {}) {
  return {.name = std::move(name),
          .op = std::move(op),
          .inputs = {std::move(a), std::move(b)},
          .constants = {1},
          .expected = std::move(expected),
          .error = std::move(error)};
}

OpCase where(std::string name, Constant condition, Constant x, Constant y,
             std::vector<Constant> expected = {}, std::string error = {}) {
  return {.name = std::move(name),
          .op = "Where",
          .inputs = {std::move(condition), std::move(x), std::move(y)},
          .constants = {2},
          .expected = std::move(expected),
          .error = std::move(error)};
}

/// Random, as many as a shape has.
Constant coins(Shape shape) {
  const Constant numbers = noise(shape, 9);
  std::vector<bool> values;
  for (const float value : numbers->data<float>()) values.push_back(value > 0);
  return flags(std::move(shape), std::move(values));
}

std::vector<OpCase> predicate_cases() {
  std::vector<OpCase> all;
  struct Truth {
    const char* op;
    bool less, equal, greater;
  };
  for (const auto& [op, less, equal, greater] :
       std::initializer_list<Truth>{{"Equal", false, true, false},
                                    {"Greater", false, false, true},
                                    {"GreaterOrEqual", false, true, true},
                                    {"Less", true, false, false},
                                    {"LessOrEqual", true, true, false}}) {
    all.push_back(binary(op, "floats", f32({4}, {1, 2, 3, kNan}), f32({}, {2}),
                         {flags({4}, {less, equal, greater, false})}));
    all.push_back(binary(op, "infinite", f32({3}, {-kInf, kInf, kInf}), f32({3}, {0, kInf, kNan}),
                         {flags({3}, {less, equal, false})}));
    all.push_back(binary(op, "near 2^63", s64({3}, {INT64_MAX - 1, INT64_MAX, INT64_MAX}),
                         s64({3}, {INT64_MAX, INT64_MAX, INT64_MAX - 1}),
                         {flags({3}, {less, equal, greater})}));
    all.push_back(binary(op, "one-hot", s32({1, 2, 1}, {INT32_MIN, 7}), s32({3}, {6, 7, 8}),
                         {flags({1, 2, 3}, {less, less, less, greater, equal, less})}));
    all.push_back(binary(op, "bytes", u8({3}, {1, 128, 255}), u8({3}, {2, 128, 0}),
                         {flags({3}, {less, equal, greater})}));
    all.push_back(binary(op, "both grow", f32({2, 1}, {1, 2}), f32({1, 2}, {1, 2}),
                         {flags({2, 2}, {equal, less, greater, equal})}));
    all.push_back(binary(op, "nothing", f32({0, 2}, {}), f32({2}, {1, 2}), {flags({0, 2}, {})}));
    all.push_back(binary(op, "images", noise({2, 3, 4, 5}), noise({3, 1, 5}, 2)));
    all.push_back(binary(op, "many", noise({50021}), noise({50021}, 2)));
    all.push_back(binary(op, "types", f32({1}, {1}), s64({1}, {1}), {}, "different types"));
  }
  all.push_back(binary("Equal", "booleans", flags({2}, {true, false}), flags({1}, {true}),
                       {flags({2}, {true, false})}));
  all.push_back(binary("Less", "booleans", flags({1}, {true}), flags({1}, {true}), {},
                       "elements of type bool"));
  return all;
}

}  // namespace

std::vector<OpCase> comparison_cases() {
  std::vector<OpCase> all = predicate_cases();
  const Constant a = flags({2, 1}, {true, false});
  const Constant b = flags({2}, {true, false});
  for (OpCase& item : std::vector<OpCase>{
           binary("And", "table", a, b, {flags({2, 2}, {true, false, false, false})}),
           binary("Or", "table", a, b, {flags({2, 2}, {true, true, true, false})}),
           binary("Xor", "table", a, b, {flags({2, 2}, {false, true, true, false})}),
           binary("And", "numbers", s32({1}, {1}), s32({1}, {1}), {}, "elements of type int32"),
           where("all grow", flags({2, 1}, {true, false}), f32({2}, {1, 2}), scalar(9),
                 {f32({2, 2}, {1, 2, 9, 9})}),
           where("mask", coins({2, 3, 4, 5}), noise({2, 3, 4, 5}), scalar(-kInf)),
           where("masked by a scalar", coins({2, 3, 4, 5}), scalar(0), noise({2, 3, 4, 5})),
           where("images", coins({3, 1, 1}), noise({2, 3, 4, 5}), noise({2, 3, 4, 5}, 2)),
           where("integers", flags({2}, {false, true}), s64({2}, {1, 2}), s64({2}, {3, 4}),
                 {s64({2}, {3, 2})}),
           where("bytes", flags({2}, {false, true}), u8({}, {7}), u8({2}, {3, 4}),
                 {u8({2}, {3, 7})}),
           where("booleans", flags({}, {true}), flags({2}, {true, false}), flags({}, {true}),
                 {flags({2}, {true, false})}),
           where("half precision", flags({2}, {true, false}),
                 elements<Float16>({1}, {Float16::from(1)}),
                 elements<Float16>({1}, {Float16::from(2)}),
                 {elements<Float16>({2}, {Float16::from(1), Float16::from(2)})}),
           where("nothing", flags({0}, {}), scalar(1), f32({1}, {2}), {f32({0}, {})}),
           where("numbers as condition", s32({1}, {1}), scalar(1), scalar(2), {}, "not bool"),
           where("types", flags({1}, {true}), scalar(1), s32({}, {1}), {}, "different types"),
           where("shapes", flags({3}, {true, true, true}), scalar(1), f32({2}, {1, 2}), {},
                 "do not broadcast")}) {
    all.push_back(std::move(item));
  }
  return all;
}

}  // namespace qtool::test
