// SPDX-License-Identifier: Apache-2.0
// Expand, Tile, DepthToSpace, SpaceToDepth.
#include <limits>

#include "ops/data_movement_cases.h"

namespace qtool::test {

namespace {

OpCase make(std::string op, std::string name, CaseAttributes attributes,
            std::vector<Constant> inputs, std::vector<Constant> expected = {},
            std::string error = {}) {
  return {.name = std::move(name),
          .op = std::move(op),
          .opset = 13,
          .attributes = std::move(attributes),
          .inputs = std::move(inputs),
          .constants = {1},
          .expected = std::move(expected),
          .error = std::move(error)};
}

std::vector<OpCase> repeat_cases() {
  const Constant row = f32({1, 2}, {1, 2});
  const Constant column = f32({2, 1}, {1, 2});
  const int64_t huge = std::numeric_limits<int64_t>::max();
  return {
      make("Expand", "rows", {}, {row, list({2, 1})}, {f32({2, 2}, {1, 2, 1, 2})}),
      make("Expand", "columns", {}, {column, list({1, 3})}, {f32({2, 3}, {1, 1, 1, 2, 2, 2})}),
      make("Expand", "both ways", {}, {column, list({2, 1, 2})},
           {f32({2, 2, 2}, {1, 1, 2, 2, 1, 1, 2, 2})}),
      make("Expand", "scalar", {}, {scalar(7), list({3})}, {f32({3}, {7, 7, 7})}),
      make("Expand", "scalar to scalar", {}, {scalar(7), list({})}, {scalar(7)}),
      make("Expand", "to nothing", {}, {row, list({0, 2})}, {f32({0, 2}, {})}),
      make("Expand", "shorter shape", {}, {column, list({1})}, {column}),
      make("Expand", "booleans", {}, {flags({true}), list({2})}, {flags({true, true})}),
      make("Expand", "channels", {}, {noise({1, 6, 1, 1}), list({2, 6, 3, 5})}),
      make("Expand", "images", {}, {noise({2, 1, 3, 5}), list({2, 6, 3, 5})}),
      make("Expand", "codes", {}, {noise_u8({1, 3, 1, 5}), list({2, 1, 4, 1})}),
      make("Expand", "does not fit", {}, {row, list({3, 3})}, {}, "broadcast"),
      make("Expand", "negative", {}, {row, list({-1, 2})}, {}, "a shape with the extent -1"),
      make("Expand", "huge", {}, {scalar(1), list({huge})}, {}, "a shape with the extent"),
      make("Expand", "too many elements", {},
           {scalar(1), list({int64_t{1} << 40, int64_t{1} << 40})}, {}, "too many elements"),
      make("Expand", "shape of floats", {}, {row, f32({1}, {2})}, {}, "not a list of integers"),

      make("Tile", "vector", {}, {f32({2}, {1, 2}), list({2})}, {f32({4}, {1, 2, 1, 2})}),
      make("Tile", "matrix", {}, {column, list({2, 2})}, {f32({4, 2}, {1, 1, 2, 2, 1, 1, 2, 2})}),
      make("Tile", "once", {}, {row, list({1, 1})}, {row}),
      make("Tile", "never", {}, {row, list({0, 1})}, {f32({0, 2}, {})}),
      make("Tile", "scalar", {}, {scalar(7), list({})}, {scalar(7)}),
      make("Tile", "integers", {}, {s64({1}, {9}), list({2})}, {s64({2}, {9, 9})}),
      make("Tile", "images", {}, {noise({2, 3, 2, 5}), list({1, 2, 3, 1})}),
      make("Tile", "codes", {}, {noise_u8({1, 3, 2, 2}), list({2, 1, 2, 2})}),
      make("Tile", "too few repeats", {}, {row, list({2})}, {}, "1 repeats for 2 axes"),
      make("Tile", "negative", {}, {row, list({1, -1})}, {}, "a repeat of -1"),
      make("Tile", "huge", {}, {row, list({1, int64_t{1} << 48})}, {}, "an extent of"),
  };
}

std::vector<OpCase> block_cases() {
  const Attribute two = int64_t{2};
  const Constant deep = ramp({1, 8, 1, 2});
  const CaseAttributes crd{{"blocksize", two}, {"mode", text("CRD")}};
  const std::vector<float> shown_dcr{0, 4, 1, 5, 8, 12, 9, 13, 2, 6, 3, 7, 10, 14, 11, 15};
  const std::vector<float> shown_crd{0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15};
  return {
      make("DepthToSpace", "depth first", {{"blocksize", two}}, {deep},
           {f32({1, 2, 2, 4}, shown_dcr)}),
      make("DepthToSpace", "column first", crd, {deep}, {f32({1, 2, 2, 4}, shown_crd)}),
      make("DepthToSpace", "block of 1", {{"blocksize", int64_t{1}}}, {deep}, {deep}),
      make("DepthToSpace", "nothing", {{"blocksize", two}}, {f32({0, 4, 1, 1}, {})},
           {f32({0, 1, 2, 2}, {})}),
      make("DepthToSpace", "images", {{"blocksize", int64_t{3}}}, {noise({2, 18, 4, 5})}),
      make("DepthToSpace", "images, column first", crd, {noise({2, 12, 4, 5})}),
      make("DepthToSpace", "codes", {{"blocksize", two}}, {noise_u8({1, 12, 4, 5})}),
      make("DepthToSpace", "channels", {{"blocksize", two}}, {ramp({1, 6, 1, 1})}, {},
           "channels of 6 cannot be divided by 4"),
      make("DepthToSpace", "rank", {{"blocksize", two}}, {ramp({4, 1, 1})}, {}, "rank 3"),
      make("DepthToSpace", "no blocksize", {}, {deep}, {}, "a blocksize of 0"),
      make("DepthToSpace", "mode", {{"blocksize", two}, {"mode", text("RCD")}}, {deep}, {},
           "mode is \"RCD\""),

      make("SpaceToDepth", "squares", {{"blocksize", two}}, {f32({1, 2, 2, 4}, shown_dcr)}, {deep}),
      make("SpaceToDepth", "images", {{"blocksize", int64_t{3}}}, {noise({2, 4, 6, 9})}),
      make("SpaceToDepth", "codes", {{"blocksize", two}}, {noise_s8({2, 3, 4, 6})}),
      make("SpaceToDepth", "height", {{"blocksize", two}}, {ramp({1, 1, 3, 2})}, {},
           "a height of 3 cannot be divided by 2"),
      make("SpaceToDepth", "hostile blocksize", {{"blocksize", int64_t{1} << 62}}, {deep}, {},
           "a blocksize of"),
  };
}

}  // namespace

std::vector<OpCase> expand_cases() {
  std::vector<OpCase> all = repeat_cases();
  for (OpCase& item : block_cases()) all.push_back(std::move(item));
  return all;
}

}  // namespace qtool::test
