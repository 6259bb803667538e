// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <limits>

#include "ops/op_case.h"

namespace qtool::test {

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

OpCase with_opset(int64_t opset, OpCase item) {
  item.opset = opset;
  return item;
}

OpCase refused(OpCase item, std::string error) {
  item.error = std::move(error);
  return item;
}

OpCase unary(std::string op, std::string name, CaseAttributes attributes, Constant input,
             std::vector<Constant> expected = {}, double near = 0) {
  return {.name = std::move(name),
          .op = std::move(op),
          .opset = 20,
          .attributes = std::move(attributes),
          .inputs = {std::move(input)},
          .expected = std::move(expected),
          .near = near};
}

std::vector<OpCase> parametric_cases() {
  return {
      unary("Elu", "signs", {}, f32({4}, {-1, 0, 2, -kInf}), {f32({4}, {-0.63212056F, 0, 2, -1})},
            1e-6),
      unary("Elu", "alpha", {{"alpha", 2.0F}}, f32({2}, {-1, 1}), {f32({2}, {-1.2642411F, 1})},
            1e-6),
      unary("Elu", "small numbers keep their digits", {}, f32({2}, {-1e-6F, -1e-20F}),
            {f32({2}, {-9.999995e-7F, -1e-20F})}, 1e-12),
      unary("Selu", "values", {}, f32({3}, {-1, 0, 2}), {f32({3}, {-1.1113307F, 0, 2.101402F})},
            1e-6),
      with_opset(5, unary("Selu", "fewer digits", {}, f32({2}, {-1, 1}),
                          {f32({2}, {-1.1112879F, 1.0507F})}, 1e-6)),
      with_opset(5, unary("Selu", "images, fewer digits", {{"gamma", 2.0F}}, noise({2, 3, 4, 5}))),
      unary("Celu", "values", {{"alpha", 2.0F}}, f32({3}, {-1, 0, 3}),
            {f32({3}, {-0.78693867F, 0, 3})}, 1e-6),
      unary("Celu", "negative alpha", {{"alpha", -1.0F}}, f32({3}, {-1, 1, kNan}),
            {f32({3}, {-1.7182818F, 1, kNan})}, 1e-6),
      unary("ThresholdedRelu", "values", {}, f32({5}, {-2, 0.5F, 1, 1.5F, kNan}),
            {f32({5}, {0, 0, 0, 1.5F, kNan})}),
      unary("ThresholdedRelu", "alpha", {{"alpha", -1.0F}}, f32({3}, {-2, -0.5F, 1}),
            {f32({3}, {0, -0.5F, 1})}),
      unary("HardSigmoid", "values", {}, f32({4}, {-3, -1, 1, 3}), {f32({4}, {0, 0.3F, 0.7F, 1})},
            1e-6),
      unary("HardSigmoid", "slope", {{"alpha", 0.5F}, {"beta", 0.25F}}, f32({3}, {-1, 0, 1}),
            {f32({3}, {0, 0.25F, 0.75F})}),
      unary("Shrink", "hard", {{"lambd", 1.5F}}, f32({5}, {-2, -1, 0, 1.5F, 2}),
            {f32({5}, {-2, 0, 0, 0, 2})}),
      unary("Shrink", "soft", {{"lambd", 1.5F}, {"bias", 1.5F}}, f32({4}, {-2, -1, 2, kNan}),
            {f32({4}, {-0.5F, 0, 0.5F, kNan})}),
      unary("Softplus", "values", {}, f32({5}, {0, 1, -1, -100, 100}),
            {f32({5}, {0.6931472F, 1.3132617F, 0.3132617F, 3.7835e-44F, 100})}, 1e-6),
      unary("Softplus", "infinite", {}, f32({3}, {kInf, -kInf, kNan}), {f32({3}, {kInf, 0, kNan})}),
      unary("Softsign", "values", {}, f32({3}, {-1, 0, 3}), {f32({3}, {-0.5F, 0, 0.75F})}),
      unary("Mish", "values", {}, f32({4}, {-1, 0, 1, 50}),
            {f32({4}, {-0.30340147F, 0, 0.8650984F, 50})}, 1e-6),
      unary("Gelu", "exact", {}, f32({4}, {-1, 0, 1, 9}),
            {f32({4}, {-0.15865525F, 0, 0.8413447F, 9})}, 1e-6),
      unary("Gelu", "by tanh", {{"approximate", text("tanh")}}, f32({3}, {-1, 0, 1}),
            {f32({3}, {-0.158808F, 0, 0.841192F})}, 1e-6),
      unary("Gelu", "by tanh, large", {{"approximate", text("tanh")}}, f32({2}, {1e20F, -1e20F}),
            {f32({2}, {1e20F, 0})}),
      unary("com.microsoft.Gelu", "exact", {}, f32({4}, {-1, 0, 1, 9}),
            {f32({4}, {-0.15865525F, 0, 0.8413447F, 9})}, 1e-6),
      unary("com.microsoft.FastGelu", "by tanh", {}, f32({3}, {-1, 0, 1}),
            {f32({3}, {-0.158808F, 0, 0.841192F})}, 1e-6),
      refused(unary("Gelu", "another approximation", {{"approximate", text("none ")}}, scalar(1)),
              "\"approximate\" is \"none \""),
  };
}

/// What holds for all of them.
std::vector<OpCase> shared_cases() {
  std::vector<OpCase> all;
  for (const char* op :
       {"Relu", "LeakyRelu", "Sigmoid", "Tanh", "HardSwish", "Elu", "Selu", "Celu",
        "ThresholdedRelu", "HardSigmoid", "Shrink", "Softplus", "Softsign", "Mish", "Gelu"}) {
    all.push_back(unary(op, "shared images", {}, noise({2, 5, 7, 3}, 3)));
    all.push_back(unary(op, "shared odd count", {}, noise({70003}, 4)));
    all.push_back(unary(op, "shared nothing", {}, f32({3, 0, 2}, {}), {f32({3, 0, 2}, {})}));
    all.push_back(unary(op, "shared zero in doubles", {}, elements<double>({}, {0.0})));
    all.push_back(
        unary(op, "shared half precision", {}, make_constant(cast(*noise({9}), DType::float16))));
    all.push_back(
        unary(op, "shared bfloat16", {}, make_constant(cast(*noise({9}), DType::bfloat16))));
    all.push_back(
        refused(unary(op, "booleans", {}, elements<bool>({1}, {true})), "elements of type bool"));
  }
  for (OpCase& item : all) item.opset = 20;
  return all;
}

}  // namespace

std::vector<OpCase> activation_cases() {
  std::vector<OpCase> all{
      unary("Relu", "signs", {}, f32({5}, {-1, -0.0F, 0, 2, -kInf}), {f32({5}, {0, 0, 0, 2, 0})}),
      unary("Relu", "infinite and not a number", {}, f32({2}, {kInf, kNan}),
            {f32({2}, {kInf, kNan})}),
      unary("Relu", "integers", {}, s32({3}, {-5, 0, 5}), {s32({3}, {0, 0, 5})}),
      unary("Tanh", "doubles", {}, elements<double>({1}, {0.54930614433405484}),
            {elements<double>({1}, {0.5})}, 1e-15),
      unary("Relu", "scalar", {}, scalar(-3), {scalar(0)}),
      unary("Relu", "nothing", {}, f32({2, 0}, {}), {f32({2, 0}, {})}),
      unary("Relu", "images", {}, noise({2, 5, 7, 3})),
      unary("Relu", "many", {}, noise({3, 70001})),
      unary("LeakyRelu", "slope", {{"alpha", 0.25F}}, f32({3}, {-4, 0, 4}), {f32({3}, {-1, 0, 4})}),
      unary("LeakyRelu", "default slope", {}, f32({2}, {-100, 100}), {f32({2}, {-1, 100})}, 1e-6),
      unary("LeakyRelu", "images", {{"alpha", 0.1F}}, noise({2, 5, 7, 3})),
      unary("Sigmoid", "values", {}, f32({4}, {0, std::log(3.0F), -kInf, kInf}),
            {f32({4}, {0.5F, 0.75F, 0, 1})}, 1e-6),
      unary("Sigmoid", "saturated without overflow", {}, f32({2}, {-100, 100}), {f32({2}, {0, 1})},
            1e-30),
      unary("Sigmoid", "images", {}, noise({2, 5, 7, 3})),
      unary("Tanh", "values", {}, f32({4}, {0, 0.54930614F, -kInf, 50}),
            {f32({4}, {0, 0.5F, -1, 1})}, 1e-6),
      unary("Tanh", "images", {}, noise({2, 5, 7, 3})),
      unary("HardSwish", "values", {}, f32({6}, {-4, -3, 0, 1, 3, 4}),
            {f32({6}, {0, 0, 0, 0.6666667F, 3, 4})}, 1e-6),
      unary("HardSwish", "images", {}, noise({2, 5, 7, 3})),
  };
  for (OpCase& item : parametric_cases()) all.push_back(std::move(item));
  for (OpCase& item : shared_cases()) all.push_back(std::move(item));
  return all;
}

}  // namespace qtool::test
