// SPDX-License-Identifier: Apache-2.0
// ConstantOfShape, Range, Size, EyeLike, OneHot, and the three windows.
#include <cmath>
#include <limits>

#include "ops/data_movement_cases.h"

namespace qtool::test {

namespace {

OpCase make(std::string op, std::string name, CaseAttributes attributes,
            std::vector<Constant> inputs, std::vector<Constant> expected = {},
            std::string error = {}) {
  return {.name = std::move(name),
          .op = std::move(op),
          .opset = 17,
          .attributes = std::move(attributes),
          .inputs = std::move(inputs),
          .constants = {0, 1, 2},
          .expected = std::move(expected),
          .error = std::move(error)};
}

Constant number(int64_t value) { return s64({}, {value}); }

std::vector<OpCase> shape_cases_of_fill() {
  const Attribute three = TensorAttribute{s64({1}, {3}), "", ""};
  return {
      make("ConstantOfShape", "zeros", {}, {list({2, 2})}, {f32({2, 2}, {0, 0, 0, 0})}),
      make("ConstantOfShape", "threes", {{"value", three}}, {list({3})}, {s64({3}, {3, 3, 3})}),
      make("ConstantOfShape", "scalar", {{"value", three}}, {list({})}, {s64({}, {3})}),
      make("ConstantOfShape", "nothing", {}, {list({0, 2})}, {f32({0, 2}, {})}),
      make("ConstantOfShape", "negative", {}, {list({-1})}, {}, "the shape [-1]"),
      make("ConstantOfShape", "huge", {}, {list({int64_t{1} << 40, int64_t{1} << 40})}, {},
           "too many elements"),
      make("ConstantOfShape", "two values", {{"value", TensorAttribute{list({1, 2}), "", ""}}},
           {list({1})}, {}, "\"value\" has 2 elements"),
      make("Size", "matrix", {}, {ramp({2, 3})}, {number(6)}),
      make("Size", "scalar", {}, {scalar(5)}, {number(1)}),
      make("Size", "nothing", {}, {f32({0, 3}, {})}, {number(0)}),
      make("EyeLike", "square", {}, {ramp({2, 2})}, {f32({2, 2}, {1, 0, 0, 1})}),
      make("EyeLike", "above", {{"k", int64_t{1}}, {"dtype", int64_t{7}}}, {ramp({2, 3})},
           {s64({2, 3}, {0, 1, 0, 0, 0, 1})}),
      make("EyeLike", "below", {{"k", int64_t{-1}}}, {s32({3, 2}, {5, 5, 5, 5, 5, 5})},
           {s32({3, 2}, {0, 0, 1, 0, 0, 1})}),
      make("EyeLike", "far off", {{"k", std::numeric_limits<int64_t>::max()}}, {ramp({2, 2})},
           {f32({2, 2}, {0, 0, 0, 0})}),
      make("EyeLike", "nothing", {}, {f32({0, 2}, {})}, {f32({0, 2}, {})}),
      make("EyeLike", "vector", {}, {ramp({2})}, {}, "rank 1"),
      make("EyeLike", "no type", {{"dtype", int64_t{99}}}, {ramp({2, 2})}, {}, "no element type"),
  };
}

std::vector<OpCase> range_cases() {
  const int64_t most = std::numeric_limits<int64_t>::max();
  const int64_t least = std::numeric_limits<int64_t>::min();
  return {
      make("Range", "up", {}, {number(1), number(8), number(3)}, {s64({3}, {1, 4, 7})}),
      make("Range", "down", {}, {number(5), number(1), number(-2)}, {s64({2}, {5, 3})}),
      make("Range", "floats", {}, {scalar(0), scalar(1), scalar(0.25F)},
           {f32({4}, {0, 0.25F, 0.5F, 0.75F})}),
      make("Range", "a part of a step", {}, {scalar(0), scalar(1.25F), scalar(0.5F)},
           {f32({3}, {0, 0.5F, 1})}),
      make("Range", "the wrong way", {}, {number(3), number(1), number(1)}, {s64({0}, {})}),
      make("Range", "from the first to the last", {}, {number(least), number(most), number(most)},
           {s64({3}, {least, -1, most - 1})}),
      make("Range", "no step", {}, {number(0), number(1), number(0)}, {}, "a step of 0"),
      make("Range", "too many", {}, {number(0), number(most), number(1)}, {}, "too many elements"),
      make("Range", "not a number", {}, {scalar(0), scalar(std::nanf("")), scalar(1)}, {},
           "no numbers"),
      make("Range", "to infinity", {}, {scalar(0), scalar(HUGE_VALF), scalar(1)}, {},
           "too many elements"),
      make("Range", "types", {}, {number(0), scalar(1), number(1)}, {}, "different types"),
      make("Range", "list", {}, {list({0, 1}), number(1), number(1)}, {}, "not one number"),
  };
}

std::vector<OpCase> one_hot_cases() {
  const Constant values = f32({2}, {-1, 5});
  OpCase old = make("OneHot", "before negative indices", {}, {list({-1}), number(2), values},
                    {f32({1, 2}, {-1, -1})});
  old.opset = 9;
  return {
      make("OneHot", "last axis", {}, {list({1, 0}), number(3), values},
           {f32({2, 3}, {-1, 5, -1, 5, -1, -1})}),
      make("OneHot", "first axis", {{"axis", int64_t{0}}}, {list({1, 0}), number(3), values},
           {f32({3, 2}, {-1, 5, 5, -1, -1, -1})}),
      make("OneHot", "negative and outside", {}, {list({-1, 2, -3}), list({2}), values},
           {f32({3, 2}, {-1, 5, -1, -1, -1, -1})}),
      make("OneHot", "scalar", {}, {number(1), number(2), s64({2}, {0, 1})}, {s64({2}, {0, 1})}),
      make("OneHot", "indices of floats", {}, {f32({1}, {1}), scalar(2), values},
           {f32({1, 2}, {-1, 5})}),
      make("OneHot", "none", {}, {s64({0}, {}), number(2), values}, {f32({0, 2}, {})}),
      std::move(old),
      make("OneHot", "no depth", {}, {list({0}), number(0), values}, {}, "a depth of 0"),
      make("OneHot", "huge depth", {}, {list({0}), number(int64_t{1} << 60), values}, {},
           "a depth of"),
      make("OneHot", "one value", {}, {list({0}), number(2), f32({1}, {1})}, {}, "off and on"),
      make("OneHot", "axis", {{"axis", int64_t{2}}}, {list({0}), number(2), values}, {},
           "axis 2 is outside"),
  };
}

std::vector<OpCase> window_cases() {
  const auto near = [](OpCase item) {
    item.near = 1e-7;
    return item;
  };
  const CaseAttributes symmetric{{"periodic", int64_t{0}}};
  const float low = 4.0F / 46;
  return {
      near(make("HannWindow", "periodic", {}, {number(4)}, {f32({4}, {0, 0.5F, 1, 0.5F})})),
      near(make("HannWindow", "symmetric", symmetric, {number(3)}, {f32({3}, {0, 1, 0})})),
      near(make("HannWindow", "one", symmetric, {number(1)}, {f32({1}, {1})})),
      near(make("HannWindow", "none", {}, {number(0)}, {f32({0}, {})})),
      near(make("HannWindow", "doubles", {{"output_datatype", int64_t{11}}}, {s32({}, {2})},
                {elements<double>({2}, {0, 1})})),
      near(make("HammingWindow", "periodic", {}, {number(4)},
                {f32({4}, {low, 25.0F / 46, 1, 25.0F / 46})})),
      near(make("HammingWindow", "symmetric", symmetric, {number(3)}, {f32({3}, {low, 1, low})})),
      near(make("BlackmanWindow", "periodic", {}, {number(4)}, {f32({4}, {0, 0.34F, 1, 0.34F})})),
      make("HannWindow", "negative", {}, {number(-1)}, {}, "a window of size -1"),
      make("HannWindow", "list", {}, {list({1, 2})}, {}, "not one number"),
  };
}

}  // namespace

std::vector<OpCase> fill_cases() {
  std::vector<OpCase> all;
  for (auto* const family : {shape_cases_of_fill, range_cases, one_hot_cases, window_cases}) {
    for (OpCase& item : family()) all.push_back(std::move(item));
  }
  return all;
}

}  // namespace qtool::test
