// SPDX-License-Identifier: Apache-2.0
#include "ops/op_case.h"

namespace qtool::test {

namespace {

OpCase norm(std::string op, std::string name, CaseAttributes attributes,
            std::vector<Constant> inputs, std::vector<Constant> expected = {},
            std::string error = {}) {
  return {.name = std::move(name),
          .op = std::move(op),
          .opset = 17,
          .attributes = std::move(attributes),
          .inputs = std::move(inputs),
          .constants = {1, 2},
          .expected = std::move(expected),
          .near = 1e-6,
          .error = std::move(error)};
}

OpCase with(OpCase item, int64_t opset, int outputs = 1) {
  item.opset = opset;
  item.outputs = outputs;
  return item;
}

const Attribute kNone = 0.0F;

std::vector<OpCase> layer_cases() {
  // Rows 1, 3 (mean 2, deviation 1) and 2, 10 (mean 6, deviation 4) become -1, 1.
  const Constant x = f32({2, 2}, {1, 3, 2, 10});
  const Constant one = f32({2}, {1, 1});
  const char* op = "LayerNormalization";
  return {
      norm(op, "rows", {{"epsilon", kNone}}, {x, f32({2}, {2, 3}), f32({2}, {10, 20})},
           {f32({2, 2}, {8, 23, 8, 23})}),
      norm(op, "no bias", {{"epsilon", kNone}}, {x, f32({2}, {2, 3})},
           {f32({2, 2}, {-2, 3, -2, 3})}),
      with(norm(op, "statistics", {{"epsilon", kNone}}, {x, one, one},
                {f32({2, 2}, {0, 2, 0, 2}), f32({2, 1}, {2, 6}), f32({2, 1}, {1, 0.25F})}),
           17, 3),
      norm(op, "epsilon", {{"epsilon", 3.0F}}, {f32({1, 2}, {1, 3}), one},
           {f32({1, 2}, {-0.5F, 0.5F})}),
      // 1, 3, 5, 7: mean 4, variance 5.
      norm(op, "both dimensions", {{"axis", int64_t{0}}, {"epsilon", 4.0F}},
           {f32({2, 2}, {1, 3, 5, 7}), f32({2, 2}, {1, 2, 3, 4})},
           {f32({2, 2}, {-1, -2.0F / 3, 1, 4})}),
      norm(op, "scale of one number", {{"epsilon", kNone}}, {x, f32({1}, {2}), f32({}, {1})},
           {f32({2, 2}, {-1, 3, -1, 3})}),
      norm(op, "scale of a row for a matrix", {{"axis", int64_t{1}}},
           {noise({3, 4, 5}), noise({5}, 2), noise({4, 1}, 3)}),
      norm(op, "constant rows", {}, {f32({1, 2}, {5, 5}), one, f32({2}, {1, 2})},
           {f32({1, 2}, {1, 2})}),
      norm(op, "far from zero", {{"epsilon", kNone}}, {f32({1, 2}, {4095, 4097}), one},
           {f32({1, 2}, {-1, 1})}),
      norm(op, "no rows", {}, {f32({0, 2}, {}), one}, {f32({0, 2}, {})}),
      norm(op, "tokens", {}, {noise({2, 7, 65}), noise({65}, 2), noise({65}, 3)}),
      norm(op, "images", {{"axis", int64_t{1}}},
           {noise({2, 3, 5, 4}), noise({3, 5, 4}, 2), noise({3, 5, 4}, 3)}),
      norm(op, "halves", {{"epsilon", kNone}},
           {elements<Float16>({1, 2}, {Float16::from(1), Float16::from(3)}),
            elements<Float16>({2}, {Float16::from(1), Float16::from(2)})},
           {elements<Float16>({1, 2}, {Float16::from(-1), Float16::from(2)})}),
      norm(op, "doubles", {{"epsilon", kNone}},
           {elements<double>({1, 2}, {1, 3}), elements<double>({2}, {1, 2})},
           {elements<double>({1, 2}, {-1, 2})}),
      norm(op, "another scale", {}, {x, f32({3}, {1, 1, 1})}, {}, "does not fit"),
      norm(op, "scale of higher rank", {}, {x, f32({1, 2}, {1, 1})}, {}, "does not fit"),
      norm(op, "axis", {{"axis", int64_t{2}}}, {x, one}, {}, "axis 2 is outside"),
      norm(op, "negative epsilon", {{"epsilon", -1.0F}}, {x, one}, {}, "epsilon is -1"),
      norm(op, "integers", {}, {s32({1, 2}, {1, 2}), s32({2}, {1, 1})}, {}, "elements of type"),
  };
}

std::vector<OpCase> instance_cases() {
  const Constant x = f32({1, 2, 2}, {1, 3, 2, 10});
  const Constant two = f32({2}, {2, 3});
  const Constant shift = f32({2}, {10, 20});
  const char* op = "InstanceNormalization";
  return {
      norm(op, "two channels", {{"epsilon", kNone}}, {x, two, shift},
           {f32({1, 2, 2}, {8, 12, 17, 23})}),
      norm(op, "two images", {{"epsilon", kNone}},
           {f32({2, 1, 2}, {1, 3, 2, 10}), f32({1}, {1}), f32({1}, {0})},
           {f32({2, 1, 2}, {-1, 1, -1, 1})}),
      norm(op, "epsilon", {{"epsilon", 3.0F}},
           {f32({1, 1, 2}, {1, 3}), f32({1}, {1}), f32({1}, {0})}, {f32({1, 1, 2}, {-0.5F, 0.5F})}),
      norm(op, "one position", {}, {f32({1, 2, 1}, {7, 8}), two, shift},
           {f32({1, 2, 1}, {10, 20})}),
      norm(op, "images", {}, {noise({2, 5, 7, 9}), noise({5}, 2), noise({5}, 3)}),
      norm(op, "volumes", {}, {noise({1, 17, 3, 4, 5}), noise({17}, 2), noise({17}, 3)}),
      norm(op, "no images", {}, {f32({0, 2, 2}, {}), two, shift}, {f32({0, 2, 2}, {})}),
      norm(op, "three scales", {}, {x, ramp({3}), shift}, {}, "expected a vector of 2"),
      norm(op, "matrix of biases", {}, {x, two, ramp({1, 2})}, {}, "expected a vector of 2"),
      norm(op, "matrix", {}, {ramp({2, 2}), two, shift}, {}, "no spatial dimensions"),
  };
}

std::vector<OpCase> group_cases() {
  // Channels 1 and 3 make one group, 2 and 10 the other.
  const Constant x = f32({1, 4, 1}, {1, 3, 2, 10});
  const Constant two = f32({2}, {2, 3});
  const Constant shift = f32({2}, {10, 20});
  const char* op = "GroupNormalization";
  const CaseAttributes groups = {{"num_groups", int64_t{2}}, {"epsilon", kNone}};
  const CaseAttributes default_epsilon = {{"num_groups", int64_t{3}}};
  return {
      with(norm(op, "a scale a group", groups, {x, two, shift}, {f32({1, 4, 1}, {8, 12, 17, 23})}),
           18),
      with(norm(op, "images, a scale a group", default_epsilon,
                {noise({2, 6, 5, 3}), noise({3}, 2), noise({3}, 3)}),
           20),
      with(norm(op, "a scale a channel", groups,
                {x, f32({4}, {1, 2, 3, 4}), f32({4}, {10, 20, 30, 40})},
                {f32({1, 4, 1}, {9, 22, 27, 44})}),
           21),
      with(norm(op, "images, a scale a channel", default_epsilon,
                {noise({2, 6, 5, 3}), noise({6}, 2), noise({6}, 3)}),
           21),
      with(norm(op, "group scales in opset 21", groups, {x, two, shift}, {},
                "expected a vector of 4"),
           21),
      with(norm(op, "channel scales in opset 18", groups, {x, ramp({4}), shift}, {},
                "expected a vector of 2"),
           18),
      with(norm(op, "groups do not divide", default_epsilon, {x, two, shift}, {},
                "not divisible by 3 groups"),
           18),
      with(norm(op, "no groups", {}, {x, two, shift}, {}, "num_groups is 0"), 21),
  };
}

}  // namespace

std::vector<OpCase> layer_norm_cases() {
  std::vector<OpCase> all = layer_cases();
  for (OpCase& item : instance_cases()) all.push_back(std::move(item));
  for (OpCase& item : group_cases()) all.push_back(std::move(item));
  return all;
}

}  // namespace qtool::test
