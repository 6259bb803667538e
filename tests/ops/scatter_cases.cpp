// SPDX-License-Identifier: Apache-2.0
#include "ops/data_movement_cases.h"

namespace qtool::test {

namespace {

OpCase make(std::string op, std::string name, CaseAttributes attributes,
            std::vector<Constant> inputs, std::vector<Constant> expected = {},
            std::string error = {}) {
  return {.name = std::move(name),
          .op = std::move(op),
          .opset = 18,
          .attributes = std::move(attributes),
          .inputs = std::move(inputs),
          .constants = {1},
          .expected = std::move(expected),
          .error = std::move(error)};
}

std::vector<OpCase> elements_cases() {
  const Constant data = f32({2, 3}, {1, 2, 3, 4, 5, 6});
  const Attribute one = int64_t{1};
  const auto reduced = [&](const char* how, std::vector<float> expected) {
    return make("ScatterElements", how, {{"axis", one}, {"reduction", text(how)}},
                {data, s64({1, 2}, {1, -2}), f32({1, 2}, {10, -3})},
                {f32({2, 3}, std::move(expected))});
  };
  return {
      make("ScatterElements", "rows", {}, {data, s64({1, 3}, {1, 0, -1}), f32({1, 3}, {7, 8, 9})},
           {f32({2, 3}, {1, 8, 3, 7, 5, 9})}),
      make("ScatterElements", "the last of several stays", {{"axis", one}},
           {data, s64({1, 2}, {1, 1}), f32({1, 2}, {7, 8})}, {f32({2, 3}, {1, 8, 3, 4, 5, 6})}),
      reduced("add", {1, 9, 3, 4, 5, 6}),
      reduced("mul", {1, -60, 3, 4, 5, 6}),
      reduced("max", {1, 10, 3, 4, 5, 6}),
      reduced("min", {1, -3, 3, 4, 5, 6}),
      make("ScatterElements", "integers wrap", {{"reduction", text("add")}},
           {u8({1}, {250}), list({0}), u8({1}, {10})}, {u8({1}, {4})}),
      make("ScatterElements", "nothing", {}, {data, s64({0, 3}, {}), f32({0, 3}, {})}, {data}),
      make("ScatterElements", "beyond", {}, {data, s64({1, 1}, {2}), f32({1, 1}, {0})}, {},
           "the index 2"),
      make("ScatterElements", "updates of another shape", {},
           {data, s64({1, 1}, {1}), f32({1, 2}, {0, 0})}, {}, "expected the shape"),
      make("ScatterElements", "updates of another type", {},
           {data, s64({1, 1}, {1}), s64({1, 1}, {0})}, {}, "updates of type int64"),
      make("ScatterElements", "reduction", {{"reduction", text("mean")}},
           {data, s64({1, 1}, {1}), f32({1, 1}, {0})}, {}, "reduction is \"mean\""),
      make("ScatterElements", "too wide", {}, {data, s64({1, 4}, {0, 0, 0, 0}), ramp({1, 4})}, {},
           "indices of extent 4 along axis 1"),
      {.name = "old name",
       .op = "Scatter",
       .opset = 9,
       .attributes = {{"axis", one}},
       .inputs = {data, s64({2, 1}, {2, 0}), f32({2, 1}, {8, 9})},
       .constants = {1},
       .expected = {f32({2, 3}, {1, 2, 8, 9, 5, 6})}},
  };
}

std::vector<OpCase> nd_cases() {
  const Constant data = f32({2, 3}, {1, 2, 3, 4, 5, 6});
  const auto reduced = [&](const char* how, std::vector<float> expected) {
    return make("ScatterND", how, {{"reduction", text(how)}},
                {data, s64({3, 2}, {0, 0, 1, -1, 0, 0}), f32({3}, {2, 7, 3})},
                {f32({2, 3}, std::move(expected))});
  };
  return {
      make("ScatterND", "elements", {}, {data, s64({2, 2}, {1, 0, 0, -1}), f32({2}, {7, 8})},
           {f32({2, 3}, {1, 2, 8, 7, 5, 6})}),
      make("ScatterND", "rows", {}, {data, s64({1, 1}, {-1}), f32({1, 3}, {7, 8, 9})},
           {f32({2, 3}, {1, 2, 3, 7, 8, 9})}),
      reduced("add", {6, 2, 3, 4, 5, 13}),
      reduced("mul", {6, 2, 3, 4, 5, 42}),
      reduced("max", {3, 2, 3, 4, 5, 7}),
      reduced("min", {1, 2, 3, 4, 5, 6}),
      make("ScatterND", "nothing", {}, {data, s64({0, 2}, {}), f32({0}, {})}, {data}),
      make("ScatterND", "integers", {}, {s64({3}, {1, 2, 3}), s64({1, 1}, {1}), s64({1}, {-9})},
           {s64({3}, {1, -9, 3})}),
      make("ScatterND", "beyond", {}, {data, s64({1, 2}, {0, 3}), f32({1}, {0})}, {},
           "the index 3"),
      make("ScatterND", "updates of another shape", {}, {data, s64({1, 1}, {0}), ramp({1, 2})}, {},
           "expected the shape"),
      make("ScatterND", "scalar", {}, {scalar(1), s64({1, 1}, {0}), f32({1}, {0})}, {},
           "data of rank 0"),
  };
}

}  // namespace

std::vector<OpCase> scatter_cases() {
  std::vector<OpCase> all = elements_cases();
  for (OpCase& item : nd_cases()) all.push_back(std::move(item));
  return all;
}

}  // namespace qtool::test
