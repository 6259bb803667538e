// SPDX-License-Identifier: Apache-2.0
#include "ops/op_case.h"

namespace qtool::test {

namespace {

std::vector<OpCase> reshape_cases() {
  const Constant x = ramp({2, 3});
  const std::vector<float> six{0, 1, 2, 3, 4, 5};
  const Attribute yes = int64_t{1};
  const auto to = [](std::vector<int64_t> shape) {
    const auto count = static_cast<int64_t>(shape.size());
    return s64({count}, std::move(shape));
  };
  return {
      make("Reshape", 13, "turned", {}, {x, to({3, 2})}, {f32({3, 2}, six)}),
      make("Reshape", 13, "the rest", {}, {x, to({-1})}, {f32({6}, six)}),
      make("Reshape", 13, "copied and the rest", {}, {x, to({0, 1, -1})}, {f32({2, 1, 3}, six)}),
      make("Reshape", 13, "scalar", {}, {f32({1, 1}, {7}), to({})}, {scalar(7)}),
      make("Reshape", 13, "from a scalar", {}, {scalar(7), to({1, -1})}, {f32({1, 1}, {7})}),
      make("Reshape", 13, "empty, copied", {}, {f32({0, 3}, {}), to({3, 0})}, {}, "does not fit"),
      make("Reshape", 13, "empty stays empty", {}, {f32({0, 3}, {}), to({0, 1, 3})},
           {f32({0, 1, 3}, {})}),
      make("Reshape", 14, "allowzero", {{"allowzero", yes}}, {f32({0, 3}, {}), to({3, 0})},
           {f32({3, 0}, {})}),
      make("Reshape", 13, "bytes", {}, {noise_u8({2, 3, 4, 5}), to({2, -1})}),
      make("Reshape", 13, "images", {}, {noise({2, 3, 4, 5}), to({0, -1})}),
      make("Reshape", 13, "two rests", {}, {x, to({-1, -1})}, {}, "two extents of -1"),
      make("Reshape", 13, "indivisible", {}, {x, to({4, -1})}, {}, "does not fit"),
      make("Reshape", 13, "other size", {}, {x, to({2, 2})}, {}, "does not fit the shape [2,2]"),
      make("Reshape", 13, "negative", {}, {x, to({-2, 3})}, {}, "the extent -2"),
      make("Reshape", 13, "copied from nowhere", {}, {x, to({2, 3, 0})}, {},
           "copies an extent that is not there"),
      make("Reshape", 13, "no images, flattened", {}, {f32({0, 3, 2}, {}), to({0, -1})},
           {f32({0, 6}, {})}),
      make("Reshape", 14, "the rest of nothing", {{"allowzero", yes}},
           {f32({0, 3}, {}), to({0, -1})}, {}, "does not fit"),
      make("Reshape", 13, "overflow", {}, {x, to({int64_t{1} << 40, int64_t{1} << 40})}, {},
           "does not fit"),
      make("Reshape", 13, "shape of floats", {}, {x, f32({1}, {6})}, {}, "must hold integers"),
      make("Reshape", 13, "shape that is a matrix", {}, {x, s64({1, 1}, {6})}, {},
           "list of numbers"),
      make("Flatten", 13, "default", {}, {ramp({1, 2, 3})}, {f32({1, 6}, six)}),
      make("Flatten", 13, "axis 0", {{"axis", int64_t{0}}}, {x}, {f32({1, 6}, six)}),
      make("Flatten", 13, "axis 2", {{"axis", int64_t{2}}}, {ramp({1, 2, 3})}, {f32({2, 3}, six)}),
      make("Flatten", 13, "axis at the end", {{"axis", int64_t{2}}}, {x}, {f32({6, 1}, six)}),
      make("Flatten", 13, "negative axis", {{"axis", int64_t{-1}}}, {ramp({1, 2, 3})},
           {f32({2, 3}, six)}),
      make("Flatten", 13, "scalar", {{"axis", int64_t{0}}}, {scalar(7)}, {f32({1, 1}, {7})}),
      make("Flatten", 13, "nothing", {}, {f32({2, 0, 3}, {})}, {f32({2, 0}, {})}),
      make("Flatten", 13, "images", {}, {noise({2, 3, 4, 5})}),
      make("Flatten", 13, "no such axis", {{"axis", int64_t{3}}}, {x}, {}, "axis 3 is outside"),
  };
}

std::vector<OpCase> squeeze_cases() {
  const Constant x = ramp({1, 2, 1});
  return {
      make("Squeeze", 11, "all", {}, {x}, {f32({2}, {0, 1})}),
      make("Squeeze", 11, "attribute", {{"axes", ints({0})}}, {x}, {f32({2, 1}, {0, 1})}),
      make("Squeeze", 13, "input", {}, {x, s64({1}, {-1})}, {f32({1, 2}, {0, 1})}),
      make("Squeeze", 13, "all, no input", {}, {x}, {f32({2}, {0, 1})}),
      make("Squeeze", 13, "to a scalar", {}, {ramp({1, 1})}, {scalar(0)}),
      make("Squeeze", 13, "images", {}, {noise({2, 3, 1, 5}), s64({1}, {2})}),
      make("Squeeze", 13, "not one", {}, {x, s64({1}, {1})}, {},
           "axis 1 of extent 2 cannot be squeezed"),
      make("Squeeze", 13, "no such axis", {}, {x, s64({1}, {3})}, {}, "axis 3 is outside"),
      make("Unsqueeze", 11, "attribute", {{"axes", ints({0, 2})}}, {ramp({2})},
           {f32({1, 2, 1}, {0, 1})}),
      make("Unsqueeze", 13, "input", {}, {ramp({2}), s64({2}, {-1, 0})}, {f32({1, 2, 1}, {0, 1})}),
      make("Unsqueeze", 13, "scalar", {}, {scalar(7), s64({1}, {0})}, {f32({1}, {7})}),
      make("Unsqueeze", 13, "images", {}, {noise({2, 3, 4}), s64({1}, {2})}),
      make("Unsqueeze", 13, "twice", {}, {ramp({2}), s64({2}, {0, 0})}, {},
           "axis 0 is listed twice"),
      make("Unsqueeze", 13, "no such axis", {}, {ramp({2}), s64({1}, {2})}, {},
           "axis 2 is outside"),
  };
}

std::vector<OpCase> transpose_cases() {
  return {
      make("Transpose", 13, "default", {}, {ramp({2, 3})}, {f32({3, 2}, {0, 3, 1, 4, 2, 5})}),
      make("Transpose", 13, "perm", {{"perm", ints({1, 2, 0})}}, {ramp({2, 1, 3})},
           {f32({1, 3, 2}, {0, 3, 1, 4, 2, 5})}),
      make("Transpose", 13, "scalar", {}, {scalar(7)}, {scalar(7)}),
      make("Transpose", 13, "vector", {}, {ramp({3})}, {f32({3}, {0, 1, 2})}),
      make("Transpose", 13, "nothing", {}, {f32({0, 3}, {})}, {f32({3, 0}, {})}),
      make("Transpose", 13, "integers", {}, {s64({2, 2}, {1, 2, 3, 4})},
           {s64({2, 2}, {1, 3, 2, 4})}),
      make("Transpose", 13, "to NHWC", {{"perm", ints({0, 2, 3, 1})}}, {noise({2, 3, 4, 5})}),
      make("Transpose", 13, "to NCHW", {{"perm", ints({0, 3, 1, 2})}}, {noise({2, 4, 5, 3})}),
      make("Transpose", 13, "heads", {{"perm", ints({0, 2, 1, 3})}}, {noise({2, 17, 4, 16})}),
      make("Transpose", 13, "bytes", {{"perm", ints({0, 2, 3, 1})}}, {noise_u8({1, 33, 17, 19})}),
      make("Transpose", 13, "rank 5", {{"perm", ints({4, 1, 3, 0, 2})}}, {noise({2, 3, 2, 4, 3})}),
      make("Transpose", 13, "short perm", {{"perm", ints({0})}}, {ramp({2, 3})}, {},
           "is no permutation of 2 axes"),
      make("Transpose", 13, "doubled", {{"perm", ints({0, 0})}}, {ramp({2, 3})}, {},
           "is no permutation of 2 axes"),
      make("Transpose", 13, "negative", {{"perm", ints({-1, 0})}}, {ramp({2, 3})}, {},
           "is no permutation of 2 axes"),
      make("Transpose", 21, "4 bits", {}, {make_constant(cast(*s8({2}, {1, -3}), DType::int4))}, {},
           "elements of type int4"),
  };
}

std::vector<OpCase> naming_cases() {
  OpCase mask = make("Dropout", 13, "mask", {}, {ramp({2}), scalar(0.5F)},
                     {ramp({2}), elements<bool>({2}, {true, true})});
  mask.outputs = 2;
  OpCase old_mask = make("Dropout", 7, "mask of the input's type", {}, {ramp({2})},
                         {ramp({2}), f32({2}, {1, 1})});
  old_mask.outputs = 2;
  const Constant yes = elements<bool>({}, {true});
  const auto constant = [](std::string name, Attribute value, Constant expected) {
    return make("Constant", 13, name, {{name, std::move(value)}}, {}, {std::move(expected)});
  };
  return {
      make("Identity", 13, "floats", {}, {ramp({2, 2})}, {ramp({2, 2})}),
      make("Identity", 13, "scalar", {}, {s64({}, {5})}, {s64({}, {5})}),
      make("Identity", 13, "nothing", {}, {f32({0}, {})}, {f32({0}, {})}),
      make("Identity", 13, "images", {}, {noise({2, 3, 4, 5})}),
      make("Dropout", 7, "inference", {{"ratio", 0.5F}}, {ramp({3})}, {ramp({3})}),
      make("Dropout", 13, "ratio as input", {}, {noise({2, 3, 4, 5}), scalar(0.5F)},
           {noise({2, 3, 4, 5})}),
      make("Dropout", 13, "told not to train", {},
           {ramp({3}), scalar(0.5F), elements<bool>({}, {false})}, {ramp({3})}),
      make("Dropout", 13, "training", {}, {ramp({3}), scalar(0.5F), yes}, {}, "training mode"),
      std::move(mask),
      std::move(old_mask),
      constant("value", TensorAttribute{ramp({2, 2}), "", ""}, ramp({2, 2})),
      constant("value_float", 1.5F, scalar(1.5F)),
      constant("value_int", int64_t{-3}, s64({}, {-3})),
      constant("value_floats", std::vector<float>{1, 2}, f32({2}, {1, 2})),
      constant("value_ints", ints({}), s64({0}, {})),
      constant("value_string", text("a"), make_constant(Tensor::of_strings({}, {"a"}))),
      constant("value_strings", std::vector<std::string>{"a", "b"},
               make_constant(Tensor::of_strings({2}, {"a", "b"}))),
      make("Constant", 13, "no value", {}, {}, {}, "Constant"),
      make("Shape", 13, "matrix", {}, {ramp({2, 3})}, {s64({2}, {2, 3})}),
      make("Shape", 13, "scalar", {}, {scalar(1)}, {s64({0}, {})}),
      make("Shape", 13, "nothing", {}, {f32({0, 3}, {})}, {s64({2}, {0, 3})}),
      make("Shape", 15, "part", {{"start", int64_t{1}}, {"end", int64_t{-1}}}, {ramp({1, 2, 3, 4})},
           {s64({2}, {2, 3})}),
      make("Shape", 15, "beyond", {{"start", int64_t{-9}}, {"end", int64_t{9}}}, {ramp({1, 2})},
           {s64({2}, {1, 2})}),
      make("Shape", 15, "backwards", {{"start", int64_t{2}}, {"end", int64_t{1}}}, {ramp({1, 2})},
           {s64({0}, {})}),
  };
}

}  // namespace

std::vector<OpCase> shape_cases() {
  std::vector<OpCase> all;
  for (auto* const list : {reshape_cases, squeeze_cases, transpose_cases, naming_cases}) {
    for (OpCase& item : list()) all.push_back(std::move(item));
  }
  return all;
}

}  // namespace qtool::test
