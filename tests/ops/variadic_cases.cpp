// SPDX-License-Identifier: Apache-2.0
#include <limits>

#include "ops/op_case.h"

namespace qtool::test {

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

OpCase of(std::string op, std::string name, std::vector<Constant> inputs,
          std::vector<Constant> expected = {}, std::string error = {}) {
  return {.name = std::move(name),
          .op = std::move(op),
          .inputs = std::move(inputs),
          .constants = {1},
          .expected = std::move(expected),
          .near = 1e-6,
          .error = std::move(error)};
}

}  // namespace

std::vector<OpCase> variadic_cases() {
  const Constant a = f32({3}, {1, 5, kNan});
  const Constant b = f32({3}, {4, 2, 0});
  std::vector<OpCase> all{
      of("Max", "two", {a, b}, {f32({3}, {4, 5, kNan})}),
      of("Max", "not a number in the second", {b, a}, {f32({3}, {4, 5, kNan})}),
      of("Min", "two", {a, b}, {f32({3}, {1, 2, kNan})}),
      of("Min", "not a number in the second", {b, a}, {f32({3}, {1, 2, kNan})}),
      of("Sum", "two", {a, b}, {f32({3}, {5, 7, kNan})}),
      of("Mean", "two", {a, b}, {f32({3}, {2.5F, 3.5F, kNan})}),
      of("Max", "three grow", {f32({2, 1}, {1, 4}), f32({3}, {0, 2, 5}), scalar(3)},
         {f32({2, 3}, {3, 3, 5, 4, 4, 5})}),
      of("Min", "three grow", {f32({2, 1}, {1, 4}), f32({3}, {0, 2, 5}), scalar(3)},
         {f32({2, 3}, {0, 1, 1, 0, 2, 3})}),
      of("Sum", "three grow", {f32({2, 1}, {1, 4}), f32({3}, {0, 2, 5}), scalar(3)},
         {f32({2, 3}, {4, 6, 9, 7, 9, 12})}),
      of("Mean", "four", {scalar(1), scalar(2), scalar(3), scalar(6)}, {scalar(3)}),
      of("Max", "64-bit integers", {s64({2}, {INT64_MAX, 3}), s64({1}, {INT64_MAX - 1})},
         {s64({2}, {INT64_MAX, INT64_MAX - 1})}),
      of("Min", "unsigned", {u8({2}, {255, 3}), u8({2}, {7, 128})}, {u8({2}, {7, 3})}),
      of("Max", "half precision",
         {elements<Float16>({1}, {Float16::from(-1)}), elements<Float16>({1}, {Float16::from(2)})},
         {elements<Float16>({1}, {Float16::from(2)})}),
      of("Sum", "integers", {s32({1}, {1}), s32({1}, {1})}, {}, "elements of type int32"),
  };
  for (const char* op : {"Max", "Min", "Sum", "Mean"}) {
    const Constant x = noise({2, 3, 4, 5});
    all.push_back(of(op, "one", {x}, {x}));
    all.push_back(of(op, "doubles", {elements<double>({1}, {3}), elements<double>({1}, {3})}));
    all.push_back(of(op, "images", {x, noise({2, 3, 4, 5}, 2)}));
    all.push_back(of(op, "images and channels", {f32({3, 1, 1}, {-1, 0, 1}), x, noise({5}, 3)}));
    all.push_back(of(op, "rank 3 first", {noise({3, 4, 5}, 2), x, noise({2, 3, 4, 5}, 7)}));
    all.push_back(of(op, "one twice", {x, x, x, x}));
    all.push_back(of(op, "nothing", {f32({2, 0}, {}), f32({2, 1}, {1, 2})}, {f32({2, 0}, {})}));
    all.push_back(of(op, "types", {scalar(1), scalar(1), s32({}, {1})}, {}, "different types"));
    all.push_back(of(op, "shapes", {scalar(1), f32({2}, {1, 1}), f32({3}, {1, 1, 1})}, {},
                     "do not broadcast"));
  }
  return all;
}

}  // namespace qtool::test
