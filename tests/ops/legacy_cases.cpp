// SPDX-License-Identifier: Apache-2.0
// Forms of opset 6 and before.
#include "ops/legacy_cases.h"

namespace qtool::test {

namespace {

OpCase old(std::string op, std::string name, CaseAttributes attributes,
           std::vector<Constant> inputs, std::vector<Constant> expected = {}) {
  return {.name = std::move(name),
          .op = std::move(op),
          .opset = 6,
          .attributes = std::move(attributes),
          .inputs = std::move(inputs),
          .constants = {1, 2, 3, 4},
          .expected = std::move(expected),
          .near = 1e-6};
}

OpCase refused(OpCase item, std::string error) {
  item.error = std::move(error);
  return item;
}

}  // namespace

std::vector<OpCase> legacy_cases() {
  const Attribute on = int64_t{1};
  const Constant x = f32({1, 2, 2}, {8, 4, 2, 16});
  const Constant two = f32({2}, {1, 2});
  const Constant gamma = f32({2}, {2, 3});
  const Constant mean = f32({2}, {1, 2});
  const CaseAttributes by_channel{{"broadcast", on}, {"axis", int64_t{1}}};
  const CaseAttributes at_end{{"broadcast", on}};
  OpCase statistics = refused(old("BatchNormalization", "statistics asked for", {{"is_test", on}},
                                  {x, gamma, gamma, mean, gamma}),
                              "training mode");
  statistics.outputs = 5;
  return {
      statistics,
      old("Add", "one shape", {}, {two, gamma}, {f32({2}, {3, 5})}),
      old("Add", "by channel", by_channel, {x, two}, {f32({1, 2, 2}, {9, 5, 4, 18})}),
      old("Add", "at the end", at_end, {x, two}, {f32({1, 2, 2}, {9, 6, 3, 18})}),
      old("Add", "a number", at_end, {x, scalar(1)}, {f32({1, 2, 2}, {9, 5, 3, 17})}),
      old("Add", "in the middle", {{"broadcast", on}, {"axis", int64_t{1}}},
          {noise({2, 3, 4, 5}), noise({3, 4}, 2)}),
      old("Sub", "by channel", by_channel, {x, two}, {f32({1, 2, 2}, {7, 3, 0, 14})}),
      old("Mul", "by channel", by_channel, {x, two}, {f32({1, 2, 2}, {8, 4, 4, 32})}),
      old("Mul", "images by channel", by_channel, {noise({2, 5, 7, 3}), noise({5}, 2)}),
      old("Div", "by channel", by_channel, {x, two}, {f32({1, 2, 2}, {8, 4, 1, 8})}),
      old("Pow", "by channel", by_channel, {x, two}, {f32({1, 2, 2}, {8, 4, 4, 256})}),
      old("PRelu", "a slope a channel", {}, {f32({1, 2, 2}, {-8, 4, -2, 16}), two},
          {f32({1, 2, 2}, {-8, 4, -4, 16})}),
      old("PRelu", "one slope", {}, {f32({1, 2, 2}, {-8, 4, -2, 16}), f32({1}, {0.5F})},
          {f32({1, 2, 2}, {-4, 4, -1, 16})}),
      old("Gemm", "a row added", at_end,
          {f32({1, 2}, {1, 2}), f32({2, 2}, {1, 2, 3, 4}), f32({2}, {10, 20})},
          {f32({1, 2}, {17, 30})}),
      old("BatchNormalization", "inference", {{"is_test", on}, {"epsilon", 0.0F}},
          {f32({1, 2, 2}, {1, 2, 3, 4}), gamma, f32({2}, {1, -1}), mean, f32({2}, {4, 9})},
          {f32({1, 2, 2}, {1, 2, 0, 1})}),
      refused(old("BatchNormalization", "training", {}, {x, gamma, gamma, mean, gamma}),
              "training mode"),
      refused(old("Add", "unlike shapes", {}, {x, two}), "`broadcast` is not set"),
      refused(old("Add", "no such axis", {{"broadcast", on}, {"axis", int64_t{2}}},
                  {x, f32({2, 2}, {1, 2, 3, 4})}),
              "2 dimensions from axis 2 on do not fit into 3"),
  };
}

}  // namespace qtool::test
