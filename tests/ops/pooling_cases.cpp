// SPDX-License-Identifier: Apache-2.0
#include "ops/op_case.h"

namespace qtool::test {

namespace {

OpCase pool(std::string op, std::string name, CaseAttributes attributes, Constant input,
            std::vector<Constant> expected = {}, std::string error = {}) {
  return {.name = std::move(name),
          .op = std::move(op),
          .opset = 19,
          .attributes = std::move(attributes),
          .inputs = {std::move(input)},
          .expected = std::move(expected),
          .error = std::move(error)};
}

std::vector<OpCase> max_pool_cases() {
  const Constant x = f32({1, 1, 4}, {1, 3, 2, 5});
  const Constant five = f32({1, 1, 5}, {1, 2, 3, 4, 5});
  const auto window = [](std::vector<int64_t> kernel, CaseAttributes more = {}) {
    more.emplace_back("kernel_shape", ints(std::move(kernel)));
    return more;
  };
  const Attribute two = ints({2});
  const Attribute yes = int64_t{1};
  return {
      pool("MaxPool", "window of two", window({2}), x, {f32({1, 1, 3}, {3, 3, 5})}),
      pool("MaxPool", "stride", window({2}, {{"strides", two}}), x, {f32({1, 1, 2}, {3, 5})}),
      pool("MaxPool", "floor", window({2}, {{"strides", two}}), five, {f32({1, 1, 2}, {2, 4})}),
      pool("MaxPool", "ceil", window({2}, {{"strides", two}, {"ceil_mode", yes}}), five,
           {f32({1, 1, 3}, {2, 4, 5})}),
      pool("MaxPool", "ceil, but the last window starts in the padding",
           window({2}, {{"strides", ints({3})}, {"pads", ints({1, 1})}, {"ceil_mode", yes}}), x,
           {f32({1, 1, 2}, {1, 5})}),
      pool("MaxPool", "padding is not zero", window({2}, {{"pads", ints({1, 1})}}),
           f32({1, 1, 2}, {-1, -2}), {f32({1, 1, 3}, {-1, -1, -2})}),
      pool("MaxPool", "padding at one end", window({2}, {{"pads", ints({0, 1})}}),
           f32({1, 1, 2}, {-3, -2}), {f32({1, 1, 2}, {-2, -2})}),
      pool("MaxPool", "dilation", window({2}, {{"dilations", two}}), f32({1, 1, 4}, {1, 5, 2, 0}),
           {f32({1, 1, 2}, {2, 5})}),
      pool("MaxPool", "SAME_UPPER",
           window({2}, {{"strides", two}, {"auto_pad", text("SAME_UPPER")}}),
           f32({1, 1, 3}, {1, 2, 3}), {f32({1, 1, 2}, {2, 3})}),
      pool("MaxPool", "SAME_LOWER",
           window({2}, {{"strides", two}, {"auto_pad", text("SAME_LOWER")}}),
           f32({1, 1, 3}, {1, 2, 3}), {f32({1, 1, 2}, {1, 3})}),
      pool("MaxPool", "two dimensions, two channels", window({2, 2}),
           f32({1, 2, 2, 2}, {1, 2, 3, 4, 8, 7, 6, 5}), {f32({1, 2, 1, 1}, {4, 8})}),
      pool("MaxPool", "unsigned codes", window({2}), u8({1, 1, 3}, {1, 200, 3}),
           {u8({1, 1, 2}, {200, 200})}),
      pool("MaxPool", "signed codes, padded", window({2}, {{"pads", ints({1, 0})}}),
           s8({1, 1, 2}, {-128, -5}), {s8({1, 1, 2}, {-128, -5})}),
      pool("MaxPool", "doubles", window({2}), elements<double>({1, 1, 2}, {1, 2}),
           {elements<double>({1, 1, 1}, {2})}),
      pool("MaxPool", "no images", window({2}), f32({0, 1, 3}, {}), {f32({0, 1, 2}, {})}),
      pool("MaxPool", "images",
           window({3, 3}, {{"strides", ints({2, 2})}, {"pads", ints({1, 1, 1, 1})}}),
           noise({2, 19, 9, 8})),
      pool("MaxPool", "images, ceil",
           window({3, 2},
                  {{"strides", ints({2, 2})}, {"pads", ints({0, 1, 1, 0})}, {"ceil_mode", yes}}),
           noise({1, 5, 10, 9})),
      pool("MaxPool", "volumes", window({2, 3, 2}, {{"strides", ints({1, 2, 2})}}),
           noise({1, 4, 5, 6, 7})),
      pool("MaxPool", "images of codes",
           window({3, 3}, {{"strides", ints({2, 2})}, {"pads", ints({1, 1, 0, 1})}}),
           noise_u8({2, 33, 7, 7})),
      pool("MaxPool", "images of signed codes", window({2, 2}), noise_s8({1, 3, 5, 6})),
      pool("MaxPool", "no kernel", {}, x, {}, "\"kernel_shape\" is missing"),
      pool("MaxPool", "rank", window({2, 2}), x, {}, "rank 3 for a window of rank 2"),
      pool("MaxPool", "padding as wide as the window", window({2}, {{"pads", ints({2, 0})}}), x, {},
           "padding of 2 with a window of 2"),
      pool("MaxPool", "halves", window({1}), elements<Float16>({1, 1, 1}, {Float16::from(1.5F)}),
           {elements<Float16>({1, 1, 1}, {Float16::from(1.5F)})}),
      pool("MaxPool", "booleans", window({1}), elements<bool>({1, 1, 1}, {true}), {},
           "elements of type bool"),
  };
}

std::vector<OpCase> average_pool_cases() {
  const Constant x = f32({1, 1, 4}, {1, 2, 3, 4});
  const auto window = [](std::vector<int64_t> kernel, CaseAttributes more = {}) {
    more.emplace_back("kernel_shape", ints(std::move(kernel)));
    return more;
  };
  const Attribute yes = int64_t{1};
  const Constant pair = f32({1, 1, 2}, {2, 4});
  const Attribute both = ints({1, 1});
  const Attribute two = ints({2});
  return {
      pool("AveragePool", "window of two", window({2}), x, {f32({1, 1, 3}, {1.5F, 2.5F, 3.5F})}),
      pool("AveragePool", "padding does not count", window({2}, {{"pads", both}}), pair,
           {f32({1, 1, 3}, {2, 3, 4})}),
      pool("AveragePool", "padding counts",
           window({2}, {{"pads", both}, {"count_include_pad", yes}}), pair,
           {f32({1, 1, 3}, {1, 3, 2})}),
      pool("AveragePool", "ceil", window({2}, {{"strides", two}, {"ceil_mode", yes}}),
           ramp({1, 1, 5}), {f32({1, 1, 3}, {0.5F, 2.5F, 4})}),
      // What hangs over beyond the padding is neither data nor padding.
      pool("AveragePool", "ceil, padding counts, no padding",
           window({2}, {{"strides", two}, {"ceil_mode", yes}, {"count_include_pad", yes}}),
           ramp({1, 1, 5}), {f32({1, 1, 3}, {0.5F, 2.5F, 4})}),
      pool("AveragePool", "ceil, padding counts",
           window(
               {3},
               {{"strides", two}, {"pads", both}, {"ceil_mode", yes}, {"count_include_pad", yes}}),
           x, {f32({1, 1, 3}, {1, 3, 2})}),
      pool("AveragePool", "SAME_UPPER", window({2}, {{"auto_pad", text("SAME_UPPER")}}), pair,
           {f32({1, 1, 2}, {3, 4})}),
      pool("AveragePool", "SAME_LOWER, counted",
           window({2}, {{"auto_pad", text("SAME_LOWER")}, {"count_include_pad", yes}}), pair,
           {f32({1, 1, 2}, {1, 3})}),
      pool("AveragePool", "dilation", window({2}, {{"dilations", two}}), x,
           {f32({1, 1, 2}, {2, 3})}),
      pool("AveragePool", "doubles", window({2}), elements<double>({1, 1, 2}, {1, 2}),
           {elements<double>({1, 1, 1}, {1.5})}),
      pool("AveragePool", "codes", window({2}), u8({1, 1, 2}, {1, 2}), {},
           "elements of type uint8"),
      pool("AveragePool", "no channels", window({2}), f32({1, 0, 3}, {}), {f32({1, 0, 2}, {})}),
      pool("AveragePool", "images",
           window({3, 3}, {{"strides", ints({2, 2})}, {"pads", ints({1, 0, 1, 2})}}),
           noise({2, 19, 9, 8})),
      pool("AveragePool", "images, counted",
           window({3, 3}, {{"pads", ints({1, 2, 0, 1})}, {"count_include_pad", yes}}),
           noise({2, 7, 9, 8})),
      pool("AveragePool", "images, ceil",
           window({3, 3}, {{"strides", ints({2, 2})}, {"ceil_mode", yes}}), noise({1, 5, 8, 8})),
      pool("AveragePool", "volumes", window({2, 2, 2}, {{"strides", ints({2, 1, 2})}}),
           noise({1, 3, 4, 5, 6})),
      pool("AveragePool", "codes", window({2}), u8({1, 1, 2}, {1, 2}), {},
           "elements of type uint8"),
      pool("AveragePool", "ceil_mode beyond the padding", window({2}, {{"pads", ints({0, 2})}}), x,
           {}, "padding of 2 with a window of 2"),

      pool("GlobalAveragePool", "two channels", {}, ramp({1, 2, 2, 2}),
           {f32({1, 2, 1, 1}, {1.5F, 5.5F})}),
      pool("GlobalAveragePool", "rank 3", {}, ramp({2, 1, 3}), {f32({2, 1, 1}, {1, 4})}),
      pool("GlobalAveragePool", "one position", {}, f32({1, 2, 1, 1}, {3, 4}),
           {f32({1, 2, 1, 1}, {3, 4})}),
      pool("GlobalAveragePool", "no images", {}, f32({0, 2, 2, 2}, {}), {f32({0, 2, 1, 1}, {})}),
      pool("GlobalAveragePool", "images", {}, noise({2, 65, 7, 7})),
      pool("GlobalAveragePool", "volumes", {}, noise({1, 5, 3, 4, 5})),
      pool("GlobalAveragePool", "matrix", {}, ramp({2, 3}), {}, "no spatial dimensions"),
      pool("GlobalAveragePool", "nothing to average", {}, f32({1, 2, 0}, {}), {},
           "axis 2 has nothing to pool"),
      pool("GlobalMaxPool", "two channels", {}, ramp({1, 2, 2, 2}), {f32({1, 2, 1, 1}, {3, 7})}),
      pool("GlobalMaxPool", "negative", {}, f32({1, 1, 3}, {-3, -1, -2}), {f32({1, 1, 1}, {-1})}),
      pool("GlobalMaxPool", "images", {}, noise({2, 33, 5, 7})),
      pool("GlobalMaxPool", "nothing to compare", {}, f32({1, 2, 0}, {}), {},
           "axis 2 has nothing to pool"),
  };
}

}  // namespace

std::vector<OpCase> pooling_cases() {
  std::vector<OpCase> all = max_pool_cases();
  for (OpCase& item : average_pool_cases()) all.push_back(std::move(item));
  return all;
}

}  // namespace qtool::test
