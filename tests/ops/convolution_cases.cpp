// SPDX-License-Identifier: Apache-2.0
#include "ops/op_case.h"

namespace qtool::test {

namespace {

/// Weights and bias are initializers in models.
OpCase conv(std::string name, CaseAttributes attributes, std::vector<Constant> inputs,
            std::vector<Constant> expected = {}) {
  return {.name = std::move(name),
          .op = "Conv",
          .attributes = std::move(attributes),
          .inputs = std::move(inputs),
          .constants = {1, 2},
          .expected = std::move(expected)};
}

OpCase refused(std::string name, CaseAttributes attributes, std::vector<Constant> inputs,
               std::string error) {
  OpCase item = conv(std::move(name), std::move(attributes), std::move(inputs));
  item.error = std::move(error);
  return item;
}

}  // namespace

std::vector<OpCase> convolution_cases() {
  const Constant ones3 = f32({1, 1, 3}, {1, 1, 1});
  const Constant x3x3 = ramp({1, 1, 3, 3});
  const Constant w2x2 = f32({1, 1, 2, 2}, {1, 1, 1, 1});
  const Attribute two = ints({2});
  return {
      conv("window of sums", {}, {x3x3, w2x2}, {f32({1, 1, 2, 2}, {8, 12, 20, 24})}),
      conv("kernel is not flipped", {}, {f32({1, 1, 3}, {1, 2, 3}), f32({1, 1, 2}, {10, 1})},
           {f32({1, 1, 2}, {12, 23})}),
      conv("bias", {}, {x3x3, w2x2, f32({1}, {0.5F})},
           {f32({1, 1, 2, 2}, {8.5F, 12.5F, 20.5F, 24.5F})}),
      conv("padding above only", {{"pads", ints({1, 0, 0, 0})}},
           {f32({1, 1, 2, 2}, {1, 2, 3, 4}), f32({1, 1, 2, 2}, {1, 2, 3, 4})},
           {f32({1, 1, 2, 1}, {11, 30})}),
      conv("padding wider than the kernel", {{"pads", ints({3, 2})}},
           {f32({1, 1, 2}, {1, 2}), f32({1, 1, 2}, {1, 10})},
           {f32({1, 1, 6}, {0, 0, 10, 21, 2, 0})}),
      conv("stride beyond the kernel", {{"strides", ints({3})}},
           {ramp({1, 1, 8}), f32({1, 1, 2}, {1, 10})}, {f32({1, 1, 3}, {10, 43, 76})}),
      conv("SAME_UPPER", {{"auto_pad", text("SAME_UPPER")}, {"strides", two}},
           {f32({1, 1, 4}, {1, 2, 3, 4}), ones3}, {f32({1, 1, 2}, {6, 7})}),
      conv("SAME_LOWER", {{"auto_pad", text("SAME_LOWER")}, {"strides", two}},
           {f32({1, 1, 4}, {1, 2, 3, 4}), ones3}, {f32({1, 1, 2}, {3, 9})}),
      conv("VALID", {{"auto_pad", text("VALID")}, {"strides", two}},
           {f32({1, 1, 4}, {1, 2, 3, 4}), ones3}, {f32({1, 1, 1}, {6})}),
      conv("SAME_UPPER, dilated", {{"auto_pad", text("SAME_UPPER")}, {"dilations", two}},
           {f32({1, 1, 3}, {1, 2, 3}), f32({1, 1, 2}, {1, 10})}, {f32({1, 1, 3}, {20, 31, 2})}),
      conv("dilation", {{"dilations", two}},
           {f32({1, 1, 5}, {1, 2, 3, 4, 5}), f32({1, 1, 2}, {1, 10})},
           {f32({1, 1, 3}, {31, 42, 53})}),
      conv("depthwise with bias", {{"group", int64_t{2}}},
           {f32({1, 2, 3}, {1, 2, 3, 4, 5, 6}), f32({2, 1, 1}, {10, 100}), f32({2}, {1, 2})},
           {f32({1, 2, 3}, {11, 21, 31, 402, 502, 602})}),
      conv("two filters a group", {{"group", int64_t{2}}},
           {f32({1, 2, 1}, {3, 5}), f32({4, 1, 1}, {1, 10, 2, 20})},
           {f32({1, 4, 1}, {3, 30, 10, 100})}),
      conv("groups of two channels", {{"group", int64_t{2}}},
           {f32({1, 4, 1}, {1, 2, 3, 4}), f32({2, 2, 1}, {1, 10, 1, 10})},
           {f32({1, 2, 1}, {21, 43})}),
      conv("three dimensions", {},
           {ramp({1, 1, 2, 2, 2}), elements<float>({1, 1, 2, 2, 2}, std::vector<float>(8, 1))},
           {f32({1, 1, 1, 1, 1}, {28})}),
      conv("two images", {}, {f32({2, 1, 2}, {1, 2, 3, 4}), f32({1, 1, 1}, {2})},
           {f32({2, 1, 2}, {2, 4, 6, 8})}),
      conv("no images", {}, {f32({0, 1, 3, 3}, {}), w2x2}, {f32({0, 1, 2, 2}, {})}),
      conv("no filters", {}, {x3x3, f32({0, 1, 2, 2}, {})}, {f32({1, 0, 2, 2}, {})}),
      conv("no channels: only the bias", {},
           {f32({1, 0, 2}, {}), f32({1, 0, 1}, {}), f32({1}, {7})}, {f32({1, 1, 2}, {7, 7})}),
      conv("kernel_shape given", {{"kernel_shape", ints({2, 2})}}, {x3x3, w2x2},
           {f32({1, 1, 2, 2}, {8, 12, 20, 24})}),

      conv("3x3, padded, odd channels", {{"pads", ints({1, 1, 1, 1})}},
           {noise({2, 7, 9, 11}), noise({13, 7, 3, 3}, 2), noise({13}, 3)}),
      conv("1x1", {}, {noise({1, 32, 5, 5}), noise({17, 32, 1, 1}, 2), noise({17}, 3)}),
      conv("7x7, stride 2, three channels",
           {{"pads", ints({3, 3, 3, 3})}, {"strides", ints({2, 2})}},
           {noise({1, 3, 20, 23}), noise({16, 3, 7, 7}, 2)}),
      conv("depthwise 3x3, stride 2",
           {{"group", int64_t{19}}, {"pads", ints({0, 1, 2, 1})}, {"strides", ints({2, 2})}},
           {noise({1, 19, 10, 9}), noise({19, 1, 3, 3}, 2), noise({19}, 3)}),
      conv("groups of odd size",
           {{"group", int64_t{3}}, {"pads", ints({2, 0, 1, 1})}, {"dilations", ints({2, 1})}},
           {noise({2, 15, 8, 7}), noise({9, 5, 2, 3}, 2)}),
      conv("1-d", {{"pads", ints({2, 2})}, {"strides", ints({2})}},
           {noise({3, 5, 33}), noise({8, 5, 5}, 2), noise({8}, 3)}),
      conv("3-d", {{"pads", ints({1, 0, 1, 0, 1, 1})}},
           {noise({1, 4, 5, 6, 4}), noise({6, 4, 3, 2, 3}, 2), noise({6}, 3)}),
      conv("SAME_LOWER 2-d", {{"auto_pad", text("SAME_LOWER")}, {"strides", ints({2, 3})}},
           {noise({1, 3, 9, 8}), noise({4, 3, 4, 2}, 2)}),

      refused("channels", {}, {x3x3, f32({1, 2, 1, 1}, {1, 1})},
              "1 input channels, but the weights expect 2 x 1"),
      refused("filters and groups", {{"group", int64_t{2}}}, {ramp({1, 2, 3}), ramp({3, 1, 1})},
              "not divisible by 2 groups"),
      refused("group 0", {{"group", int64_t{0}}}, {x3x3, w2x2}, "group is 0"),
      refused("kernel_shape and weights", {{"kernel_shape", ints({3, 3})}}, {x3x3, w2x2},
              "kernel_shape [3,3] differs"),
      refused("bias of another length", {}, {x3x3, w2x2, f32({2}, {1, 2})}, "the bias float[2]"),
      refused("bias that is a scalar", {}, {x3x3, w2x2, scalar(1)}, "the bias float[]"),
      refused("stride 0", {{"strides", ints({0, 1})}}, {x3x3, w2x2}, "\"strides\" has the entry 0"),
      refused("three strides", {{"strides", ints({1, 1, 1})}}, {x3x3, w2x2},
              "\"strides\" has 3 entries, expected 2"),
      refused("negative padding", {{"pads", ints({-1, 0, 0, 0})}}, {x3x3, w2x2},
              "\"pads\" has the entry -1"),
      refused("dilation beyond all", {{"dilations", ints({1, int64_t{1} << 40})}}, {x3x3, w2x2},
              "\"dilations\" has the entry"),
      refused("window larger than the input", {}, {f32({1, 1, 1, 1}, {1}), w2x2},
              "a window of 2 does not fit"),
      refused("empty kernel", {}, {x3x3, f32({1, 1, 0, 1}, {})}, "a kernel extent of 0"),
      refused("matrix", {}, {ramp({3, 3}), ramp({3, 3})}, "do not fit a convolution"),
      refused("ranks differ", {}, {ramp({1, 1, 3}), w2x2}, "do not fit a convolution"),
      refused("auto_pad", {{"auto_pad", text("SAME")}}, {x3x3, w2x2}, "auto_pad is \"SAME\""),
      conv("halves", {},
           {elements<Float16>({1, 1, 1}, {Float16::from(1.5F)}),
            elements<Float16>({1, 1, 1}, {Float16::from(2)})},
           {elements<Float16>({1, 1, 1}, {Float16::from(3)})}),
      refused("integers", {}, {s32({1, 1, 1}, {1}), s32({1, 1, 1}, {1})}, "elements of type int32"),
      refused("operands of two types", {}, {x3x3, elements<double>({1, 1, 1, 1}, {1.0})}, "double"),
  };
}

}  // namespace qtool::test
