// SPDX-License-Identifier: Apache-2.0
// Compress, NonZero, Unique, ReverseSequence, Trilu.
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
          .constants = {1},
          .expected = std::move(expected),
          .error = std::move(error)};
}

OpCase non_zero(std::string name, Constant x, Constant expected) {
  OpCase item = make("NonZero", std::move(name), {}, {std::move(x)}, {std::move(expected)});
  item.constants = {0};
  return item;
}

/// y, first places, inverse, counts.
OpCase unique(std::string name, CaseAttributes attributes, Constant x,
              std::vector<Constant> expected) {
  OpCase item =
      make("Unique", std::move(name), std::move(attributes), {std::move(x)}, std::move(expected));
  item.outputs = 4;
  item.open_shape = true;
  return item;
}

std::vector<OpCase> condition_cases() {
  const Constant matrix = f32({3, 2}, {1, 2, 3, 4, 5, 6});
  return {
      make("Compress", "rows", {{"axis", int64_t{0}}}, {matrix, flags({false, true, true})},
           {f32({2, 2}, {3, 4, 5, 6})}),
      make("Compress", "columns", {{"axis", int64_t{-1}}}, {matrix, flags({false, true})},
           {f32({3, 1}, {2, 4, 6})}),
      make("Compress", "elements", {}, {matrix, flags({false, true, false, false, true})},
           {f32({2}, {2, 5})}),
      make("Compress", "short condition", {{"axis", int64_t{0}}}, {matrix, flags({true})},
           {f32({1, 2}, {1, 2})}),
      make("Compress", "nothing", {}, {matrix, flags({})}, {f32({0}, {})}),
      make("Compress", "too long", {{"axis", int64_t{1}}}, {matrix, flags({true, true, true})}, {},
           "3 conditions for 2 elements"),
      make("Compress", "numbers", {}, {matrix, list({1})}, {}, "no list of booleans"),
      non_zero("matrix", f32({2, 2}, {1, 0, 0, 2}), s64({2, 2}, {0, 1, 0, 1})),
      non_zero("booleans", flags({false, true, true}), s64({1, 2}, {1, 2})),
      non_zero("none", f32({2}, {0, -0.0F}), s64({1, 0}, {})),
      non_zero("scalar", scalar(3), s64({0, 1}, {})),
      non_zero("of nothing", f32({0, 2}, {}), s64({2, 0}, {})),
  };
}

std::vector<OpCase> order_cases() {
  const Constant x = f32({5}, {3, 1, 3, 2, 1});
  const Constant rows = f32({3, 2}, {1, 0, 1, 0, 0, 5});
  const Constant steps = f32({3, 2}, {1, 2, 3, 4, 5, 6});
  return {
      unique("sorted", {}, x,
             {f32({3}, {1, 2, 3}), list({1, 3, 0}), list({2, 0, 2, 1, 0}), list({2, 1, 2})}),
      unique("in order", {{"sorted", int64_t{0}}}, x,
             {f32({3}, {3, 1, 2}), list({0, 1, 3}), list({0, 1, 0, 2, 1}), list({2, 2, 1})}),
      unique("rows", {{"axis", int64_t{0}}}, rows,
             {f32({2, 2}, {0, 5, 1, 0}), list({2, 0}), list({1, 1, 0}), list({1, 2})}),
      unique("columns", {{"axis", int64_t{-1}}}, s64({1, 3}, {4, 4, 2}),
             {s64({1, 2}, {2, 4}), list({2, 0}), list({1, 1, 0}), list({1, 2})}),
      unique("all elements", {}, s64({2, 2}, {2, 1, 1, 2}),
             {list({1, 2}), list({1, 0}), list({1, 0, 0, 1}), list({2, 2})}),
      unique("nothing", {}, f32({0}, {}), {f32({0}, {}), list({}), list({}), list({})}),

      make("ReverseSequence", "time first", {}, {steps, list({3, 2})},
           {f32({3, 2}, {5, 4, 3, 2, 1, 6})}),
      make("ReverseSequence", "batch first",
           {{"batch_axis", int64_t{0}}, {"time_axis", int64_t{1}}}, {steps, list({2, 1, 0})},
           {f32({3, 2}, {2, 1, 3, 4, 5, 6})}),
      make("ReverseSequence", "vectors", {}, {ramp({2, 1, 2}), list({2})},
           {f32({2, 1, 2}, {2, 3, 0, 1})}),
      make("ReverseSequence", "nothing", {}, {f32({0, 2}, {}), list({0, 0})}, {f32({0, 2}, {})}),
      make("ReverseSequence", "too long", {}, {steps, list({4, 1})}, {}, "a length of 4"),
      make("ReverseSequence", "too few", {}, {steps, list({1})}, {}, "1 lengths for a batch of 2"),
      make("ReverseSequence", "axes", {{"batch_axis", int64_t{1}}, {"time_axis", int64_t{1}}},
           {steps, list({1, 1})}, {}, "they are 0 and 1"),

      make("Trilu", "upper", {}, {f32({2, 2}, {1, 2, 3, 4})}, {f32({2, 2}, {1, 2, 0, 4})}),
      make("Trilu", "lower", {{"upper", int64_t{0}}}, {f32({2, 2}, {1, 2, 3, 4})},
           {f32({2, 2}, {1, 0, 3, 4})}),
      make("Trilu", "above the diagonal", {}, {s64({2, 3}, {1, 2, 3, 4, 5, 6}), s64({}, {1})},
           {s64({2, 3}, {0, 2, 3, 0, 0, 6})}),
      make("Trilu", "far below", {{"upper", int64_t{0}}},
           {s64({2, 2}, {1, 2, 3, 4}), s64({}, {-9})}, {s64({2, 2}, {0, 0, 0, 0})}),
      make("Trilu", "several", {}, {f32({2, 1, 2}, {1, 2, 3, 4}), s64({}, {1})},
           {f32({2, 1, 2}, {0, 2, 0, 4})}),
      make("Trilu", "nothing", {}, {f32({0, 2}, {})}, {f32({0, 2}, {})}),
      make("Trilu", "vector", {}, {ramp({2})}, {}, "rank 1"),
  };
}

}  // namespace

std::vector<OpCase> pick_cases() {
  std::vector<OpCase> all = condition_cases();
  for (OpCase& item : order_cases()) all.push_back(std::move(item));
  return all;
}

}  // namespace qtool::test
