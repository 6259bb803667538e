// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "ops/op_case.h"

namespace qtool::test {

namespace {

OpCase softmax(std::string op, int64_t opset, std::string name, CaseAttributes attributes,
               Constant input, std::vector<Constant> expected = {}, std::string error = {}) {
  return {.name = std::move(name),
          .op = std::move(op),
          .opset = opset,
          .attributes = std::move(attributes),
          .inputs = {std::move(input)},
          .expected = std::move(expected),
          .near = 1e-6,
          .error = std::move(error)};
}

Attribute axis(int64_t value) { return value; }

}  // namespace

std::vector<OpCase> softmax_cases() {
  // exp gives 1, 2, 5, whose sum is 8.
  const Constant logs = f32({3}, {0, std::log(2.0F), std::log(5.0F)});
  const Constant grid = f32({1, 2, 2}, {0, 0, std::log(3.0F), std::log(7.0F)});
  std::vector<OpCase> all{
      softmax("Softmax", 13, "eighths", {}, logs, {f32({3}, {0.125F, 0.25F, 0.625F})}),
      softmax("Softmax", 13, "one axis", {{"axis", axis(1)}}, grid,
              {f32({1, 2, 2}, {0.25F, 0.125F, 0.75F, 0.875F})}),
      softmax("Softmax", 13, "negative axis", {{"axis", axis(-2)}}, grid,
              {f32({1, 2, 2}, {0.25F, 0.125F, 0.75F, 0.875F})}),
      softmax("Softmax", 13, "large logits", {}, f32({2}, {10000, 10000}),
              {f32({2}, {0.5F, 0.5F})}),
      softmax("Softmax", 11, "everything from axis 1 on", {}, grid,
              {f32({1, 2, 2}, {1.0F / 12, 1.0F / 12, 0.25F, 7.0F / 12})}),
      softmax("Softmax", 11, "axis 2", {{"axis", axis(2)}}, grid,
              {f32({1, 2, 2}, {0.5F, 0.5F, 0.3F, 0.7F})}),
      softmax("Softmax", 11, "axis 0", {{"axis", axis(0)}}, logs,
              {f32({3}, {0.125F, 0.25F, 0.625F})}),
      softmax("LogSoftmax", 13, "eighths", {}, logs,
              {f32({3}, {-2.0794415F, -1.3862944F, -0.4700036F})}),
      softmax("LogSoftmax", 13, "far apart", {}, f32({2}, {-500, 500}), {f32({2}, {-1000, 0})}),
      softmax("LogSoftmax", 11, "two rows", {}, f32({2, 2}, {0, 0, 0, std::log(3.0F)}),
              {f32({2, 2}, {-0.6931472F, -0.6931472F, -1.3862944F, -0.2876821F})}),
  };
  for (const char* op : {"Softmax", "LogSoftmax"}) {
    for (const int64_t opset : {11, 13}) {
      all.push_back(
          softmax(op, opset, "nothing", {{"axis", axis(1)}}, f32({0, 3}, {}), {f32({0, 3}, {})}));
      all.push_back(softmax(op, opset, "classes", {}, noise({7, 100})));
      all.push_back(
          softmax(op, opset, "pixels over channels", {{"axis", axis(1)}}, noise({2, 21, 5, 6})));
      all.push_back(softmax(op, opset, "middle axis", {{"axis", axis(-3)}}, noise({3, 4, 5, 6})));
      all.push_back(softmax(op, opset, "no such axis", {{"axis", axis(5)}}, noise({3, 4}), {},
                            "axis 5 is outside"));
      all.push_back(softmax(op, opset, "doubles", {{"axis", axis(0)}}, elements<double>({1}, {1.0}),
                            {elements<double>({1}, {std::string(op) == "Softmax" ? 1.0 : 0.0})}));
      all.push_back(softmax(op, opset, "integers", {{"axis", axis(0)}}, s32({1}, {1}), {},
                            "elements of type int32"));
    }
  }
  return all;
}

}  // namespace qtool::test
