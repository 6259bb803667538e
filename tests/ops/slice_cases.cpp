// SPDX-License-Identifier: Apache-2.0
#include <limits>

#include "ops/op_case.h"

namespace qtool::test {

namespace {

Constant list(const std::vector<int64_t>& values) {
  return s64({static_cast<int64_t>(values.size())}, values);
}

struct Lists {
  std::vector<int64_t> starts;
  std::vector<int64_t> ends;
  std::vector<int64_t> axes = {};
  std::vector<int64_t> steps = {};
};

OpCase slice(std::string name, Constant input, const Lists& lists,
             std::vector<Constant> expected = {}, std::string error = {}) {
  OpCase item{.name = std::move(name),
              .op = "Slice",
              .opset = 13,
              .inputs = {std::move(input), list(lists.starts), list(lists.ends),
                         lists.axes.empty() ? nullptr : list(lists.axes),
                         lists.steps.empty() ? nullptr : list(lists.steps)},
              .constants = {1, 2, 3, 4},
              .expected = std::move(expected),
              .error = std::move(error)};
  return item;
}

OpCase slice1(std::string name, Constant input, const Lists& lists,
              std::vector<Constant> expected) {
  CaseAttributes attributes{{"starts", lists.starts}, {"ends", lists.ends}};
  if (!lists.axes.empty()) attributes.emplace_back("axes", lists.axes);
  return {.name = std::move(name),
          .op = "Slice",
          .opset = 9,
          .attributes = std::move(attributes),
          .inputs = {std::move(input)},
          .expected = std::move(expected)};
}

}  // namespace

std::vector<OpCase> slice_cases() {
  const Constant five = ramp({5});
  const Constant grid = ramp({2, 3});
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  constexpr int64_t kLeast = std::numeric_limits<int64_t>::min();
  return {
      slice("middle", five, {{1}, {3}}, {f32({2}, {1, 2})}),
      slice("from the end", five, {{-2}, {kMost}}, {f32({2}, {3, 4})}),
      slice("to before the end", five, {{0}, {-3}}, {f32({2}, {0, 1})}),
      slice("beyond both ends", five, {{-100}, {100}}, {five}),
      slice("every second", five, {{0}, {5}, {0}, {2}}, {f32({3}, {0, 2, 4})}),
      slice("backwards", five, {{-1}, {kLeast}, {0}, {-1}}, {f32({5}, {4, 3, 2, 1, 0})}),
      slice("backwards by two", five, {{3}, {0}, {0}, {-2}}, {f32({2}, {3, 1})}),
      slice("backwards from beyond", five, {{100}, {2}, {0}, {-1}}, {f32({2}, {4, 3})}),
      // ONNX clamps the start of a backward slice to the first element, where NumPy gives nothing.
      slice("backwards from before the start", five, {{-100}, {kLeast}, {0}, {-1}},
            {f32({1}, {0})}),
      slice("nothing", five, {{3}, {3}}, {f32({0}, {})}),
      slice("inverted", five, {{3}, {1}}, {f32({0}, {})}),
      slice("huge step", five, {{1}, {kMost}, {0}, {kMost}}, {f32({1}, {1})}),
      slice("huge step back", grid, {{1}, {kLeast}, {0}, {kLeast}}, {f32({1, 3}, {3, 4, 5})}),
      slice("one axis", grid, {{1}, {3}, {1}}, {f32({2, 2}, {1, 2, 4, 5})}),
      slice("negative axis", grid, {{1}, {3}, {-1}}, {f32({2, 2}, {1, 2, 4, 5})}),
      slice("both axes", grid, {{1, 0}, {2, 2}}, {f32({1, 2}, {3, 4})}),
      slice("both axes, backwards", grid, {{-1, -1}, {kLeast, kLeast}, {0, 1}, {-1, -2}},
            {f32({2, 2}, {5, 3, 2, 0})}),
      slice("first axis only", grid, {{1}, {2}}, {f32({1, 3}, {3, 4, 5})}),
      slice("of nothing", f32({0, 2}, {}), {{0}, {5}, {0}, {1}}, {f32({0, 2}, {})}),
      slice("of nothing, backwards", f32({0, 2}, {}), {{-1}, {kLeast}, {0}, {-1}},
            {f32({0, 2}, {})}),
      slice("bytes", u8({4}, {1, 2, 3, 4}), {{1}, {4}, {0}, {2}}, {u8({2}, {2, 4})}),
      slice("64-bit", s64({3}, {1, 2, 3}), {{0}, {1}}, {s64({1}, {1})}),
      slice("channels", noise({2, 9, 4, 5}), {{3}, {8}, {1}, {2}}),
      slice("rows and columns", noise({2, 9, 4, 5}), {{1, -1}, {4, kLeast}, {2, 3}, {1, -2}}),
      slice("codes", noise_s8({1, 6, 5, 7}), {{0, 1}, {6, 6}, {1, 3}, {2, 2}}),
      slice("step 0", five, {{0}, {1}, {0}, {0}}, {}, "a step of 0"),
      slice("lengths", five, {{0, 0}, {1}}, {}, "different lengths"),
      slice("more starts than axes", five, {{0, 0}, {1, 1}}, {}, "axis 1 is outside"),
      slice("no such axis", five, {{0}, {1}, {1}}, {}, "axis 1 is outside"),
      slice("axis twice", grid, {{0, 0}, {1, 1}, {0, -2}}, {}, "axis 0 is listed twice"),

      slice1("middle", five, {{1}, {3}}, {f32({2}, {1, 2})}),
      slice1("one axis", grid, {{-2}, {1000}, {1}}, {f32({2, 2}, {1, 2, 4, 5})}),
      slice1("images", noise({2, 9, 4, 5}), {{1, 1}, {-1, 3}, {1, 2}}, {}),
  };
}

}  // namespace qtool::test
