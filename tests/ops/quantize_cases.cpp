// SPDX-License-Identifier: Apache-2.0
#include <limits>

#include "ops/op_case.h"

namespace qtool::test {

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

Constant packed(DType type, Shape shape, std::vector<int8_t> values) {
  return make_constant(cast(*s8(std::move(shape), std::move(values)), type));
}

std::vector<OpCase> quantize_linear_cases() {
  const Constant grid = f32({2, 3}, {0, 1, 2, 3, 4, 5});
  const char* q = "QuantizeLinear";
  const Constant u8_zero = u8({}, {128});
  return {
      make(q, 10, "ties, saturation", {},
           {f32({6}, {0, 2, 3, 1000, -254, -1000}), scalar(2), u8_zero},
           {u8({6}, {128, 129, 130, 255, 1, 0})}),
      make(q, 10, "half to even", {},
           {f32({6}, {0.5F, 1.5F, 2.5F, -0.5F, -1.5F, -2.5F}), scalar(1), s8({}, {0})},
           {s8({6}, {0, 2, 2, 0, -2, -2})}),
      make(q, 10, "not finite", {}, {f32({3}, {kInf, -kInf, kNan}), scalar(1), s8({}, {3})},
           {s8({3}, {127, -128, 3})}),
      make(q, 10, "no zero point: unsigned", {}, {f32({3}, {-1, 7, 300}), scalar(1)},
           {u8({3}, {0, 7, 255})}),
      make(q, 10, "scale of shape [1]", {}, {f32({2}, {2, 4}), f32({1}, {2}), u8({1}, {1})},
           {u8({2}, {2, 3})}),
      make(q, 10, "integers", {}, {s32({3}, {-3, 4, 1000}), scalar(2), s8({}, {0})},
           {s8({3}, {-2, 2, 127})}),
      make(q, 10, "integers, no zero point", {}, {s32({2}, {6, 1000}), scalar(2)},
           {u8({2}, {3, 255})}),
      make(q, 13, "a scale a column", {}, {grid, f32({3}, {1, 2, 4}), u8({3}, {0, 10, 100})},
           {u8({2, 3}, {0, 10, 100, 3, 12, 101})}),
      make(q, 13, "a scale a row", {{"axis", int64_t{0}}},
           {grid, f32({2}, {1, 2}), s8({2}, {0, 1})}, {s8({2, 3}, {0, 1, 2, 3, 3, 3})}),
      make(q, 13, "negative axis", {{"axis", int64_t{-1}}},
           {grid, f32({3}, {1, 2, 4}), u8({3}, {0, 10, 100})},
           {u8({2, 3}, {0, 10, 100, 3, 12, 101})}),
      make(q, 21, "16 bits", {},
           {f32({3}, {-1, 1, 70000}), scalar(0.5F), elements<uint16_t>({}, {32768})},
           {elements<uint16_t>({3}, {32766, 32770, 65535})}),
      make(q, 21, "4 bits", {},
           {f32({3}, {-100, 1.5F, 100}), scalar(1), packed(DType::int4, {}, {0})},
           {packed(DType::int4, {3}, {-8, 2, 7})}),
      make(q, 21, "output_dtype", {{"output_dtype", int64_t{3}}}, {f32({2}, {-1, 200}), scalar(1)},
           {s8({2}, {-1, 127})}),
      make(q, 21, "blocks", {{"axis", int64_t{1}}, {"block_size", int64_t{2}}},
           {f32({1, 4}, {1, 2, 10, 20}), f32({1, 2}, {1, 10}), s8({1, 2}, {0, 0})},
           {s8({1, 4}, {1, 2, 1, 2})}),
      make(q, 13, "scalar", {}, {scalar(3), scalar(1), u8_zero}, {u8({}, {131})}),
      make(q, 13, "nothing", {}, {f32({0, 3}, {}), scalar(1), u8_zero}, {u8({0, 3}, {})}),
      make(q, 13, "images", {}, {noise({2, 7, 5, 6}), scalar(0.03F), u8_zero}),
      make(q, 13, "images, signed", {}, {noise({2, 7, 5, 6}), scalar(0.02F), s8({}, {-7})}),
      make(q, 13, "images, a scale a channel", {},
           {noise({1, 3, 4, 4}), f32({3}, {0.1F, 0.2F, 0.3F}), s8({3}, {0, 0, 0})}),
      make(q, 13, "many", {}, {noise({100003}), scalar(0.03F), u8_zero}),
      make(q, 13, "scales that do not fit", {}, {grid, f32({2}, {1, 2}), u8({2}, {0, 0})}, {},
           "2 scales"),
      make(q, 13, "no such axis", {{"axis", int64_t{2}}}, {grid, f32({2}, {1, 2}), u8({2}, {0, 0})},
           {}, "axis 2 is outside"),
      make(q, 13, "no scale", {}, {grid, f32({0}, {}), u8({0}, {})}, {}, "0 scales"),
      make(q, 13, "zero points that do not fit", {}, {grid, f32({3}, {1, 2, 4}), u8({2}, {0, 0})},
           {}, "zero points"),
      make(q, 13, "scale 0", {}, {grid, scalar(0), u8_zero}, {}, "a scale is finite and positive"),
      make(q, 13, "scale below 0", {}, {grid, scalar(-1), u8_zero}, {},
           "a scale is finite and positive"),
      make(q, 13, "scale not a number", {}, {grid, scalar(kNan), u8_zero}, {},
           "a scale is finite and positive"),
      make(q, 13, "zero point of floats", {}, {grid, scalar(1), scalar(0)}, {}, "float"),
      make(q, 21, "blocks that do not fit", {{"axis", int64_t{1}}, {"block_size", int64_t{2}}},
           {f32({1, 4}, {1, 2, 10, 20}), f32({1, 3}, {1, 10, 1}), s8({1, 3}, {0, 0, 0})}, {},
           "3 scales"),
      make(q, 21, "blocks of scalar scales", {{"axis", int64_t{3}}, {"block_size", int64_t{2}}},
           {f32({1, 4}, {1, 2, 10, 20}), f32({1, 2}, {1, 10}), s8({1, 2}, {0, 0})}, {},
           "axis 3 is outside"),
  };
}

std::vector<OpCase> dequantize_linear_cases() {
  const char* dq = "DequantizeLinear";
  const Constant grid = u8({2, 3}, {0, 10, 100, 3, 12, 101});
  return {
      make(dq, 10, "unsigned", {}, {u8({4}, {0, 3, 128, 255}), scalar(2), u8({}, {128})},
           {f32({4}, {-256, -250, 0, 254})}),
      make(dq, 10, "signed", {}, {s8({3}, {-128, 0, 127}), scalar(0.5F), s8({}, {-1})},
           {f32({3}, {-63.5F, 0.5F, 64})}),
      make(dq, 10, "no zero point", {}, {s8({2}, {-1, 1}), scalar(3)}, {f32({2}, {-3, 3})}),
      make(dq, 10, "32-bit bias", {}, {s32({2}, {-7, 1000000}), scalar(0.5F)},
           {f32({2}, {-3.5F, 500000})}),
      make(dq, 10, "32-bit bias, zero point 0", {}, {s32({2}, {-7, 9}), scalar(0.5F), s32({}, {0})},
           {f32({2}, {-3.5F, 4.5F})}),
      make(dq, 13, "32-bit bias, a scale each", {{"axis", int64_t{0}}},
           {s32({2}, {3, 3}), f32({2}, {1, 2})}, {f32({2}, {3, 6})}),
      make(dq, 13, "a scale a column", {}, {grid, f32({3}, {1, 2, 4}), u8({3}, {0, 10, 100})},
           {f32({2, 3}, {0, 0, 0, 3, 4, 4})}),
      make(dq, 13, "a scale a row", {{"axis", int64_t{-2}}},
           {s8({2, 2}, {1, 2, 3, 4}), f32({2}, {1, 10})}, {f32({2, 2}, {1, 2, 30, 40})}),
      make(dq, 21, "4 bits", {}, {packed(DType::int4, {3}, {-8, 2, 7}), scalar(2)},
           {f32({3}, {-16, 4, 14})}),
      make(dq, 21, "unsigned 4 bits", {},
           {packed(DType::uint4, {2}, {0, 15}), scalar(1), packed(DType::uint4, {}, {8})},
           {f32({2}, {-8, 7})}),
      make(dq, 21, "16 bits", {},
           {elements<int16_t>({2}, {-32768, 32767}), scalar(1), elements<int16_t>({}, {1})},
           {f32({2}, {-32769, 32766})}),
      make(dq, 21, "blocks", {{"axis", int64_t{0}}, {"block_size", int64_t{2}}},
           {s8({3, 1}, {1, 2, 3}), f32({2, 1}, {1, 10})}, {f32({3, 1}, {1, 2, 30})}),
      make(dq, 13, "scalar", {}, {u8({}, {3}), scalar(1), u8({}, {1})}, {scalar(2)}),
      make(dq, 13, "nothing", {}, {u8({0}, {}), scalar(1)}, {f32({0}, {})}),
      make(dq, 13, "images", {}, {noise_u8({2, 7, 5, 6}), scalar(0.03F), u8({}, {99})}),
      make(dq, 13, "images, signed", {}, {noise_s8({2, 7, 5, 6}), scalar(0.03F), s8({}, {-9})}),
      make(dq, 13, "scales that do not fit", {}, {grid, f32({2}, {1, 2})}, {}, "2 scales"),
      make(dq, 13, "32-bit, scales that do not fit", {{"axis", int64_t{0}}},
           {s32({3}, {1, 2, 3}), f32({2}, {1, 2})}, {}, "2 scales"),
      make(dq, 13, "32-bit, no scale", {{"axis", int64_t{0}}}, {s32({3}, {1, 2, 3}), f32({0}, {})},
           {}, "0 scales"),
      make(dq, 13, "32-bit, zero point", {}, {s32({1}, {1}), scalar(1), s32({}, {5})}, {},
           "zero point"),
      make(dq, 13, "scale 0", {}, {grid, scalar(0)}, {}, "a scale is finite and positive"),
      make(dq, 13, "zero point of another type", {}, {grid, scalar(1), s8({}, {1})}, {}, "int8"),
      make(dq, 13, "floats", {}, {f32({1}, {1}), scalar(1)}, {}, "float"),
  };
}

}  // namespace

std::vector<OpCase> quantize_cases() {
  std::vector<OpCase> all = quantize_linear_cases();
  for (OpCase& item : dequantize_linear_cases()) all.push_back(std::move(item));
  return all;
}

}  // namespace qtool::test
