// SPDX-License-Identifier: Apache-2.0
#include "ops/op_case.h"

namespace qtool::test {

namespace {

OpCase spread(std::string name, CaseAttributes attributes, std::vector<Constant> inputs,
              std::vector<Constant> expected = {}, std::string error = {}) {
  return {.name = std::move(name),
          .op = "ConvTranspose",
          .attributes = std::move(attributes),
          .inputs = std::move(inputs),
          .constants = {1, 2},
          .expected = std::move(expected),
          .error = std::move(error)};
}

/// Each input element lays down the kernel [1, 10, 100] times itself.
std::vector<OpCase> line_cases() {
  const Constant x = f32({1, 1, 2}, {1, 2});
  const Constant w = f32({1, 1, 3}, {1, 10, 100});
  const Attribute two = ints({2});
  return {
      spread("overlap", {}, {x, w}, {f32({1, 1, 4}, {1, 12, 120, 200})}),
      spread("bias", {}, {x, w, f32({1}, {0.5F})}, {f32({1, 1, 4}, {1.5F, 12.5F, 120.5F, 200.5F})}),
      spread("stride", {{"strides", two}}, {x, w}, {f32({1, 1, 5}, {1, 10, 102, 20, 200})}),
      spread("stride beyond the kernel", {{"strides", ints({4})}}, {x, w},
             {f32({1, 1, 7}, {1, 10, 100, 0, 2, 20, 200})}),
      spread("dilation", {{"dilations", two}}, {x, w}, {f32({1, 1, 6}, {1, 2, 10, 20, 100, 200})}),
      spread("padding", {{"pads", ints({1, 2})}}, {x, w}, {f32({1, 1, 1}, {12})}),
      spread("output padding", {{"strides", two}, {"output_padding", ints({1})}}, {x, w},
             {f32({1, 1, 6}, {1, 10, 102, 20, 200, 0})}),
      spread("output padding against padding",
             {{"strides", two}, {"output_padding", ints({1})}, {"pads", ints({1, 1})}}, {x, w},
             {f32({1, 1, 4}, {10, 102, 20, 200})}),
      spread("output padding with bias", {{"output_padding", ints({2})}}, {x, w, f32({1}, {7})},
             {f32({1, 1, 6}, {8, 19, 127, 207, 7, 7})}),
      spread("output shape: the first pad is larger",
             {{"strides", two}, {"output_shape", ints({4})}}, {x, w},
             {f32({1, 1, 4}, {10, 102, 20, 200})}),
      spread("output shape, SAME_UPPER: the last pad is larger",
             {{"strides", two}, {"output_shape", ints({4})}, {"auto_pad", text("SAME_UPPER")}},
             {x, w}, {f32({1, 1, 4}, {1, 10, 102, 20})}),
      spread("whole output shape", {{"strides", two}, {"output_shape", ints({1, 1, 4})}}, {x, w},
             {f32({1, 1, 4}, {10, 102, 20, 200})}),
      spread("output shape beyond the windows", {{"output_shape", ints({6})}}, {x, w},
             {f32({1, 1, 6}, {1, 12, 120, 200, 0, 0})}),
      spread("SAME_UPPER", {{"strides", two}, {"auto_pad", text("SAME_UPPER")}}, {x, w},
             {f32({1, 1, 4}, {1, 10, 102, 20})}),
      spread("SAME_LOWER", {{"strides", two}, {"auto_pad", text("SAME_LOWER")}}, {x, w},
             {f32({1, 1, 4}, {10, 102, 20, 200})}),
      spread("VALID ignores pads", {{"auto_pad", text("VALID")}, {"pads", ints({1, 1})}}, {x, w},
             {f32({1, 1, 4}, {1, 12, 120, 200})}),
      spread("doubles", {}, {elements<double>({1, 1, 1}, {2}), elements<double>({1, 1, 1}, {3})},
             {elements<double>({1, 1, 1}, {6})}),
      spread("nothing left", {{"pads", ints({2, 2})}}, {x, w}, {}, "leaves nothing"),
      spread("negative pads", {{"pads", ints({-1, 0})}}, {x, w}, {}, "\"pads\" has the entry -1"),
      spread("two strides", {{"strides", ints({2, 2})}}, {x, w}, {}, "\"strides\" has 2 entries"),
      spread("output shape of zero", {{"output_shape", ints({0})}}, {x, w}, {}, "output_shape"),
      spread("auto_pad", {{"auto_pad", text("SAME")}}, {x, w}, {}, "auto_pad is \"SAME\""),
      spread("kernel_shape", {{"kernel_shape", two}}, {x, w}, {}, "differs from the weights"),
      spread("huge strides",
             {{"strides", ints({int64_t{1} << 31})},
              {"dilations", ints({int64_t{1} << 31})},
              {"output_padding", ints({int64_t{1} << 31})}},
             {f32({1, 1, 1}, {1}), w, ramp({2})}, {}, "the bias"),
  };
}

std::vector<OpCase> channel_cases() {
  return {
      // Weights are [inputs, outputs]: 1 * 1 + 2 * 100 and 1 * 10 + 2 * 1000.
      spread("channels", {}, {f32({1, 2, 1}, {1, 2}), f32({2, 2, 1}, {1, 10, 100, 1000})},
             {f32({1, 2, 1}, {201, 2010})}),
      spread("groups", {{"group", int64_t{2}}},
             {f32({1, 2, 1}, {3, 5}), f32({2, 2, 1}, {1, 10, 2, 20}), f32({4}, {1, 2, 3, 4})},
             {f32({1, 4, 1}, {4, 32, 13, 104})}),
      spread("two dimensions", {{"strides", ints({1, 2})}},
             {f32({1, 1, 2, 2}, {1, 2, 3, 4}), f32({1, 1, 1, 2}, {1, 10})},
             {f32({1, 1, 2, 4}, {1, 10, 2, 20, 3, 30, 4, 40})}),
      spread("no images", {}, {f32({0, 1, 2}, {}), f32({1, 1, 2}, {1, 1})}, {f32({0, 1, 3}, {})}),
      spread("no channels: only the bias", {},
             {f32({1, 0, 2}, {}), f32({0, 1, 1}, {}), f32({1}, {7})}, {f32({1, 1, 2}, {7, 7})}),
      spread("upsampling by two", {{"strides", ints({2, 2})}, {"pads", ints({1, 1, 1, 1})}},
             {noise({2, 7, 5, 6}), noise({7, 9, 4, 4}, 2), noise({9}, 3)}),
      spread("3x3, output padding",
             {{"strides", ints({2, 2})},
              {"pads", ints({1, 1, 1, 1})},
              {"output_padding", ints({1, 1})}},
             {noise({1, 16, 7, 5}), noise({16, 8, 3, 3}, 2), noise({8}, 3)}),
      spread("depthwise", {{"group", int64_t{11}}, {"strides", ints({2, 2})}},
             {noise({2, 11, 5, 4}), noise({11, 1, 3, 3}, 2)}),
      spread("groups and dilation",
             {{"group", int64_t{3}}, {"dilations", ints({2, 1})}, {"strides", ints({1, 3})}},
             {noise({1, 6, 5, 4}), noise({6, 5, 3, 2}, 2), noise({15}, 3)}),
      spread("audio", {{"strides", ints({8})}, {"pads", ints({4, 4})}},
             {noise({1, 32, 21}), noise({32, 1, 16}, 2)}),
      spread("volumes", {{"strides", ints({2, 1, 2})}},
             {noise({1, 3, 3, 4, 2}), noise({3, 5, 2, 3, 2}, 2), noise({5}, 3)}),
      spread("channels differ", {}, {ramp({1, 3, 2}), ramp({2, 1, 1})}, {},
             "3 input channels, but the weights expect 2"),
      spread("groups do not divide", {{"group", int64_t{2}}}, {ramp({1, 3, 2}), ramp({3, 1, 1})},
             {}, "not divisible by 2 groups"),
      spread("bias per input channel", {}, {ramp({1, 1, 2}), ramp({1, 2, 1}), ramp({1})}, {},
             "one number for each of 2 filters"),
      spread("matrix", {}, {ramp({1, 2}), ramp({2, 1})}, {}, "do not fit"),
      spread("no group", {{"group", int64_t{0}}}, {ramp({1, 1, 2}), ramp({1, 1, 1})}, {},
             "group is 0"),
  };
}

}  // namespace

std::vector<OpCase> conv_transpose_cases() {
  std::vector<OpCase> all = line_cases();
  for (OpCase& item : channel_cases()) all.push_back(std::move(item));
  return all;
}

}  // namespace qtool::test
