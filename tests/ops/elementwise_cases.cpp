// SPDX-License-Identifier: Apache-2.0
#include <limits>

#include "ops/op_case.h"

namespace qtool::test {

namespace {

OpCase binary(std::string op, std::string name, Constant a, Constant b,
              std::vector<Constant> expected = {}, std::string error = {}) {
  return {.name = std::move(name),
          .op = std::move(op),
          .inputs = {std::move(a), std::move(b)},
          .constants = {1},
          .expected = std::move(expected),
          .error = std::move(error)};
}

}  // namespace

std::vector<OpCase> elementwise_cases() {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const Constant x = ramp({2, 3});
  std::vector<OpCase> all{
      binary("Add", "one shape", x, f32({2, 3}, {10, 20, 30, 40, 50, 60}),
             {f32({2, 3}, {10, 21, 32, 43, 54, 65})}),
      binary("Add", "row", x, f32({3}, {10, 20, 30}), {f32({2, 3}, {10, 21, 32, 13, 24, 35})}),
      binary("Add", "column", x, f32({2, 1}, {10, 20}), {f32({2, 3}, {10, 11, 12, 23, 24, 25})}),
      binary("Add", "scalar", x, scalar(1), {f32({2, 3}, {1, 2, 3, 4, 5, 6})}),
      binary("Add", "scalar first", scalar(1), x, {f32({2, 3}, {1, 2, 3, 4, 5, 6})}),
      binary("Add", "two scalars", scalar(1), scalar(2), {scalar(3)}),
      binary("Add", "both grow", f32({2, 1}, {1, 2}), f32({1, 3}, {10, 20, 30}),
             {f32({2, 3}, {11, 21, 31, 12, 22, 32})}),
      binary("Add", "nothing", f32({0, 3}, {}), f32({3}, {1, 2, 3}), {f32({0, 3}, {})}),
      binary("Add", "nothing grown", f32({1, 3}, {1, 2, 3}), f32({0, 1}, {}), {f32({0, 3}, {})}),
      binary("Add", "bias a channel", noise({2, 3, 4, 5}), f32({3, 1, 1}, {10, 20, 30})),
      binary("Add", "bias a column", noise({2, 3, 4, 5}), noise({5}, 2)),
      binary("Add", "images", noise({2, 3, 4, 5}), noise({2, 3, 4, 5}, 2)),
      binary("Add", "one image for all", noise({3, 5, 2, 2}), noise({1, 5, 2, 2}, 2)),
      binary("Add", "both grow, rank 4", noise({1, 3, 4, 1}), noise({2, 1, 1, 5}, 2)),
      binary("Add", "rank 3 against rank 4", noise({3, 2, 5}), noise({2, 3, 2, 5}, 2)),
      binary("Add", "many", noise({70001}), noise({70001}, 2)),
      binary("Add", "64-bit integers", s64({2}, {(int64_t{1} << 60) + 1, -1}), s64({}, {1}),
             {s64({2}, {(int64_t{1} << 60) + 2, 0})}),
      binary("Add", "signed bytes wrap", s8({1}, {127}), s8({1}, {1}), {s8({1}, {-128})}),
      binary("Add", "doubles", elements<double>({1}, {1e-300}), elements<double>({1}, {1e-300}),
             {elements<double>({1}, {2e-300})}),
      binary("Sub", "row", x, f32({3}, {1, 2, 3}), {f32({2, 3}, {-1, -1, -1, 2, 2, 2})}),
      binary("Sub", "order matters", scalar(1), f32({2}, {3, 5}), {f32({2}, {-2, -4})}),
      binary("Sub", "unsigned bytes wrap", u8({1}, {0}), u8({1}, {1}), {u8({1}, {255})}),
      binary("Sub", "images", noise({2, 3, 4, 5}), noise({3, 1, 5}, 2)),
      binary("Mul", "column", x, f32({2, 1}, {2, 10}), {f32({2, 3}, {0, 2, 4, 30, 40, 50})}),
      binary("Mul", "32-bit integers wrap", s32({2}, {1 << 30, -3}), s32({2}, {4, 5}),
             {s32({2}, {0, -15})}),
      binary("Mul", "16-bit codes wrap", elements<uint16_t>({1}, {65535}),
             elements<uint16_t>({1}, {65535}), {elements<uint16_t>({1}, {1})}),
      binary("Mul", "gate a channel", noise({2, 3, 4, 5}), noise({2, 3, 1, 1}, 2)),
      binary("Div", "values", f32({4}, {1, 0, -1, 7}), f32({4}, {2, 3, 0, -2}),
             {f32({4}, {0.5F, 0, -kInf, -3.5F})}),
      binary("Div", "integers truncate", s32({4}, {7, -7, 7, -7}), s32({4}, {2, 2, -2, -2}),
             {s32({4}, {3, -3, -3, 3})}),
      binary("Div", "the lowest integer by -1 wraps",
             s32({1}, {std::numeric_limits<int32_t>::min()}), s32({1}, {-1}),
             {s32({1}, {std::numeric_limits<int32_t>::min()})}),
      binary("Div", "images", noise({2, 3, 4, 5}), f32({3, 1, 1}, {3, 7, -0.5F})),
      binary("Div", "integer by zero", s32({1}, {1}), s32({1}, {0}), {}, "division by zero"),
  };
  for (const char* op : {"Add", "Sub", "Mul", "Div"}) {
    all.push_back(
        binary(op, "shapes", x, f32({2}, {1, 2}), {}, "shapes do not broadcast: 3 against 2"));
    all.push_back(binary(op, "types", f32({1}, {1}), s64({1}, {1}), {}, "different types"));
    all.push_back(binary(op, "booleans", elements<bool>({1}, {true}), elements<bool>({1}, {true}),
                         {}, "elements of type bool"));
  }
  return all;
}

}  // namespace qtool::test
