// SPDX-License-Identifier: Apache-2.0
#include <limits>

#include "ops/op_case.h"

namespace qtool::test {

namespace {

OpCase concat(std::string name, int64_t axis, std::vector<Constant> inputs,
              std::vector<Constant> expected = {}, std::string error = {}) {
  return {.name = std::move(name),
          .op = "Concat",
          .attributes = {{"axis", axis}},
          .inputs = std::move(inputs),
          .constants = {1},
          .expected = std::move(expected),
          .error = std::move(error)};
}

struct Padding {
  std::vector<int64_t> pads;
  const char* mode = "constant";
  Constant value = nullptr;
  std::vector<int64_t> axes = {};
};

OpCase pad(std::string name, Constant input, const Padding& padding,
           std::vector<Constant> expected = {}, std::string error = {}) {
  const auto list = [](const std::vector<int64_t>& values) {
    return s64({static_cast<int64_t>(values.size())}, values);
  };
  return {.name = std::move(name),
          .op = "Pad",
          .opset = 19,
          .attributes = {{"mode", text(padding.mode)}},
          .inputs = {std::move(input), list(padding.pads), padding.value,
                     padding.axes.empty() ? nullptr : list(padding.axes)},
          .constants = {1, 2, 3},
          .expected = std::move(expected),
          .error = std::move(error)};
}

OpCase pad2(std::string name, CaseAttributes attributes, Constant input,
            std::vector<Constant> expected) {
  return {.name = std::move(name),
          .op = "Pad",
          .opset = 2,
          .attributes = std::move(attributes),
          .inputs = {std::move(input)},
          .expected = std::move(expected)};
}

std::vector<OpCase> concat_cases() {
  const Constant a = f32({2, 1}, {1, 2});
  const Constant b = f32({2, 2}, {3, 4, 5, 6});
  OpCase no_axis = concat("no axis", 0, {a, a}, {}, "\"axis\" is missing");
  no_axis.attributes.clear();
  return {
      concat("columns", 1, {a, b}, {f32({2, 3}, {1, 3, 4, 2, 5, 6})}),
      concat("negative axis", -1, {a, b}, {f32({2, 3}, {1, 3, 4, 2, 5, 6})}),
      concat("rows", 0, {f32({1, 2}, {1, 2}), b}, {f32({3, 2}, {1, 2, 3, 4, 5, 6})}),
      concat("one", 0, {a}, {a}),
      concat("three vectors", 0, {f32({1}, {1}), f32({2}, {2, 3}), f32({1}, {4})},
             {f32({4}, {1, 2, 3, 4})}),
      concat("an empty part", 1, {a, f32({2, 0}, {}), b}, {f32({2, 3}, {1, 3, 4, 2, 5, 6})}),
      concat("only empty parts", 0, {f32({0, 2}, {}), f32({0, 2}, {})}, {f32({0, 2}, {})}),
      concat("integers", 0, {s64({1}, {1}), s64({1}, {2})}, {s64({2}, {1, 2})}),
      concat("channels", 1, {noise({2, 3, 4, 5}), noise({2, 7, 4, 5}, 2), noise({2, 1, 4, 5}, 3)}),
      concat("columns of images", 3, {noise({2, 3, 4, 5}), noise({2, 3, 4, 2}, 2)}),
      concat("images", 0, {noise({1, 3, 4, 5}), noise({2, 3, 4, 5}, 2)}),
      concat("codes", 1, {noise_u8({1, 3, 4, 5}), noise_u8({1, 5, 4, 5}, 2)}),
      concat("types differ", 0, {f32({1}, {1}), s64({1}, {2})}, {},
             "different types, float and int64"),
      concat("extents differ", 0, {a, b}, {}, "extent 1 of axis 1 against 2"),
      concat("ranks differ", 0, {a, ramp({2})}, {}, "rank 2 and 1"),
      concat("scalars", 0, {scalar(1), scalar(2)}, {}, "axis 0 is outside"),
      concat("no such axis", 2, {a, a}, {}, "axis 2 is outside"),
      std::move(no_axis),
  };
}

}  // namespace

std::vector<OpCase> concat_pad_cases() {
  const Constant two = f32({2}, {1, 2});
  const Constant three = f32({3}, {1, 2, 3});
  std::vector<OpCase> all{
      pad("zeros", two, {{1, 2}}, {f32({5}, {0, 1, 2, 0, 0})}),
      pad("a value", two, {{0, 1}, "constant", scalar(9)}, {f32({3}, {1, 2, 9})}),
      pad("two axes", f32({1, 2}, {1, 2}), {{1, 0, 0, 1}, "constant", scalar(7)},
          {f32({2, 3}, {7, 7, 7, 1, 2, 7})}),
      pad("cropped", three, {{-1, 0}}, {f32({2}, {2, 3})}),
      pad("cropped and padded", three, {{-1, 2}, "constant", scalar(9)}, {f32({4}, {2, 3, 9, 9})}),
      pad("cropped beyond the input", two, {{-4, 3}, "constant", scalar(9)}, {f32({1}, {9})}),
      pad("padded, then cropped into the padding", two, {{3, -4}, "constant", scalar(9)},
          {f32({1}, {9})}),
      pad("cropped to nothing", two, {{-1, -1}}, {f32({0}, {})}),
      pad("nothing padded", f32({0}, {}), {{1, 1}, "constant", scalar(4)}, {f32({2}, {4, 4})}),
      pad("edge", two, {{2, 1}, "edge"}, {f32({5}, {1, 1, 1, 2, 2})}),
      pad("reflect", three, {{2, 1}, "reflect"}, {f32({6}, {3, 2, 1, 2, 3, 2})}),
      pad("wrap", three, {{2, 1}, "wrap"}, {f32({6}, {2, 3, 1, 2, 3, 1})}),
      pad("axes", ramp({1, 1, 2}), {{1, 1}, "constant", nullptr, {-1}},
          {f32({1, 1, 4}, {0, 0, 1, 0})}),
      pad("large integers", s64({1}, {5}), {{1, 0}, "constant", s64({}, {(int64_t{1} << 60) + 1})},
          {s64({2}, {(int64_t{1} << 60) + 1, 5})}),
      pad("value of shape [1]", two, {{0, 1}, "constant", f32({1}, {9})}, {f32({3}, {1, 2, 9})}),
      pad("scalar", scalar(3), {{}}, {scalar(3)}),
      pad("images", noise({2, 3, 4, 5}), {{0, 1, 2, 0, 0, 0, 1, 3}, "constant", scalar(-1)}),
      pad("images cropped", noise({2, 9, 6, 5}), {{0, -2, -1, 1, -1, 0, -2, 0}}),
      pad("images reflected", noise({1, 3, 4, 5}), {{0, 0, 1, 2, 0, 0, 1, 2}, "reflect"}),
      pad("codes", noise_u8({1, 3, 4, 5}), {{0, 0, 1, 1, 0, 0, 1, 1}, "constant", u8({}, {128})}),
      pad("too few pads", ramp({1, 2}), {{1, 2}}, {}, "2 pads for 2 axes"),
      pad("removes more than there is", two, {{-2, -1}}, {}, "removes more than 2"),
      pad("overflow", two, {{std::numeric_limits<int64_t>::max(), 1}}, {}, "padding"),
      pad("mode", two, {{1, 1}, "mirror"}, {}, "mode \"mirror\""),
      pad("edge of nothing", f32({0}, {}), {{1, 1}, "edge"}, {}, "nothing to repeat"),
      pad("wrap of nothing", f32({0}, {}), {{1, 1}, "wrap"}, {}, "nothing to repeat"),
      pad("value of another type", two, {{1, 1}, "constant", s64({}, {1})}, {}, "int64"),
      pad("value that is a vector", two, {{1, 1}, "constant", two}, {}, "float[2]"),
      pad2("attributes", {{"pads", ints({1, 1})}, {"value", 5.0F}}, two, {f32({4}, {5, 1, 2, 5})}),
      pad2("edge", {{"pads", ints({0, 1})}, {"mode", text("edge")}}, two, {f32({3}, {1, 2, 2})}),
      pad2("images", {{"pads", ints({0, 0, 1, 2, 0, 0, 0, 1})}}, noise({2, 3, 4, 5}), {}),
  };
  for (OpCase& item : concat_cases()) all.push_back(std::move(item));
  return all;
}

}  // namespace qtool::test
