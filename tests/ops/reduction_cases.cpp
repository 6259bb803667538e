// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <limits>

#include "ops/op_case.h"

namespace qtool::test {

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

/// Axes as an attribute (opset 11) or, since 18, as an input.
OpCase reduce(std::string op, std::string name, int64_t opset, Constant x,
              std::vector<int64_t> axes, std::vector<Constant> expected = {},
              CaseAttributes attributes = {}, std::string error = {}) {
  OpCase item{.name = std::move(name),
              .op = std::move(op),
              .opset = opset,
              .attributes = std::move(attributes),
              .inputs = {std::move(x)},
              .constants = {1},
              .expected = std::move(expected),
              .near = 1e-6,
              .error = std::move(error)};
  if (axes.empty()) return item;
  if (opset < 18) {
    item.attributes.emplace_back("axes", ints(std::move(axes)));
  } else {
    const auto count = static_cast<int64_t>(axes.size());
    item.inputs.push_back(s64({count}, std::move(axes)));
  }
  return item;
}

/// What the op makes of 1, -2, 3 and of nothing.
struct Known {
  const char* op;
  float value;
  float of_nothing;
};
const Known kKnown[] = {{"ReduceSum", 2, 0},
                        {"ReduceMean", 2.0F / 3, kNan},
                        {"ReduceMax", 3, -kInf},
                        {"ReduceMin", -2, kInf},
                        {"ReduceProd", -6, 1},
                        {"ReduceL1", 6, 0},
                        {"ReduceL2", 3.7416574F, 0},
                        {"ReduceLogSum", 0.6931472F, -kInf},
                        {"ReduceLogSumExp", 3.1328452F, -kInf},
                        {"ReduceSumSquare", 14, 0}};

std::vector<OpCase> shared_cases(const Known& known, int64_t opset) {
  const char* op = known.op;
  const Constant x = f32({3}, {1, -2, 3});
  const Constant images = noise({2, 3, 4, 5}, 4);
  // Magnitudes, so that a sum of logarithm's argument is positive.
  const Constant positive = f32({2, 3}, {1, 2, 3, 4, 5, 6});
  std::vector<OpCase> all{
      reduce(op, "one axis", opset, x, {0}, {f32({1}, {known.value})}),
      reduce(op, "all axes", opset, x, {}, {f32({1}, {known.value})}),
      reduce(op, "to a scalar", opset, x, {-1}, {f32({}, {known.value})},
             {{"keepdims", int64_t{0}}}),
      reduce(op, "columns", opset, f32({3, 2}, {1, 1, -2, -2, 3, 3}), {0},
             {f32({1, 2}, {known.value, known.value})}),
      reduce(op, "first and last", opset, f32({1, 2, 3}, {1, -2, 3, 3, -2, 1}), {0, -1},
             {f32({2}, {known.value, known.value})}, {{"keepdims", int64_t{0}}}),
      reduce(op, "nothing", opset, f32({2, 0}, {}), {1},
             {f32({2, 1}, {known.of_nothing, known.of_nothing})}),
      reduce(op, "no results", opset, f32({0, 3}, {}), {1}, {f32({0, 1}, {})}),
      reduce(op, "not a number", opset, f32({2, 2}, {1, kNan, kNan, 1}), {1},
             {f32({2, 1}, {kNan, kNan})}),
      reduce(op, "a scalar", opset, scalar(1), {}),
      reduce(op, "rows", opset, positive, {1}),
      reduce(op, "space", opset, images, {2, 3}),
      reduce(op, "space dropped", opset, images, {2, 3}, {}, {{"keepdims", int64_t{0}}}),
      reduce(op, "channels", opset, images, {1}),
      reduce(op, "channels dropped", opset, images, {1}, {}, {{"keepdims", int64_t{0}}}),
      reduce(op, "width", opset, images, {-1}),
      reduce(op, "every other", opset, images, {0, 2}),
      reduce(op, "all of images", opset, images, {}),
      reduce(op, "many columns", opset, noise({3, 1201}, 2), {0}),
      reduce(op, "long row", opset, noise({2, 70001}, 2), {1}),
      reduce(op, "half precision", opset, make_constant(cast(*positive, DType::float16)), {1}),
      reduce(op, "doubles", opset, make_constant(cast(*positive, DType::float64)), {0}),
      reduce(op, "axis outside", opset, x, {1}, {}, {}, "axis 1 is outside"),
      reduce(op, "axis twice", opset, positive, {0, -2}, {}, {}, "stands twice"),
  };
  if (opset >= 18) {
    all.push_back(reduce(op, "nothing named, nothing done", opset, x, {}, {x},
                         {{"noop_with_empty_axes", int64_t{1}}}));
    OpCase empty = reduce(op, "empty axes", opset, x, {}, {f32({1}, {known.value})});
    empty.inputs.push_back(s64({0}, {}));
    all.push_back(std::move(empty));
  }
  return all;
}

std::vector<OpCase> special_cases() {
  const int64_t big = int64_t{1} << 62;
  return {
      reduce("ReduceSum", "exact beyond double", 18, s64({3}, {big, 1, 1}), {},
             {s64({1}, {big + 2})}),
      reduce("ReduceSum", "wraps", 18, s32({2}, {INT32_MAX, 1}), {}, {s32({1}, {INT32_MIN})}),
      reduce("ReduceSum", "axes input in opset 13", 13, ramp({2, 2}), {}, {f32({1, 1}, {6})}),
      reduce("ReduceMean", "integers truncate", 18, s32({2, 2}, {1, 2, -1, -2}), {1},
             {s32({2, 1}, {1, -1})}),
      reduce("ReduceMean", "of no integers", 18, s32({0}, {}), {}, {}, {}, "mean of no integers"),
      reduce("ReduceMax", "integers", 18, s64({3}, {INT64_MAX - 1, INT64_MAX, 3}), {},
             {s64({1}, {INT64_MAX})}),
      reduce("ReduceMax", "of no bytes", 18, u8({0}, {}), {}, {u8({1}, {0})}),
      reduce("ReduceMin", "of no integers", 18, s32({0}, {}), {}, {s32({1}, {INT32_MAX})}),
      reduce("ReduceMin", "bytes", 18, s8({3}, {5, -128, 127}), {}, {s8({1}, {-128})}),
      reduce("ReduceMax", "booleans", 20, elements<bool>({2, 2}, {false, true, false, false}), {1},
             {elements<bool>({2, 1}, {true, false})}),
      reduce("ReduceMin", "booleans", 20, elements<bool>({2, 2}, {false, true, true, true}), {1},
             {elements<bool>({2, 1}, {false, true})}),
      reduce("ReduceMax", "infinite", 18, f32({2}, {-kInf, -kInf}), {}, {f32({1}, {-kInf})}),
      reduce("ReduceL1", "integers", 18, s32({3}, {-3, 4, -5}), {}, {s32({1}, {12})}),
      reduce("ReduceL2", "integers", 18, s32({2}, {3, 4}), {}, {s32({1}, {5})}),
      reduce("ReduceSumSquare", "integers", 18, s32({2}, {-3, 4}), {}, {s32({1}, {25})}),
      reduce("ReduceProd", "integers", 18, s32({3}, {-3, 4, 2}), {}, {s32({1}, {-24})}),
      reduce("ReduceL2", "squares beyond float", 18, f32({2}, {3e30F, 4e30F}), {},
             {f32({1}, {5e30F})}),
      reduce("ReduceLogSumExp", "without overflow", 18, f32({2, 2}, {1000, 1000, -1000, -1000}),
             {1}, {f32({2, 1}, {1000.6931F, -999.30685F})}),
      reduce("ReduceLogSumExp", "infinite", 18, f32({3, 2}, {kInf, 1, -kInf, 1, -kInf, -kInf}), {1},
             {f32({3, 1}, {kInf, 1, -kInf})}),
      reduce("ReduceSum", "booleans", 18, elements<bool>({1}, {true}), {}, {}, {},
             "elements of type bool"),
  };
}

}  // namespace

std::vector<OpCase> reduction_cases() {
  std::vector<OpCase> all = special_cases();
  for (const Known& known : kKnown) {
    for (const int64_t opset : {11, 18}) {
      for (OpCase& item : shared_cases(known, opset)) all.push_back(std::move(item));
    }
  }
  return all;
}

}  // namespace qtool::test
