// SPDX-License-Identifier: Apache-2.0
#include <limits>

#include "ops/op_case.h"

namespace qtool::test {

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

OpCase make(std::string op, std::string name, CaseAttributes attributes,
            std::vector<Constant> inputs, std::vector<Constant> expected = {},
            std::string error = {}) {
  return {.name = std::move(name),
          .op = std::move(op),
          .attributes = std::move(attributes),
          .inputs = std::move(inputs),
          .constants = {1},
          .expected = std::move(expected),
          .error = std::move(error)};
}

Attribute integer(int64_t value) { return value; }

std::vector<OpCase> arg_cases(const char* op, const Constant& best_in_row_0_2) {
  const Constant images = noise({2, 3, 4, 5}, 3);
  return {
      make(op, "rows", {{"axis", integer(1)}}, {best_in_row_0_2}, {s64({2, 1}, {0, 1})}),
      make(op, "last of equals", {{"axis", integer(-1)}, {"select_last_index", integer(1)}},
           {best_in_row_0_2}, {s64({2, 1}, {2, 1})}),
      make(op, "dropped", {{"axis", integer(1)}, {"keepdims", integer(0)}}, {best_in_row_0_2},
           {s64({2}, {0, 1})}),
      make(op, "integers", {{"axis", integer(1)}},
           {make_constant(cast(*best_in_row_0_2, DType::int32))}, {s64({2, 1}, {0, 1})}),
      make(op, "not a number", {}, {f32({5}, {1, kNan, 3, kNan, -1})}, {s64({1}, {1})}),
      make(op, "last not a number", {{"select_last_index", integer(1)}},
           {f32({5}, {1, kNan, 3, kNan, -1})}, {s64({1}, {3})}),
      make(op, "channels", {{"axis", integer(1)}}, {images}),
      make(op, "channels, the last", {{"axis", integer(1)}, {"select_last_index", integer(1)}},
           {images}),
      make(op, "batch", {{"keepdims", integer(0)}}, {images}),
      make(op, "columns", {{"axis", integer(0)}}, {noise({7, 1100}, 5)}),
      make(op, "no results", {{"axis", integer(1)}}, {f32({0, 3}, {})}, {s64({0, 1}, {})}),
      make(op, "nothing", {}, {f32({0}, {})}, {}, "without elements"),
      make(op, "a scalar", {}, {scalar(1)}, {}, "axis 0 is outside"),
      make(op, "booleans", {}, {elements<bool>({1}, {true})}, {}, "elements of type bool"),
  };
}

OpCase top_k(std::string name, CaseAttributes attributes, Constant x, int64_t k,
             std::vector<Constant> expected, std::string error = {}) {
  OpCase item = make("TopK", std::move(name), std::move(attributes), {std::move(x), s64({1}, {k})},
                     std::move(expected), std::move(error));
  item.outputs = 2;
  return item;
}

std::vector<OpCase> top_k_cases() {
  const Constant x = f32({2, 4}, {3, 1, 4, 1, 5, 9, 2, 6});
  OpCase attribute = make("TopK", "k as an attribute", {{"k", integer(1)}}, {x},
                          {f32({2, 1}, {4, 9}), s64({2, 1}, {2, 1})});
  attribute.opset = 9;
  attribute.outputs = 2;
  OpCase missing = attribute;
  missing.name = "no k";
  missing.attributes = {};
  missing.expected = {};
  missing.error = "k is -1";
  return {
      attribute,
      missing,
      top_k("largest", {}, x, 2, {f32({2, 2}, {4, 3, 9, 6}), s64({2, 2}, {2, 0, 1, 3})}),
      top_k("smallest, equals in order", {{"largest", integer(0)}}, x, 2,
            {f32({2, 2}, {1, 1, 2, 5}), s64({2, 2}, {1, 3, 2, 0})}),
      top_k("columns", {{"axis", integer(0)}}, x, 1,
            {f32({1, 4}, {5, 9, 4, 6}), s64({1, 4}, {1, 1, 0, 1})}),
      top_k("negative axis", {{"axis", integer(-2)}}, x, 1,
            {f32({1, 4}, {5, 9, 4, 6}), s64({1, 4}, {1, 1, 0, 1})}),
      top_k("none", {}, x, 0, {f32({2, 0}, {}), s64({2, 0}, {})}),
      top_k("not a number first", {}, f32({3}, {1, kNan, 2}), 3,
            {f32({3}, {kNan, 2, 1}), s64({3}, {1, 2, 0})}),
      top_k("integers", {}, s64({3}, {INT64_MAX - 1, INT64_MAX, 0}), 2,
            {s64({2}, {INT64_MAX, INT64_MAX - 1}), s64({2}, {1, 0})}),
      top_k("too many", {}, x, 5, {}, "5 of 4 elements"),
      top_k("negative", {}, x, -1, {}, "k is -1"),
  };
}

std::vector<OpCase> hardmax_cases() {
  OpCase old = make("Hardmax", "the whole image", {}, {f32({2, 2, 2}, {1, 2, 9, 3, 5, 5, 5, 5})},
                    {f32({2, 2, 2}, {0, 0, 1, 0, 1, 0, 0, 0})});
  old.opset = 11;
  return {
      old,
      make("Hardmax", "the first of equals", {}, {f32({2, 3}, {1, 3, 3, 0, -1, -2})},
           {f32({2, 3}, {0, 1, 0, 1, 0, 0})}),
      make("Hardmax", "columns", {{"axis", integer(0)}}, {f32({2, 2}, {1, 2, 3, 1})},
           {f32({2, 2}, {0, 1, 1, 0})}),
      make("Hardmax", "nothing", {}, {f32({2, 0}, {})}, {f32({2, 0}, {})}),
      make("Hardmax", "half precision", {},
           {elements<Float16>({2}, {Float16::from(1), Float16::from(2)})},
           {elements<Float16>({2}, {Float16{}, Float16::from(1)})}),
      make("Hardmax", "axis", {{"axis", integer(2)}}, {f32({2, 1}, {1, 2})}, {}, "outside"),
  };
}

OpCase cum_sum(std::string name, CaseAttributes attributes, Constant x, Constant axis,
               std::vector<Constant> expected = {}, std::string error = {}) {
  return make("CumSum", std::move(name), std::move(attributes), {std::move(x), std::move(axis)},
              std::move(expected), std::move(error));
}

std::vector<OpCase> cum_sum_cases() {
  const Constant x = f32({2, 3}, {1, 2, 3, 4, 5, 6});
  return {
      cum_sum("rows", {}, x, s64({}, {1}), {f32({2, 3}, {1, 3, 6, 4, 9, 15})}),
      cum_sum("columns", {}, x, s32({1}, {-2}), {f32({2, 3}, {1, 2, 3, 5, 7, 9})}),
      cum_sum("exclusive", {{"exclusive", integer(1)}}, x, s64({}, {1}),
              {f32({2, 3}, {0, 1, 3, 0, 4, 9})}),
      cum_sum("reverse", {{"reverse", integer(1)}}, x, s64({}, {1}),
              {f32({2, 3}, {6, 5, 3, 15, 11, 6})}),
      cum_sum("both", {{"exclusive", integer(1)}, {"reverse", integer(1)}}, x, s64({}, {1}),
              {f32({2, 3}, {5, 3, 0, 11, 6, 0})}),
      cum_sum("integers wrap", {}, s32({2}, {INT32_MAX, 1}), s64({}, {0}),
              {s32({2}, {INT32_MAX, INT32_MIN})}),
      cum_sum("nothing", {}, f32({0, 2}, {}), s64({}, {0}), {f32({0, 2}, {})}),
      cum_sum("axis outside", {}, x, s64({}, {2}), {}, "axis 2 is outside"),
      cum_sum("two axes", {}, x, s64({2}, {0, 1}), {}, "not one number"),
  };
}

}  // namespace

std::vector<OpCase> selection_cases() {
  std::vector<OpCase> all = arg_cases("ArgMax", f32({2, 3}, {7, 1, 7, -2, 4, 3}));
  for (OpCase& item : arg_cases("ArgMin", f32({2, 3}, {-7, 1, -7, 2, -4, 3})))
    all.push_back(std::move(item));
  for (auto* const more : {top_k_cases, hardmax_cases, cum_sum_cases}) {
    for (OpCase& item : more()) all.push_back(std::move(item));
  }
  return all;
}

}  // namespace qtool::test
