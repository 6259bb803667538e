// SPDX-License-Identifier: Apache-2.0
// Arithmetic with broadcasting, reductions, normalizations, Einsum.
#include "train/gradient_case.h"

namespace qtool::test {

std::vector<GradientCase> arithmetic_gradients() {
  const std::vector<std::pair<Shape, Shape>> shapes{{{2, 3, 4, 5}, {2, 3, 4, 5}},
                                                    {{2, 3, 4, 5}, {1, 3, 1, 1}},
                                                    {{3, 1, 1}, {2, 3, 4, 5}},
                                                    {{2, 3}, {}},
                                                    {{4, 1}, {1, 6}},
                                                    {{2, 3, 4}, {2, 1, 4}}};
  std::vector<GradientCase> all;
  for (const char* op : {"Add", "Sub", "Mul", "Div"}) {
    for (const auto& [a, b] : shapes) {
      all.push_back({.name = to_string(a) + to_string(b),
                     .op = op,
                     .inputs = {smooth(a), positive(b)},
                     .wanted = {0, 1}});
    }
  }
  all.push_back({.name = "three",
                 .op = "Sum",
                 .inputs = {smooth({2, 3}), smooth({3}, 2), smooth({2, 1}, 3)},
                 .wanted = {0, 1, 2}});
  const Constant x = smooth({2, 3, 4, 5});
  for (const float exponent : {2.0F, 3.0F, 0.5F, -1.0F}) {
    all.push_back({.name = std::to_string(exponent),
                   .op = "Pow",
                   .inputs = {positive({2, 3, 4}), f32({}, {exponent})}});
  }
  for (const int64_t axis : {-1, 1}) {
    const Shape row = axis == -1 ? Shape{5} : Shape{4, 5};
    all.push_back({.name = "axis " + std::to_string(axis),
                   .op = "LayerNormalization",
                   .attributes = {{"axis", axis}, {"epsilon", 0.01F}},
                   .inputs = {smooth({3, 4, 5}), smooth(row, 2), smooth(row, 3)},
                   .wanted = {0, 1, 2}});
  }
  for (const char* op : {"ReduceSum", "ReduceMean"}) {
    const int64_t since = std::string(op) == "ReduceSum" ? 13 : 18;
    for (const int64_t keep : {0, 1}) {
      all.push_back({.name = "axes input",
                     .op = op,
                     .opset = since,
                     .attributes = {{"keepdims", keep}},
                     .inputs = {x, s64({2}, {-1, 1})}});
      all.push_back({.name = "axes attribute",
                     .op = op,
                     .opset = 12,
                     .attributes = {{"keepdims", keep}, {"axes", ints({2, 3})}},
                     .inputs = {x}});
      all.push_back({.name = "all axes",
                     .op = op,
                     .opset = since,
                     .attributes = {{"keepdims", keep}},
                     .inputs = {x}});
    }
  }
  for (const char* op : {"Max", "Min"}) {
    all.push_back({.name = "broadcast",
                   .op = op,
                   .inputs = {distinct({2, 3, 4}), distinct({3, 1}, 2), f32({}, {0.1F})},
                   .wanted = {0, 1, 2}});
  }
  all.push_back({.name = "",
                 .op = "Mean",
                 .inputs = {smooth({2, 3}), smooth({3}, 2), smooth({2, 1}, 3)},
                 .wanted = {0, 1, 2}});
  all.push_back({.name = "a slope a channel",
                 .op = "PRelu",
                 .inputs = {x, smooth({3, 1, 1}, 2)},
                 .wanted = {0, 1}});
  for (const char* op : {"ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceSumSquare",
                         "ReduceProd", "ReduceLogSum", "ReduceLogSumExp"}) {
    const bool extreme = std::string(op) == "ReduceMax" || std::string(op) == "ReduceMin";
    const Constant from = extreme ? distinct({2, 3, 4}) : positive({2, 3, 4});
    for (const int64_t keep : {0, 1}) {
      all.push_back({.name = "keepdims " + std::to_string(keep),
                     .op = op,
                     .opset = 18,
                     .attributes = {{"keepdims", keep}},
                     .inputs = {from, s64({2}, {0, -1})}});
    }
  }
  all.push_back({.name = "",
                 .op = "InstanceNormalization",
                 .attributes = {{"epsilon", 0.01F}},
                 .inputs = {x, smooth({3}, 2), smooth({3}, 3)},
                 .wanted = {0, 1, 2}});
  all.push_back({.name = "",
                 .op = "LRN",
                 .attributes = {{"size", int64_t{3}}, {"alpha", 0.4F}, {"beta", 0.6F}},
                 .inputs = {smooth({2, 5, 2, 2})}});
  all.push_back({.name = "an even window",
                 .op = "LRN",
                 .attributes = {{"size", int64_t{4}}, {"alpha", 0.4F}, {"bias", 2.0F}},
                 .inputs = {smooth({1, 6, 3})}});
  const auto einsum = [&](const char* equation, std::vector<Constant> inputs) {
    std::vector<int> wanted;
    for (size_t i = 0; i < inputs.size(); ++i) wanted.push_back(static_cast<int>(i));
    all.push_back({.name = equation,
                   .op = "Einsum",
                   .attributes = {{"equation", text(equation)}},
                   .inputs = std::move(inputs),
                   .wanted = std::move(wanted)});
  };
  einsum("bhqd,bhkd->bhqk", {smooth({2, 2, 3, 4}), smooth({2, 2, 5, 4}, 2)});
  einsum("ij,jk,kl->il", {smooth({2, 3}), smooth({3, 4}, 2), smooth({4, 2}, 3)});
  einsum("...ij,jk", {smooth({2, 3, 4}), smooth({4, 2}, 2)});
  einsum("...i,...i->...", {smooth({2, 3, 4}), smooth({1, 4}, 2)});
  for (const int64_t opset : {18, 21}) {
    const Shape numbers = opset == 18 ? Shape{2} : Shape{4};
    all.push_back({.name = "opset " + std::to_string(opset),
                   .op = "GroupNormalization",
                   .opset = opset,
                   .attributes = {{"epsilon", 0.01F}, {"num_groups", int64_t{2}}},
                   .inputs = {smooth({2, 4, 3, 2}), smooth(numbers, 2), smooth(numbers, 3)},
                   .wanted = {0, 1, 2}});
  }
  return all;
}

}  // namespace qtool::test
