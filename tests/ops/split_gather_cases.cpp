// SPDX-License-Identifier: Apache-2.0
#include <limits>

#include "ops/data_movement_cases.h"

namespace qtool::test {

namespace {

OpCase make(std::string op, std::string name, CaseAttributes attributes,
            std::vector<Constant> inputs, std::vector<Constant> expected = {},
            std::string error = {}) {
  return {.name = std::move(name),
          .op = std::move(op),
          .opset = 18,
          .attributes = std::move(attributes),
          .inputs = std::move(inputs),
          .constants = {1},
          .expected = std::move(expected),
          .error = std::move(error)};
}

OpCase split(std::string name, CaseAttributes attributes, std::vector<Constant> inputs, int outputs,
             std::vector<Constant> expected = {}, std::string error = {}) {
  OpCase item = make("Split", std::move(name), std::move(attributes), std::move(inputs),
                     std::move(expected), std::move(error));
  item.outputs = outputs;
  return item;
}

OpCase old(int64_t opset, OpCase item) {
  item.opset = opset;
  return item;
}

std::vector<OpCase> split_cases() {
  const Constant five = f32({5}, {1, 2, 3, 4, 5});
  const Constant matrix = f32({2, 3}, {1, 2, 3, 4, 5, 6});
  const Attribute one = int64_t{1};
  const Constant left = f32({2, 1}, {1, 4});
  const Constant right = f32({2, 2}, {2, 3, 5, 6});
  return {
      split("lengths", {{"axis", one}}, {matrix, list({1, 2})}, 2, {left, right}),
      split("last axis", {{"axis", int64_t{-1}}}, {matrix, list({1, 2})}, 2, {left, right}),
      split("rows", {}, {matrix}, 2, {f32({1, 3}, {1, 2, 3}), f32({1, 3}, {4, 5, 6})}),
      split("shorter last part", {{"num_outputs", int64_t{2}}}, {five}, 2,
            {f32({3}, {1, 2, 3}), f32({2}, {4, 5})}),
      split("an empty part", {}, {five, list({5, 0})}, 2, {five, f32({0}, {})}),
      split("nothing", {{"axis", one}}, {f32({0, 4}, {}), list({1, 3})}, 2,
            {f32({0, 1}, {}), f32({0, 3}, {})}),
      split("one part", {}, {five}, 1, {five}),
      split("integers", {}, {s64({2}, {7, -8})}, 2, {s64({1}, {7}), s64({1}, {-8})}),
      split("channels", {{"axis", one}}, {noise({2, 8, 3, 5}), list({3, 4, 1})}, 3),
      split("channels of codes", {{"axis", one}}, {noise_u8({2, 8, 3, 5})}, 4),
      split("columns of images", {{"axis", int64_t{3}}}, {noise({2, 3, 4, 5}), list({2, 3})}, 2),
      old(11,
          split("attribute", {{"axis", one}, {"split", ints({1, 2})}}, {matrix}, 2, {left, right})),
      old(1, split("optional input", {{"axis", one}}, {matrix, list({1, 2})}, 2, {left, right})),
      split("uneven", {}, {five}, 2, {}, "an extent of 5 cannot be split into 2 parts"),
      split("too many parts", {{"num_outputs", int64_t{4}}}, {five}, 4, {}, "cannot be split"),
      split("another number of outputs", {{"num_outputs", int64_t{3}}}, {five}, 2, {},
            "num_outputs is 3"),
      split("lengths too long", {}, {five, list({4, 4})}, 2, {}, "do not make up the extent 5"),
      split("negative length", {}, {five, list({6, -1})}, 2, {}, "a part of length -1"),
      split("lengths that overflow", {}, {five, list({std::numeric_limits<int64_t>::max(), 1, 1})},
            3, {}, "a part of length"),
      split("more lengths than outputs", {}, {five, list({2, 2, 1})}, 2, {}, "3 lengths for 2"),
      split("scalar", {}, {scalar(1)}, 1, {}, "axis 0 is outside"),
  };
}

std::vector<OpCase> gather_cases() {
  const Constant matrix = f32({3, 2}, {1, 2, 3, 4, 5, 6});
  const Attribute one = int64_t{1};
  return {
      make("Gather", "rows", {}, {matrix, list({2, 0})}, {f32({2, 2}, {5, 6, 1, 2})}),
      make("Gather", "columns", {{"axis", one}}, {matrix, list({1, -2, 1})},
           {f32({3, 3}, {2, 1, 2, 4, 3, 4, 6, 5, 6})}),
      make("Gather", "one row", {}, {matrix, s64({}, {-1})}, {f32({2}, {5, 6})}),
      make("Gather", "one column", {{"axis", int64_t{-1}}}, {matrix, s64({}, {0})},
           {f32({3}, {1, 3, 5})}),
      make("Gather", "a table of indices", {}, {f32({3}, {7, 8, 9}), s32({2, 2}, {0, 2, -1, 1})},
           {f32({2, 2}, {7, 9, 9, 8})}),
      make("Gather", "one element", {}, {f32({1}, {7}), s64({}, {0})}, {scalar(7)}),
      make("Gather", "nothing", {}, {matrix, s64({0}, {})}, {f32({0, 2}, {})}),
      make("Gather", "rows of nothing", {}, {f32({3, 0}, {}), list({1, 1})}, {f32({2, 0}, {})}),
      make("Gather", "extents", {}, {s64({4}, {1, 3, 224, 200}), list({3, 2})},
           {s64({2}, {200, 224})}),
      make("Gather", "bytes", {{"axis", one}}, {u8({1, 3}, {1, 2, 3}), list({2})},
           {u8({1, 1}, {3})}),
      make("Gather", "booleans", {}, {flags({true, false}), list({1, 0})}, {flags({false, true})}),
      make("Gather", "channels of images", {{"axis", one}},
           {noise({2, 3, 4, 5}), list({2, 1, 0, 2})}),
      make("Gather", "embedding", {},
           {noise({50, 24}), s64({2, 7}, {0, 49, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, -50})}),
      old(9, make("Gather", "old", {}, {matrix, list({1})}, {f32({1, 2}, {3, 4})})),
      make("Gather", "beyond", {}, {matrix, list({0, 3})}, {},
           "the index 3 is outside of an axis of extent 3"),
      make("Gather", "before", {{"axis", one}}, {matrix, list({-3})}, {}, "the index -3"),
      make("Gather", "far beyond", {}, {matrix, list({std::numeric_limits<int64_t>::min()})}, {},
           "is outside of an axis"),
      make("Gather", "from nothing", {}, {f32({0, 2}, {}), list({0})}, {}, "the index 0"),
      make("Gather", "indices of floats", {}, {matrix, f32({1}, {0})}, {},
           "indices are int32 or int64"),
      make("Gather", "of a scalar", {}, {scalar(1), list({0})}, {}, "axis 0 is outside"),

      make("GatherElements", "columns", {{"axis", one}},
           {matrix, s64({2, 3}, {0, 1, -1, -2, 0, 0})}, {f32({2, 3}, {1, 2, 2, 3, 3, 3})}),
      make("GatherElements", "rows", {}, {matrix, s64({1, 2}, {2, -2})}, {f32({1, 2}, {5, 4})}),
      make("GatherElements", "nothing", {}, {matrix, s64({0, 2}, {})}, {f32({0, 2}, {})}),
      make("GatherElements", "images", {{"axis", int64_t{-2}}},
           {noise({1, 2, 3, 2}), s64({1, 2, 1, 2}, {2, 0, 1, 1})}),
      make("GatherElements", "beyond", {}, {matrix, s64({1, 2}, {0, 3})}, {}, "the index 3"),
      make("GatherElements", "too wide", {}, {matrix, s64({1, 3}, {0, 0, 0})}, {},
           "indices of extent 3 along axis 1"),
      make("GatherElements", "ranks", {}, {matrix, list({0})}, {}, "rank 2 with indices of rank 1"),

      make("GatherND", "elements", {}, {matrix, s64({2, 2}, {0, 1, -1, 0})}, {f32({2}, {2, 5})}),
      make("GatherND", "rows", {}, {matrix, s64({2, 1}, {2, 0})}, {f32({2, 2}, {5, 6, 1, 2})}),
      make("GatherND", "one", {}, {matrix, s64({2}, {1, 1})}, {scalar(4)}),
      make("GatherND", "batches", {{"batch_dims", one}}, {matrix, s64({3, 1}, {1, 0, -1})},
           {f32({3}, {2, 3, 6})}),
      make("GatherND", "several in a batch", {{"batch_dims", one}},
           {ramp({2, 2, 3}), s64({2, 2, 1}, {1, 1, 0, 1})},
           {f32({2, 2, 3}, {3, 4, 5, 3, 4, 5, 6, 7, 8, 9, 10, 11})}),
      make("GatherND", "nothing", {}, {matrix, s64({0, 1}, {})}, {f32({0, 2}, {})}),
      make("GatherND", "beyond", {}, {matrix, s64({1, 2}, {0, 2})}, {}, "the index 2"),
      make("GatherND", "tuples too long", {}, {matrix, s64({1, 3}, {0, 0, 0})}, {},
           "index tuples of length 3 for 2 axes"),
      make("GatherND", "batches differ", {{"batch_dims", one}}, {matrix, s64({2, 1}, {0, 0})}, {},
           "batches of 3 and 2"),
      make("GatherND", "too many batch axes", {{"batch_dims", int64_t{2}}},
           {matrix, s64({3, 2}, {0, 0, 0, 0, 0, 0})}, {}, "batch_dims of 2"),
  };
}

}  // namespace

std::vector<OpCase> split_gather_cases() {
  std::vector<OpCase> all = split_cases();
  for (OpCase& item : gather_cases()) all.push_back(std::move(item));
  return all;
}

}  // namespace qtool::test
