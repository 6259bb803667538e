// SPDX-License-Identifier: Apache-2.0
// GridSample, AffineGrid, RoiAlign, MaxRoiPool, NonMaxSuppression, CenterCropPad, Col2Im,
// MaxUnpool.
#include <cmath>
#include <limits>

#include "ops/data_movement_cases.h"

namespace qtool::test {

namespace {

const float kNan = std::nanf("");

std::vector<OpCase> grid_cases() {
  const auto sample = [](std::string name, CaseAttributes attributes, Constant x, Constant grid,
                         std::vector<Constant> expected = {}, std::string error = {}) {
    return make("GridSample", 20, std::move(name), std::move(attributes),
                {std::move(x), std::move(grid)}, std::move(expected), std::move(error));
  };
  const auto style = [](const char* mode, const char* beyond, int64_t aligned = 0) {
    return CaseAttributes{
        {"mode", text(mode)}, {"padding_mode", text(beyond)}, {"align_corners", aligned}};
  };
  const Constant row = f32({1, 1, 1, 4}, {1, 2, 3, 4});
  // Aligned, the numbers -1, -1/3, 1/3, 1 are the four elements; y is 0, the only row.
  const Constant corners = f32({1, 1, 4, 2}, {-1, 0, 0, 0, 1, 0, 3, 0});
  const Constant halves = f32({1, 1, 3, 2}, {-1, 0, 0, 0, 1.5F, 0});
  const Constant wild = noise({2, 5, 3, 2}, 7);
  return {
      sample("linear, aligned", style("linear", "zeros", 1), row, corners,
             {f32({1, 1, 1, 4}, {1, 2.5F, 4, 0})}),
      sample("nearest, aligned", style("nearest", "border", 1), row, corners,
             {f32({1, 1, 1, 4}, {1, 3, 4, 4})}),
      sample("reflected, aligned", style("linear", "reflection", 1), row, corners,
             {f32({1, 1, 1, 4}, {1, 2.5F, 4, 1})}),
      // Not aligned, -1 is half an element before the first: half of it; 1.5 lies at 4.5.
      sample("linear", style("linear", "zeros"), row, halves, {f32({1, 1, 1, 3}, {0.5F, 2.5F, 0})}),
      sample("border", style("linear", "border"), row, halves, {f32({1, 1, 1, 3}, {1, 2.5F, 4})}),
      sample("reflected", style("linear", "reflection"), row, halves,
             {f32({1, 1, 1, 3}, {1, 2.5F, 3.5F})}),
      sample("not numbers", style("linear", "zeros"), row,
             f32({1, 1, 2, 2}, {kNan, 0, HUGE_VALF, 0}), {f32({1, 1, 1, 2}, {0, 0})}),
      sample("no points", {}, row, f32({1, 0, 4, 2}, {}), {f32({1, 1, 0, 4}, {})}),
      sample("volume", style("linear", "zeros", 1), f32({1, 1, 2, 1, 1}, {2, 6}),
             f32({1, 1, 1, 1, 3}, {0, 0, 0.5F}), {f32({1, 1, 1, 1, 1}, {5})}),
      sample("images, linear", style("linear", "zeros"), noise({2, 3, 4, 5}), wild),
      sample("images, border", style("linear", "border", 1), noise({2, 3, 4, 5}), wild),
      sample("images, reflected", style("linear", "reflection"), noise({2, 3, 4, 5}), wild),
      sample("images, nearest", style("nearest", "reflection", 1), noise({2, 3, 4, 5}), wild),
      sample("images, cubic", style("cubic", "zeros"), noise({2, 3, 4, 5}), wild),
      sample("images, cubic, reflected", style("cubic", "reflection"), noise({2, 3, 4, 5}), wild),
      sample("images, cubic, border", style("cubic", "border", 1), noise({2, 3, 4, 5}), wild),
      make("GridSample", 16, "old names", {{"mode", text("bilinear")}}, {row, halves},
           {f32({1, 1, 1, 3}, {0.5F, 2.5F, 0})}),
      sample("mode", style("area", "zeros"), row, halves, {}, "the mode is \"area\""),
      sample("padding", style("linear", "wrap"), row, halves, {}, "padding_mode is \"wrap\""),
      sample("coordinates", {}, row, ramp({1, 1, 2, 3}), {}, "a grid of 3 coordinates"),
      sample("ranks", {}, row, ramp({1, 2, 2}), {}, "a grid of rank 3"),
      sample("batches", {}, row, ramp({2, 1, 1, 2}), {}, "a batch of 1 with 2 grids"),

      make("AffineGrid", 20, "identity", {},
           {f32({1, 2, 3}, {1, 0, 0, 0, 1, 0}), list({1, 1, 1, 2})},
           {f32({1, 1, 2, 2}, {-0.5F, 0, 0.5F, 0})}),
      make("AffineGrid", 20, "aligned", {{"align_corners", int64_t{1}}},
           {f32({1, 2, 3}, {2, 0, 1, 0, 3, 0}), list({1, 1, 2, 2})},
           {f32({1, 2, 2, 2}, {-1, -3, 3, -3, -1, 3, 3, 3})}),
      make("AffineGrid", 20, "volumes", {}, {noise({2, 3, 4}), list({2, 1, 2, 3, 4})}),
      make("AffineGrid", 20, "size", {}, {noise({1, 2, 3}), list({1, 1, 2})}, {}, "neither"),
      make("AffineGrid", 20, "theta", {}, {noise({1, 2, 2}), list({1, 1, 2, 2})}, {},
           "expected [1,2,3]"),
      make("AffineGrid", 20, "negative", {}, {noise({1, 2, 3}), list({1, 1, 2, -2})}, {},
           "has no meaning"),
  };
}

std::vector<OpCase> roi_cases() {
  const Constant image = ramp({1, 1, 4, 4});
  const CaseAttributes two{{"output_height", int64_t{2}}, {"output_width", int64_t{2}}};
  CaseAttributes sampled = two;
  sampled.emplace_back("sampling_ratio", int64_t{1});
  CaseAttributes most = sampled;
  most.emplace_back("mode", text("max"));
  const Constant first = list({0});
  const Constant whole = f32({1, 4}, {0, 0, 4, 4});
  const auto align = [](std::string name, CaseAttributes attributes, std::vector<Constant> inputs,
                        std::vector<Constant> expected = {}, std::string error = {}) {
    return make("RoiAlign", 16, std::move(name), std::move(attributes), std::move(inputs),
                std::move(expected), std::move(error));
  };
  const Constant regions = f32({3, 4}, {0.5F, 1, 6, 7.25F, 2, 3, 3.5F, 4, -3, -2, 20, 9});
  return {
      // One sample in the middle of each quarter, at 0.5 and 2.5 in both directions.
      align("quarters", sampled, {image, whole, first},
            {f32({1, 1, 2, 2}, {2.5F, 4.5F, 10.5F, 12.5F})}),
      // Four samples a quarter, whose mean is the middle's value but for what is clipped at 0.
      align("largest", most, {f32({1, 1, 1, 1}, {8}), f32({1, 4}, {0, 0, 1, 1}), first},
            {f32({1, 1, 2, 2}, {8, 8, 8, 8})}),
      make("RoiAlign", 10, "no half pixel", sampled, {image, whole, first},
           {f32({1, 1, 2, 2}, {5, 7, 13, 15})}),
      align("none", two, {image, f32({0, 4}, {}), s64({0}, {})}, {f32({0, 1, 2, 2}, {})}),
      align("images", two, {noise({2, 3, 8, 9}), regions, list({0, 1, 1})}),
      align("images, largest", most, {noise({2, 3, 8, 9}), regions, list({0, 1, 1})}),
      align("images, scaled", {{"spatial_scale", 0.5F}, {"output_width", int64_t{3}}},
            {noise({2, 3, 8, 9}), regions, list({1, 0, 1})}),
      align("batch", two, {image, whole, list({1})}, {}, "the index 1"),
      align("regions", two, {image, ramp({1, 5}), first}, {}, "expected [R, 4]"),
      align("too few batches", two, {image, ramp({2, 4}), first}, {}, "one for each region"),
      align("endless", two, {image, f32({1, 4}, {0, 0, 1e30F, 1}), first}, {}, "a region from"),
      align("not a number", two, {image, f32({1, 4}, {kNan, 0, 1, 1}), first}, {}, "a region from"),
      align("no output", {{"output_height", int64_t{0}}}, {image, whole, first}, {},
            "\"output_height\" is 0"),

      make("MaxRoiPool", 13, "quarters", {{"pooled_shape", ints({2, 2})}},
           {image, f32({1, 5}, {0, 0, 0, 3, 3})}, {f32({1, 1, 2, 2}, {5, 7, 13, 15})}),
      make("MaxRoiPool", 13, "beyond", {{"pooled_shape", ints({1, 2})}},
           {image, f32({1, 5}, {0, 2, 0, 5, 1})}, {f32({1, 1, 1, 2}, {7, 0})}),
      make("MaxRoiPool", 13, "images", {{"pooled_shape", ints({2, 3})}, {"spatial_scale", 0.5F}},
           {noise({2, 3, 8, 9}), f32({2, 5}, {1, 0, 2, 15, 14, 0, 3, 3, 4, 9})}),
      make("MaxRoiPool", 13, "batch", {{"pooled_shape", ints({1, 1})}},
           {image, f32({1, 5}, {1, 0, 0, 1, 1})}, {}, "the index 1"),
      make("MaxRoiPool", 13, "no shape", {}, {image, f32({1, 5}, {0, 0, 0, 1, 1})}, {},
           "pooled_shape"),
  };
}

std::vector<OpCase> suppression_cases() {
  const auto suppress = [](std::string name, CaseAttributes attributes,
                           std::vector<Constant> inputs, std::vector<Constant> expected = {},
                           std::string error = {}) {
    OpCase item = make("NonMaxSuppression", 11, std::move(name), std::move(attributes),
                       std::move(inputs), std::move(expected), std::move(error));
    item.open_shape = true;
    return item;
  };
  // The second overlaps the first by 0.9 / 1.1; the third stands alone.
  const Constant boxes = f32({1, 3, 4}, {0, 0, 1, 1, 0, 0.1F, 1, 1.1F, 0, 5, 1, 6});
  const Constant centers = f32({1, 3, 4}, {0.5F, 0.5F, 1, 1, 0.6F, 0.5F, 1, 1, 5.5F, 0.5F, 1, 1});
  const Constant turned = f32({1, 3, 4}, {1, 1, 0, 0, 1, 1.1F, 0, 0.1F, 0, 6, 1, 5});
  const Constant scores = f32({1, 1, 3}, {0.9F, 0.75F, 0.6F});
  const Constant all = list({9});
  const Constant half = f32({1}, {0.5F});
  const Constant two = s64({2, 3}, {0, 0, 0, 0, 0, 2});
  return {
      suppress("overlapping", {}, {boxes, scores, all, half}, {two}),
      suppress("centres", {{"center_point_box", int64_t{1}}}, {centers, scores, all, half}, {two}),
      suppress("other corners", {}, {turned, scores, all, half}, {two}),
      suppress("much overlap allowed", {}, {boxes, scores, all, f32({1}, {0.9F})},
               {s64({3, 3}, {0, 0, 0, 0, 0, 1, 0, 0, 2})}),
      suppress("only the best", {}, {boxes, scores, list({1}), half}, {s64({1, 3}, {0, 0, 0})}),
      suppress("low scores", {}, {boxes, scores, all, half, f32({1}, {0.6F})},
               {s64({1, 3}, {0, 0, 0})}),
      suppress("no number of boxes", {}, {boxes, scores}, {s64({0, 3}, {})}),
      suppress("equal scores", {}, {boxes, f32({1, 1, 3}, {1, 1, 1}), all, half}, {two}),
      suppress("two classes", {},
               {boxes, f32({1, 2, 3}, {0.9F, 0.7F, 0.6F, 0.1F, 0.2F, 0.3F}), all, half},
               {s64({4, 3}, {0, 0, 0, 0, 0, 2, 0, 1, 2, 0, 1, 1})}),
      suppress("no boxes", {}, {f32({1, 0, 4}, {}), f32({1, 1, 0}, {}), all}, {s64({0, 3}, {})}),
      suppress("corners", {}, {ramp({1, 3, 5}), scores}, {}, "expected [N, B, 4]"),
      suppress("scores", {}, {boxes, ramp({1, 1, 2})}, {}, "do not go with scores"),
      suppress("threshold", {}, {boxes, scores, all, f32({1}, {2})}, {}, "iou_threshold"),
      suppress("form", {{"center_point_box", int64_t{2}}}, {boxes, scores}, {},
               "center_point_box is 2"),
  };
}

std::vector<OpCase> crop_cases() {
  const auto crop = [](std::string name, CaseAttributes attributes, Constant x,
                       std::vector<int64_t> shape, std::vector<Constant> expected = {},
                       std::string error = {}) {
    return make("CenterCropPad", 18, std::move(name), std::move(attributes),
                {std::move(x), list(std::move(shape))}, std::move(expected), std::move(error));
  };
  const auto fold = [](std::string name, CaseAttributes attributes, Constant columns,
                       std::vector<int64_t> image, std::vector<int64_t> block,
                       std::vector<Constant> expected = {}, std::string error = {}) {
    return make("Col2Im", 18, std::move(name), std::move(attributes),
                {std::move(columns), list(std::move(image)), list(std::move(block))},
                std::move(expected), std::move(error));
  };
  const Constant five = f32({5}, {1, 2, 3, 4, 5});
  return {
      crop("cut", {}, five, {3}, {f32({3}, {2, 3, 4})}),
      crop("cut by an odd number", {}, five, {2}, {f32({2}, {2, 3})}),
      crop("filled", {}, f32({2}, {1, 2}), {5}, {f32({5}, {0, 1, 2, 0, 0})}),
      crop("both", {{"axes", ints({-1, 0})}}, f32({1, 3}, {1, 2, 3}), {1, 2},
           {f32({2, 1}, {2, 0})}),
      crop("integers", {}, s64({1}, {7}), {2}, {s64({2}, {7, 0})}),
      crop("to nothing", {}, five, {0}, {f32({0}, {})}),
      crop("images", {{"axes", ints({2, 3})}}, noise({1, 2, 5, 4}), {4, 7}),
      crop("lengths", {}, five, {1, 2}, {}, "2 extents for 1 axes"),
      crop("negative", {}, five, {-1}, {}, "an extent of -1"),

      // Two overlapping windows of two in a row of three.
      fold("overlap", {}, f32({1, 2, 2}, {1, 2, 10, 20}), {3}, {2}, {f32({1, 1, 3}, {1, 12, 20})}),
      fold("padded", {{"pads", ints({1, 0})}}, f32({1, 2, 2}, {1, 2, 10, 20}), {2}, {2},
           {f32({1, 1, 2}, {12, 20})}),
      fold("apart", {{"strides", ints({2})}}, f32({1, 2, 2}, {1, 2, 10, 20}), {4}, {2},
           {f32({1, 1, 4}, {1, 10, 2, 20})}),
      fold("dilated", {{"dilations", ints({2})}}, f32({1, 2, 1}, {3, 4}), {3}, {2},
           {f32({1, 1, 3}, {3, 0, 4})}),
      fold("images",
           {{"strides", ints({2, 1})}, {"pads", ints({1, 0, 0, 1})}, {"dilations", ints({1, 2})}},
           noise({2, 12, 12}), {5, 5}, {2, 2}),
      fold("columns", {}, ramp({1, 3, 2}), {3}, {2}, {}, "a multiple of 2"),
      fold("too large a block", {}, ramp({1, 4, 1}), {3}, {4}, {}, "does not fit"),
      fold("no block", {}, ramp({1, 4, 1}), {3}, {0}, {}, "a block of 0"),
  };
}

std::vector<OpCase> unpool_cases() {
  const Constant x = f32({1, 1, 2, 2}, {1, 2, 3, 4});
  const Constant places = s64({1, 1, 2, 2}, {5, 7, 13, 15});
  const CaseAttributes window{{"kernel_shape", ints({2, 2})}, {"strides", ints({2, 2})}};
  const auto unpool = [&](std::string name, CaseAttributes attributes, std::vector<Constant> inputs,
                          std::vector<Constant> expected = {}, std::string error = {}) {
    return make("MaxUnpool", 11, std::move(name), std::move(attributes), std::move(inputs),
                std::move(expected), std::move(error));
  };
  return {
      unpool("window", window, {x, places},
             {f32({1, 1, 4, 4}, {0, 0, 0, 0, 0, 1, 0, 2, 0, 0, 0, 0, 0, 3, 0, 4})}),
      unpool("shape", window, {x, s64({1, 1, 2, 2}, {0, 1, 2, 9}), list({1, 1, 2, 5})},
             {f32({1, 1, 2, 5}, {1, 2, 3, 0, 0, 0, 0, 0, 0, 4})}),
      unpool("beyond", window, {x, s64({1, 1, 2, 2}, {0, 1, 2, 16})}, {}, "the index 16"),
      unpool("other indices", window, {x, s64({1, 1, 1, 2}, {0, 1})}, {}, "not one an element"),
      unpool("other shape", window, {x, places, list({2, 1, 4, 4})}, {}, "an output_shape of"),
      unpool("no window", {}, {x, places}, {}, "do not fit"),
  };
}

}  // namespace

std::vector<OpCase> sampling_cases() {
  std::vector<OpCase> all;
  for (auto* const family : {grid_cases, roi_cases, suppression_cases, crop_cases, unpool_cases}) {
    for (OpCase& item : family()) all.push_back(std::move(item));
  }
  return within(1e-6, std::move(all));
}

}  // namespace qtool::test
