// SPDX-License-Identifier: Apache-2.0
#include "train/gradient_case.h"

#include <cmath>
#include <numeric>

namespace qtool::test {

Constant smooth(Shape shape, uint64_t seed, float scale) {
  Tensor tensor(DType::float32, std::move(shape));
  Rng rng(seed);
  for (float& value : tensor.data<float>()) {
    const auto half = static_cast<float>(static_cast<int>(rng.below(16)) - 8) / 2;
    value = (half + 0.03F + 0.44F * rng.uniform()) * scale;
  }
  return make_constant(std::move(tensor));
}

Constant distinct(Shape shape, uint64_t seed) {
  Tensor tensor(DType::float32, std::move(shape));
  const auto elements = tensor.data<float>();
  std::iota(elements.begin(), elements.end(), -static_cast<float>(elements.size()) / 2);
  for (float& value : elements) value /= 4;
  Rng(seed).shuffle(elements);
  return make_constant(std::move(tensor));
}

Constant positive(Shape shape) {
  Tensor tensor = smooth(std::move(shape))->clone();
  for (float& value : tensor.data<float>()) value = std::abs(value) + 0.25F;
  return make_constant(std::move(tensor));
}

namespace {

GradientCase unary(std::string op, Constant x, CaseAttributes attributes = {}, int64_t opset = 20) {
  return {.name = "",
          .op = std::move(op),
          .opset = opset,
          .attributes = std::move(attributes),
          .inputs = {std::move(x)}};
}

Constant above_one(Shape shape) {
  Tensor tensor = positive(std::move(shape))->clone();
  for (float& value : tensor.data<float>()) value += 1;
  return make_constant(std::move(tensor));
}

}  // namespace

std::vector<GradientCase> activation_gradients() {
  const Constant x = smooth({3, 37});
  const Constant image = smooth({2, 3, 4, 5});
  const Constant small = smooth({40}, 2, 0.24F);
  std::vector<GradientCase> all{
      unary("Relu", image),
      unary("LeakyRelu", image, {{"alpha", 0.2F}}),
      unary("LeakyRelu", x, {{"alpha", -0.3F}}),
      unary("Clip", image, {{"min", -1.0F}, {"max", 2.0F}}, 10),
      unary("HardSwish", image),
      unary("HardSigmoid", x),
      unary("Elu", x, {{"alpha", 0.7F}}),
      unary("Selu", x),
      unary("Celu", x, {{"alpha", 1.3F}}),
      unary("ThresholdedRelu", x, {{"alpha", 0.5F}}),
      unary("Shrink", x, {{"lambd", 0.5F}, {"bias", 0.25F}}),
      unary("Gelu", x),
      {.name = "", .op = "FastGelu", .inputs = {x}, .domain = "com.microsoft"},
      unary("Gelu", x, {{"approximate", text("tanh")}}),
      unary("Sqrt", positive({30})),
      unary("Log", positive({30})),
      unary("Reciprocal", positive({30})),
      unary("Asin", small),
      unary("Acos", small),
      unary("Atanh", small),
      unary("Tan", small),
      unary("Acosh", above_one({30})),
  };
  for (const char* op : {"Sigmoid", "Tanh", "Softplus", "Softsign", "Mish", "Exp", "Erf", "Abs",
                         "Neg", "Sin", "Cos", "Atan", "Sinh", "Cosh", "Asinh", "Floor"}) {
    all.push_back(unary(op, x));
  }
  all.push_back(
      {.name = "bounds as inputs", .op = "Clip", .inputs = {image, scalar(-1), scalar(2)}});
  for (const int64_t axis : {0, 1, 2, -1}) {
    for (const char* op : {"Softmax", "LogSoftmax"}) {
      all.push_back(unary(op, smooth({2, 3, 4}), {{"axis", axis}}, 13));
      all.push_back(unary(op, smooth({2, 3, 4}), {{"axis", axis}}, 11));
    }
  }
  return all;
}

std::vector<GradientCase> movement_gradients() {
  const Constant x = smooth({2, 3, 4, 5});
  std::vector<GradientCase> all{
      {.name = "", .op = "Reshape", .inputs = {x, s64({2}, {6, -1})}},
      {.name = "", .op = "Flatten", .attributes = {{"axis", int64_t{2}}}, .inputs = {x}},
      {.name = "", .op = "Squeeze", .inputs = {smooth({2, 1, 3}), s64({1}, {1})}},
      {.name = "", .op = "Unsqueeze", .inputs = {x, s64({2}, {0, 3})}},
      {.name = "", .op = "Identity", .inputs = {x}},
      {.name = "one place twice",
       .op = "Gather",
       .attributes = {{"axis", int64_t{2}}},
       .inputs = {x, s64({2, 2}, {1, -1, 3, 1})}},
      {.name = "one index", .op = "Gather", .inputs = {x, s64({}, {1})}},
      {.name = "", .op = "Expand", .inputs = {smooth({3, 1}), s64({3}, {2, 3, 4})}},
      {.name = "",
       .op = "Where",
       .inputs = {flags({true, false, true, true, false}), x, smooth({4, 1}, 2)},
       .wanted = {1, 2}},
      {.name = "", .op = "Tile", .inputs = {smooth({2, 1, 3}), s64({3}, {1, 4, 2})}},
      {.name = "", .op = "Dropout", .inputs = {x}},
      {.name = "",
       .op = "DepthToSpace",
       .attributes = {{"blocksize", int64_t{2}}},
       .inputs = {smooth({2, 8, 2, 3})}},
      {.name = "channels first",
       .op = "DepthToSpace",
       .attributes = {{"blocksize", int64_t{2}}, {"mode", text("CRD")}},
       .inputs = {smooth({2, 12, 2, 3})}},
      {.name = "",
       .op = "SpaceToDepth",
       .attributes = {{"blocksize", int64_t{2}}},
       .inputs = {smooth({2, 3, 4, 2})}},
      {.name = "nearest",
       .op = "Resize",
       .attributes = {{"coordinate_transformation_mode", text("asymmetric")},
                      {"nearest_mode", text("floor")}},
       .inputs = {x, nullptr, f32({4}, {1, 1, 2, 3})}},
      {.name = "linear, to sizes",
       .op = "Resize",
       .attributes = {{"mode", text("linear")}},
       .inputs = {x, nullptr, nullptr, s64({4}, {2, 3, 7, 3})}},
      {.name = "cubic, the last axis",
       .op = "Resize",
       .attributes = {{"mode", text("cubic")},
                      {"coordinate_transformation_mode", text("align_corners")}},
       .inputs = {smooth({2, 3, 6}), nullptr, f32({3}, {1, 1, 2})}},
      {.name = "", .op = "Upsample", .opset = 9, .inputs = {x, f32({4}, {1, 1, 2, 2})}},
      {.name = "", .op = "Transpose", .attributes = {{"perm", ints({3, 0, 2, 1})}}, .inputs = {x}},
      {.name = "reversed", .op = "Transpose", .inputs = {x}},
      {.name = "",
       .op = "Concat",
       .attributes = {{"axis", int64_t{1}}},
       .inputs = {x, smooth({2, 1, 4, 5}, 2), smooth({2, 2, 4, 5}, 3)},
       .wanted = {0, 1, 2}},
      {.name = "one of two",
       .op = "Concat",
       .attributes = {{"axis", int64_t{-1}}},
       .inputs = {smooth({2, 2}), smooth({2, 3}, 2)},
       .wanted = {1}},
      {.name = "",
       .op = "Slice",
       .inputs = {x, s64({2}, {1, -1}), s64({2}, {3, -9}), s64({2}, {1, 3}), s64({2}, {1, -2})}},
      {.name = "attributes",
       .op = "Slice",
       .opset = 9,
       .attributes = {{"starts", ints({0, 1})}, {"ends", ints({1, 9})}, {"axes", ints({0, 2})}},
       .inputs = {x}},
      {.name = "", .op = "Pad", .inputs = {x, s64({8}, {0, 1, 2, 0, 0, 3, 0, 1})}},
      {.name = "reflected",
       .op = "Pad",
       .attributes = {{"mode", text("reflect")}},
       .inputs = {x, s64({8}, {0, 0, 3, 2, 0, 0, 1, 4})}},
      {.name = "edges, one taken away",
       .op = "Pad",
       .attributes = {{"mode", text("edge")}},
       .inputs = {x, s64({8}, {0, 0, 2, -1, 0, 0, 0, 3})}},
      {.name = "wrapped",
       .op = "Pad",
       .opset = 19,
       .attributes = {{"mode", text("wrap")}},
       .inputs = {smooth({2, 4}), s64({4}, {0, 3, 0, 5})}},
      {.name = "taken away", .op = "Pad", .inputs = {x, s64({8}, {0, -1, 0, 1, 0, 1, -2, 0})}},
      {.name = "attributes",
       .op = "Pad",
       .opset = 10,
       .attributes = {{"pads", ints({0, 0, 1, 1, 0, 0, 2, 2})}},
       .inputs = {x}},
      {.name = "both parts",
       .op = "Split",
       .attributes = {{"axis", int64_t{1}}},
       .inputs = {x, s64({2}, {1, 2})},
       .outputs = {0, 1},
       .output_count = 2},
      {.name = "one part",
       .op = "Split",
       .attributes = {{"axis", int64_t{3}}},
       .inputs = {x, s64({2}, {4, 1})},
       .outputs = {1},
       .output_count = 2},
  };
  return all;
}

std::vector<GradientCase> product_gradients() {
  std::vector<GradientCase> all;
  for (const int64_t ta : {0, 1}) {
    for (const int64_t tb : {0, 1}) {
      const Shape a = ta != 0 ? Shape{4, 3} : Shape{3, 4};
      const Shape b = tb != 0 ? Shape{5, 4} : Shape{4, 5};
      all.push_back({.name = "transposed " + std::to_string(ta) + std::to_string(tb),
                     .op = "Gemm",
                     .attributes = {{"transA", ta}, {"transB", tb}},
                     .inputs = {smooth(a), smooth(b, 2), smooth({5}, 3)},
                     .wanted = {0, 1, 2}});
    }
  }
  all.push_back({.name = "scaled",
                 .op = "Gemm",
                 .attributes = {{"alpha", 0.5F}, {"beta", -2.0F}, {"transA", int64_t{1}}},
                 .inputs = {smooth({4, 3}), smooth({4, 5}, 2), smooth({3, 1}, 3)},
                 .wanted = {0, 1, 2}});
  all.push_back({.name = "no bias",
                 .op = "Gemm",
                 .inputs = {smooth({3, 4}), smooth({4, 5}, 2)},
                 .wanted = {0, 1}});
  const std::vector<std::pair<Shape, Shape>> shapes{{{3, 4}, {4, 5}},
                                                    {{2, 3, 4}, {4, 5}},
                                                    {{2, 2, 3, 4}, {2, 2, 4, 5}},
                                                    {{2, 1, 3, 4}, {3, 4, 2}},
                                                    {{3, 4}, {2, 4, 5}}};
  for (const auto& [a, b] : shapes) {
    all.push_back({.name = to_string(a) + to_string(b),
                   .op = "MatMul",
                   .inputs = {smooth(a), smooth(b, 2)},
                   .wanted = {0, 1}});
  }
  return all;
}

namespace {

GradientCase conv(std::string name, Shape x, Shape w, CaseAttributes attributes, bool biased) {
  const int64_t filters = w[0];
  GradientCase made{.name = std::move(name),
                    .op = "Conv",
                    .attributes = std::move(attributes),
                    .inputs = {smooth(std::move(x)), smooth(std::move(w), 2)},
                    .wanted = {0, 1}};
  if (biased) {
    made.inputs.push_back(smooth({filters}, 3));
    made.wanted.push_back(2);
  }
  return made;
}

GradientCase pool(std::string op, std::string name, Shape x, CaseAttributes attributes) {
  return {.name = std::move(name),
          .op = std::move(op),
          .attributes = std::move(attributes),
          .inputs = {distinct(std::move(x))},
          .in_double = false};
}

}  // namespace

namespace {

GradientCase transposed(std::string name, Shape x, Shape w, CaseAttributes attributes) {
  int64_t groups = 1;
  for (const auto& [key, value] : attributes) {
    if (key == "group") groups = 2;
  }
  const int64_t outputs = w[1] * groups;
  return {.name = std::move(name),
          .op = "ConvTranspose",
          .attributes = std::move(attributes),
          .inputs = {smooth(std::move(x)), smooth(std::move(w), 2), smooth({outputs}, 3)},
          .wanted = {0, 1, 2}};
}

}  // namespace

std::vector<GradientCase> window_gradients() {
  std::vector<GradientCase> all{
      conv("same", {2, 3, 5, 4}, {4, 3, 3, 3}, {{"pads", ints({1, 1, 1, 1})}}, true),
      conv("strides", {1, 2, 7, 6}, {3, 2, 3, 2},
           {{"strides", ints({2, 3})}, {"pads", ints({0, 1, 2, 0})}}, false),
      conv("dilations", {1, 2, 7, 7}, {3, 2, 3, 2}, {{"dilations", ints({2, 3})}}, true),
      conv("groups", {2, 4, 4, 4}, {6, 2, 3, 3},
           {{"group", int64_t{2}}, {"pads", ints({1, 1, 1, 1})}}, true),
      conv("depthwise", {2, 5, 5, 5}, {5, 1, 3, 3},
           {{"group", int64_t{5}}, {"strides", ints({2, 2})}, {"pads", ints({1, 1, 1, 1})}}, true),
      conv("depthwise of 16", {2, 16, 5, 5}, {16, 1, 3, 3},
           {{"group", int64_t{16}}, {"pads", ints({1, 1, 1, 1})}}, true),
      conv("pointwise", {3, 4, 3, 3}, {5, 4, 1, 1}, {}, true),
      conv("SAME_UPPER", {1, 2, 5, 5}, {2, 2, 2, 2},
           {{"auto_pad", text("SAME_UPPER")}, {"strides", ints({2, 2})}}, false),
      conv("signals", {2, 3, 9}, {4, 3, 3}, {{"pads", ints({1, 1})}}, true),
      conv("volumes", {1, 2, 4, 3, 3}, {2, 2, 2, 2, 2}, {}, true),
      transposed("overlapping", {2, 3, 3, 4}, {3, 4, 3, 3}, {{"strides", ints({2, 2})}}),
      transposed("pads, output_padding", {1, 2, 4, 3}, {2, 3, 3, 2},
                 {{"strides", ints({2, 3})},
                  {"pads", ints({1, 0, 1, 1})},
                  {"output_padding", ints({1, 2})}}),
      transposed("groups, dilations", {1, 4, 3, 3}, {4, 2, 2, 2},
                 {{"group", int64_t{2}}, {"dilations", ints({2, 1})}}),
      pool("MaxPool", "apart", {2, 3, 4, 4},
           {{"kernel_shape", ints({2, 2})}, {"strides", ints({2, 2})}}),
      pool("MaxPool", "overlapping", {1, 2, 6, 5},
           {{"kernel_shape", ints({3, 3})},
            {"strides", ints({2, 1})},
            {"pads", ints({1, 1, 1, 1})}}),
      pool("MaxPool", "hanging over", {1, 70, 5, 5},
           {{"kernel_shape", ints({2, 2})}, {"strides", ints({2, 2})}, {"ceil_mode", int64_t{1}}}),
      pool("MaxPool", "dilated", {1, 2, 7, 7},
           {{"kernel_shape", ints({2, 2})}, {"dilations", ints({3, 2})}}),
      pool("AveragePool", "padding left out", {1, 2, 5, 5},
           {{"kernel_shape", ints({3, 3})},
            {"strides", ints({2, 2})},
            {"pads", ints({1, 1, 1, 1})}}),
      pool("AveragePool", "padding counted", {1, 2, 5, 5},
           {{"kernel_shape", ints({3, 3})},
            {"strides", ints({2, 2})},
            {"pads", ints({1, 1, 1, 1})},
            {"count_include_pad", int64_t{1}}}),
      pool("AveragePool", "hanging over", {1, 2, 6, 6},
           {{"kernel_shape", ints({3, 3})},
            {"strides", ints({2, 2})},
            {"pads", ints({1, 1, 0, 0})},
            {"count_include_pad", int64_t{1}},
            {"ceil_mode", int64_t{1}}}),
      pool("GlobalAveragePool", "", {2, 3, 4, 5}, {}),
      pool("GlobalMaxPool", "", {2, 3, 4, 5}, {}),
      {.name = "",
       .op = "BatchNormalization",
       .attributes = {{"epsilon", 0.01F}},
       .inputs = {smooth({2, 3, 4, 5}), smooth({3}, 2), smooth({3}, 3), smooth({3}, 4),
                  positive({3})},
       .wanted = {0, 1, 2}},
      {.name = "",
       .op = "BatchStatistics",
       .inputs = {smooth({2, 3, 4, 5})},
       .outputs = {0, 1},
       .output_count = 2,
       .domain = "ai.qtool"},
      {.name = "variances of vectors",
       .op = "BatchStatistics",
       .inputs = {smooth({4, 3})},
       .outputs = {1},
       .output_count = 2,
       .domain = "ai.qtool"},
      {.name = "vectors",
       .op = "BatchNormalization",
       .inputs = {smooth({4, 3}), smooth({3}, 2), smooth({3}, 3), smooth({3}, 4), positive({3})},
       .wanted = {0, 1, 2}},
  };
  return all;
}

std::vector<GradientCase> loss_gradients() {
  const Constant scores = smooth({4, 3});
  const Constant labels = s64({4}, {2, 0, 1, 1});
  return {
      {.name = "", .op = "CrossEntropy", .inputs = {scores, labels}, .domain = "ai.qtool"},
      {.name = "mixed",
       .op = "CrossEntropy",
       .inputs = {scores, labels, s64({4}, {0, 0, 2, 1}),
                  make_constant(Tensor::of<float>({4}, {0.7F, 0.7F, 0.2F, 1}))},
       .domain = "ai.qtool"},
      {.name = "smoothed",
       .op = "CrossEntropy",
       .attributes = {{"smoothing", 0.1F}},
       .inputs = {smooth({4, 3, 1, 1}), labels},
       .domain = "ai.qtool"},
      {.name = "",
       .op = "Distillation",
       .inputs = {scores, smooth({4, 3}, 2)},
       .domain = "ai.qtool"},
      {.name = "",
       .op = "MeanSquaredError",
       .inputs = {scores, smooth({4, 3}, 2)},
       .domain = "ai.qtool"},
      {.name = "a bound a channel",
       .op = "BoundedWeights",
       .attributes = {{"axis", int64_t{1}}},
       .inputs = {smooth({2, 3, 2}, 3, 0.5F), make_constant(Tensor::of<float>({3}, {2, 5, 3}))},
       .domain = "ai.qtool"},
      {.name = "one bound",
       .op = "BoundedWeights",
       .inputs = {smooth({3, 4}), make_constant(Tensor::scalar(2.5F))},
       .domain = "ai.qtool"},
      {.name = "warm",
       .op = "Distillation",
       .attributes = {{"temperature", 3.0F}},
       .inputs = {scores, smooth({4, 3}, 2)},
       .domain = "ai.qtool"},
  };
}

}  // namespace qtool::test
