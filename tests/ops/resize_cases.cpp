// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <limits>

#include "ops/data_movement_cases.h"

namespace qtool::test {

namespace {

using Scales = std::vector<float>;

Constant floats(const Scales& values) { return f32({static_cast<int64_t>(values.size())}, values); }

OpCase resize(std::string name, CaseAttributes attributes, std::vector<Constant> inputs,
              std::vector<Constant> expected = {}, std::string error = {}) {
  return {.name = std::move(name),
          .op = "Resize",
          .opset = 19,
          .attributes = std::move(attributes),
          .inputs = std::move(inputs),
          .constants = {1, 2, 3},
          .expected = std::move(expected),
          .near = 2e-6,
          .error = std::move(error)};
}

OpCase scaled(std::string name, CaseAttributes attributes, Constant x, const Scales& scales,
              std::vector<Constant> expected = {}, std::string error = {}) {
  return resize(std::move(name), std::move(attributes), {std::move(x), nullptr, floats(scales)},
                std::move(expected), std::move(error));
}

OpCase sized(std::string name, CaseAttributes attributes, Constant x, std::vector<int64_t> sizes,
             std::vector<Constant> expected = {}, std::string error = {}) {
  return resize(std::move(name), std::move(attributes),
                {std::move(x), nullptr, nullptr, list(std::move(sizes))}, std::move(expected),
                std::move(error));
}

CaseAttributes mode(const char* interpolation, const char* placing = "half_pixel",
                    CaseAttributes more = {}) {
  more.emplace_back("mode", text(interpolation));
  more.emplace_back("coordinate_transformation_mode", text(placing));
  return more;
}

std::vector<OpCase> nearest_cases() {
  const Constant four = f32({4}, {1, 2, 3, 4});
  const Constant two = f32({2}, {1, 2});
  const auto rounded = [&](const char* how, std::vector<float> expected) {
    // Output k of 8 / 4 * 1.5 lies at k / 1.5: 0, .67, 1.33, 2, 2.67, 3.33.
    return scaled(how, mode("nearest", "asymmetric", {{"nearest_mode", text(how)}}), four, {1.5F},
                  {f32({6}, std::move(expected))});
  };
  return {
      scaled("twice", {}, two, {2}, {f32({4}, {1, 1, 2, 2})}),
      rounded("floor", {1, 1, 2, 3, 3, 4}),
      rounded("ceil", {1, 2, 3, 3, 4, 4}),
      rounded("round_prefer_floor", {1, 2, 2, 3, 4, 4}),
      // At k / 2 every other place is a tie.
      scaled("ties to the floor", mode("nearest", "asymmetric"), four, {2},
             {f32({8}, {1, 1, 2, 2, 3, 3, 4, 4})}),
      scaled("ties to the ceiling",
             mode("nearest", "asymmetric", {{"nearest_mode", text("round_prefer_ceil")}}), four,
             {2}, {f32({8}, {1, 2, 2, 3, 3, 4, 4, 4})}),
      scaled("shrunk", mode("nearest", "tf_half_pixel_for_nn", {{"nearest_mode", text("floor")}}),
             four, {0.5F}, {f32({2}, {2, 4})}),
      sized("sizes", mode("nearest", "align_corners"), four, {2}, {f32({2}, {1, 4})}),
      sized("integers", {}, s64({2}, {-5, 9}), {4}, {s64({4}, {-5, -5, 9, 9})}),
      scaled("booleans", {}, flags({true, false}), {2}, {flags({true, true, false, false})}),
      sized("to nothing", {}, two, {0}, {f32({0}, {})}),
      sized("nothing to nothing", {}, f32({0, 2}, {}), {0, 4}, {f32({0, 4}, {})}),
      scaled("empty list of sizes", {}, two, {2}, {f32({4}, {1, 1, 2, 2})}),
      scaled("images", {}, noise({2, 3, 4, 5}), {1, 1, 2, 2}),
      scaled("images shrunk", {}, noise({2, 3, 7, 6}), {1, 1, 0.5F, 0.4F}),
      scaled("channels too", {}, noise({2, 3, 4, 5}), {1, 2, 1, 3}),
      scaled("codes", {}, noise_u8({1, 3, 4, 5}), {1, 1, 3, 2}),
      scaled("signed codes of one channel", {}, noise_s8({2, 1, 4, 5}), {1, 1, 2, 1}),
      scaled("unchanged", {}, noise({1, 2, 3, 3}), {1, 1, 1, 1}),
      scaled("volumes", {}, noise({1, 2, 3, 2, 2}), {1, 1, 2, 1, 3}),
      // Twice the part from 0.5 to 1 of three steps: 1.5, 2.25, 3; then what lies outside.
      resize("crop", mode("nearest", "tf_crop_and_resize"),
             {four, f32({2}, {0.5F, 1}), nullptr, list({3})}, {f32({3}, {2, 3, 4})}),
      resize("crop beyond", mode("nearest", "tf_crop_and_resize", {{"extrapolation_value", -7.0F}}),
             {four, f32({2}, {0, 2}), nullptr, list({3})}, {f32({3}, {1, 4, -7})}),
  };
}

std::vector<OpCase> linear_cases() {
  const Constant two = f32({2}, {0, 4});
  const Constant four = f32({4}, {1, 2, 3, 4});
  const Attribute one = int64_t{1};
  return {
      scaled("linear twice", mode("linear"), two, {2}, {f32({4}, {0, 1, 3, 4})}),
      sized("corners", mode("linear", "align_corners"), two, {5}, {f32({5}, {0, 1, 2, 3, 4})}),
      sized("one corner", mode("linear", "align_corners"), two, {1}, {f32({1}, {0})}),
      scaled("asymmetric", mode("linear", "asymmetric"), two, {2}, {f32({4}, {0, 2, 4, 4})}),
      sized("one, PyTorch", mode("linear", "pytorch_half_pixel"), two, {1}, {f32({1}, {0})}),
      sized("one", mode("linear"), two, {1}, {f32({1}, {2})}),
      // 3 * 1.5 = 4.5 gives 4: the four are centred in the 4.5, at -1/6, 1/2, 7/6, 11/6.
      scaled("symmetric", mode("linear", "half_pixel_symmetric"), f32({3}, {0, 6, 12}), {1.5F},
             {f32({4}, {0, 3.9999998F, 8, 12})}),
      // A filter of reach 2: 1/8, 3/8, 3/8, 1/8 around the middle of each pair, edges repeated.
      scaled("antialias", mode("linear", "half_pixel", {{"antialias", one}}), four, {0.5F},
             {f32({2}, {1.625F, 3.375F})}),
      scaled("antialias, nothing outside",
             mode("linear", "half_pixel", {{"antialias", one}, {"exclude_outside", one}}), four,
             {0.5F}, {f32({2}, {12.0F / 7, 23.0F / 7})}),
      scaled("both axes", mode("linear"), f32({2, 2}, {0, 4, 8, 12}), {1, 2},
             {f32({2, 4}, {0, 1, 3, 4, 8, 9, 11, 12})}),
      sized("listed axes", mode("linear", "half_pixel", {{"axes", ints({-1})}}),
            f32({2, 2}, {0, 4, 8, 12}), {1}, {f32({2, 1}, {2, 10})}),
      sized("not larger",
            mode("nearest", "half_pixel", {{"keep_aspect_ratio_policy", text("not_larger")}}),
            f32({2, 1}, {1, 2}), {4, 3}, {f32({4, 2}, {1, 1, 1, 1, 2, 2, 2, 2})}),
      sized("not smaller",
            mode("nearest", "half_pixel", {{"keep_aspect_ratio_policy", text("not_smaller")}}),
            f32({2, 1}, {1, 2}), {2, 2}, {f32({4, 2}, {1, 1, 1, 1, 2, 2, 2, 2})}),
      // With a = -0.75 half way between: -3/32, 19/32, 19/32, -3/32.
      sized("cubic", mode("cubic", "align_corners"), f32({4}, {0, 32, 64, 0}), {7},
            {f32({7}, {0, 13, 32, 57, 64, 35, 0})}),
      scaled("cubic, nothing outside",
             mode("cubic", "asymmetric", {{"exclude_outside", one}, {"cubic_coeff_a", -0.5F}}),
             f32({2}, {0, 1}), {2}, {f32({4}, {0, 0.5F, 1, 1.125F})}),
      scaled("images, linear", mode("linear"), noise({2, 3, 4, 5}), {1, 1, 2, 2}),
      scaled("images, linear, shrunk", mode("linear"), noise({2, 3, 8, 9}), {1, 1, 0.5F, 0.7F}),
      scaled("images, antialias", mode("linear", "half_pixel", {{"antialias", one}}),
             noise({2, 3, 8, 9}), {1, 1, 0.5F, 0.3F}),
      sized("images, cubic", mode("cubic"), noise({1, 3, 5, 4}), {1, 3, 9, 3}),
      scaled("volumes, linear", mode("linear"), noise({1, 2, 3, 4, 2}), {1, 1, 2, 0.5F, 2}),
      scaled("bytes, linear", mode("linear"), u8({2}, {0, 255}), {2}, {u8({4}, {0, 63, 191, 255})}),
      resize("crop, linear", mode("linear", "tf_crop_and_resize", {{"extrapolation_value", 9.0F}}),
             {four, f32({2}, {0.5F, 1.5F}), nullptr, list({3})}, {f32({3}, {2.5F, 4, 9})}),
  };
}

std::vector<OpCase> refused_cases() {
  const Constant two = f32({2}, {1, 2});
  const float nan = std::numeric_limits<float>::quiet_NaN();
  return {
      resize("neither", {}, {two}, {}, "neither scales nor sizes"),
      resize("both", {}, {two, nullptr, f32({1}, {2}), list({4})}, {}, "both scales and sizes"),
      scaled("two scales", {}, two, {1, 2}, {}, "2 scales for 1 axes"),
      scaled("negative scale", {}, two, {-1}, {}, "a scale of -1"),
      scaled("no scale", {}, two, {nan}, {}, "a scale of nan"),
      scaled("huge scale", {}, two, {1e30F}, {}, "an extent of"),
      sized("negative size", {}, two, {-1}, {}, "an extent of -1"),
      sized("from nothing", {}, f32({0}, {}), {2}, {}, "nothing to resize to 2"),
      scaled("mode", mode("lanczos"), two, {2}, {}, "the mode is \"lanczos\""),
      scaled("placing", mode("linear", "corner"), two, {2}, {}, "\"corner\""),
      scaled("rounding", mode("nearest", "half_pixel", {{"nearest_mode", text("up")}}), two, {2},
             {}, "nearest_mode is \"up\""),
      sized("policy", mode("nearest", "half_pixel", {{"keep_aspect_ratio_policy", text("fit")}}),
            two, {2}, {}, "keep_aspect_ratio_policy is \"fit\""),
      sized("axis twice", mode("nearest", "half_pixel", {{"axes", ints({0, -1})}}), two, {2, 2}, {},
            "listed twice"),
      resize("crop without roi", mode("nearest", "tf_crop_and_resize"),
             {two, nullptr, f32({1}, {2})}, {}, "a roi of 0 numbers"),
      resize("crop to infinity", mode("nearest", "tf_crop_and_resize"),
             {two, f32({2}, {0, HUGE_VALF}), f32({1}, {2})}, {}, "not finite"),
      resize("endless filter", mode("linear", "tf_crop_and_resize", {{"antialias", int64_t{1}}}),
             {two, f32({2}, {0, 1e20F}), f32({1}, {1e-20F})}, {}, "a filter that reaches"),
  };
}

std::vector<OpCase> old_cases() {
  const Constant two = f32({2}, {0, 4});
  const Constant four = f32({4}, {1, 2, 3, 4});
  const auto old = [](const char* op, int64_t opset, std::string name, CaseAttributes attributes,
                      std::vector<Constant> inputs, std::vector<Constant> expected) {
    return OpCase{.name = std::move(name),
                  .op = op,
                  .opset = opset,
                  .attributes = std::move(attributes),
                  .inputs = std::move(inputs),
                  .constants = {1, 2},
                  .expected = std::move(expected)};
  };
  const Constant twice = f32({1}, {2});
  return {
      old("Upsample", 7, "nearest", {{"scales", Scales{2}}}, {two}, {f32({4}, {0, 0, 4, 4})}),
      old("Upsample", 7, "linear", {{"scales", Scales{2}}, {"mode", text("linear")}}, {two},
          {f32({4}, {0, 2, 4, 4})}),
      old("Upsample", 9, "nearest", {}, {two, twice}, {f32({4}, {0, 0, 4, 4})}),
      old("Upsample", 9, "images", {{"mode", text("linear")}},
          {noise({1, 3, 4, 5}), f32({4}, {1, 1, 2, 3})}, {}),
      old("Resize", 10, "shrunk", {}, {four, f32({1}, {0.6F})}, {f32({2}, {1, 3})}),
      old("Resize", 10, "linear", {{"mode", text("linear")}}, {two, twice},
          {f32({4}, {0, 2, 4, 4})}),
      old("Resize", 11, "unused roi", {}, {two, f32({0}, {}), twice}, {f32({4}, {0, 0, 4, 4})}),
  };
}

}  // namespace

std::vector<OpCase> resize_cases() {
  std::vector<OpCase> all;
  for (auto* const family : {nearest_cases, linear_cases, refused_cases, old_cases}) {
    for (OpCase& item : family()) all.push_back(std::move(item));
  }
  return all;
}

}  // namespace qtool::test
