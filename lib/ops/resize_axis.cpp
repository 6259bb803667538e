// SPDX-License-Identifier: Apache-2.0
#include "ops/resize_axis.h"

#include <algorithm>
#include <cmath>

#include "support/text.h"

namespace qtool {

namespace {

struct Geometry {
  Placing placing;
  int64_t input;
  int64_t output;
  float scale;
  Crop crop;
};

/// The input's coordinate of output k.
float coordinate(const Geometry& g, int64_t k) {
  const auto x = static_cast<float>(k);
  const auto in = static_cast<float>(g.input);
  const auto out = static_cast<float>(g.output);
  switch (g.placing) {
    case Placing::half_pixel: return (x + 0.5F) / g.scale - 0.5F;
    case Placing::half_pixel_symmetric: {
      const float adjustment = out / (g.scale * in);
      return in / 2 * (1 - adjustment) + (x + 0.5F) / g.scale - 0.5F;
    }
    case Placing::pytorch_half_pixel: return g.output > 1 ? (x + 0.5F) / g.scale - 0.5F : 0;
    case Placing::align_corners: return g.output == 1 ? 0 : x * (in - 1) / (out - 1);
    case Placing::asymmetric: return x / g.scale;
    case Placing::tf_half_pixel_for_nn: return (x + 0.5F) / g.scale;
    case Placing::tf_crop_and_resize:
      return g.output > 1
                 ? g.crop.start * (in - 1) + x * (g.crop.end - g.crop.start) * (in - 1) / (out - 1)
                 : 0.5F * (g.crop.start + g.crop.end) * (in - 1);
  }
  return 0;
}

float nearest_of(NearestMode mode, float x, float scale) {
  const float below = std::floor(x);
  switch (mode) {
    case NearestMode::round_prefer_floor: return x - below <= 0.5F ? below : below + 1;
    case NearestMode::round_prefer_ceil: return x - below < 0.5F ? below : below + 1;
    case NearestMode::floor: return below;
    case NearestMode::ceil: return std::ceil(x);
    case NearestMode::by_direction: return scale < 1 ? std::ceil(x) : below;
  }
  return below;
}

/// The filter at distance x from its centre. Cubic: Keys 1981, "Cubic Convolution Interpolation
/// for Digital Image Processing", with a as the free parameter.
double filter(const ResizeStyle& style, double x) {
  x = std::abs(x);
  if (style.interpolation == Interpolation::linear) return std::max(0.0, 1 - x);
  const double a = style.cubic_a;
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  return 0;
}

/// Taps to the left of the element at or before the centre, and how many in all.
struct Footprint {
  int64_t first;
  int64_t taps;
};

/// Shrinking with antialias widens the filter by as much.
Footprint footprint(const ResizeStyle& style, double stretch, int64_t input) {
  const double radius = style.interpolation == Interpolation::linear ? 1 : 2;
  const double reach = radius / stretch;
  if (reach > 4 * static_cast<double>(input) + 8) {
    throw unsupported_error(fmt::format("a filter that reaches {} elements far", reach));
  }
  const auto first = static_cast<int64_t>(std::floor(-reach)) + 1;
  return {first, 2 - 2 * first};
}

/// Appends the taps around x, their weights summing to 1.
void add_taps(const ResizeStyle& style, const Footprint& reach, double stretch, double x,
              ResizeAxis& axis) {
  const auto base = static_cast<int64_t>(std::floor(x));
  const size_t begin = axis.weight.size();
  double sum = 0;
  for (int64_t t = 0; t < reach.taps; ++t) {
    const int64_t place = base + reach.first + t;
    double weight = filter(style, (static_cast<double>(place) - x) * stretch);
    if (style.exclude_outside && (place < 0 || place >= axis.input)) weight = 0;
    axis.index.push_back(std::clamp<int64_t>(place, 0, axis.input - 1));
    axis.weight.push_back(weight);
    sum += weight;
  }
  if (!style.exclude_outside && stretch == 1) return;
  for (size_t i = begin; sum != 0 && i < axis.weight.size(); ++i) axis.weight[i] /= sum;
}

Placing placing_of(const std::string& text) {
  if (text == "half_pixel") return Placing::half_pixel;
  if (text == "half_pixel_symmetric") return Placing::half_pixel_symmetric;
  if (text == "pytorch_half_pixel") return Placing::pytorch_half_pixel;
  if (text == "align_corners") return Placing::align_corners;
  if (text == "asymmetric") return Placing::asymmetric;
  if (text == "tf_half_pixel_for_nn") return Placing::tf_half_pixel_for_nn;
  if (text == "tf_crop_and_resize") return Placing::tf_crop_and_resize;
  throw input_error("coordinate_transformation_mode is \"" + text + '"');
}

NearestMode nearest_mode_of(const std::string& text) {
  if (text == "round_prefer_floor") return NearestMode::round_prefer_floor;
  if (text == "round_prefer_ceil") return NearestMode::round_prefer_ceil;
  if (text == "floor") return NearestMode::floor;
  if (text == "ceil") return NearestMode::ceil;
  throw input_error("nearest_mode is \"" + text + '"');
}

}  // namespace

ResizeAxis resize_axis(const ResizeStyle& style, int64_t input, int64_t output, float scale,
                       const Crop& crop) {
  ResizeAxis axis{input, output};
  const bool crops = style.placing == Placing::tf_crop_and_resize;
  if (input == output && scale == 1 && !crops) return axis;
  const Geometry geometry{style.placing, input, output, scale, crop};
  const double stretch = style.antialias ? std::min(1.0, static_cast<double>(scale)) : 1;
  const bool nearest = style.interpolation == Interpolation::nearest;
  const Footprint reach = nearest ? Footprint{0, 1} : footprint(style, stretch, input);
  axis.taps = reach.taps;
  const auto last = static_cast<float>(input - 1);
  for (int64_t k = 0; k < output; ++k) {
    // Far outside all places show the edge; an index must not overflow on the way there.
    const float x = std::clamp(coordinate(geometry, k), -3 * last - 8, 4 * last + 8);
    const bool outside = crops && !(x >= 0 && x <= last);
    if (outside && axis.outside.empty()) axis.outside.resize(static_cast<size_t>(output), false);
    if (outside) axis.outside[static_cast<size_t>(k)] = true;
    if (nearest) {
      const float place = std::clamp(nearest_of(style.nearest, x, scale), 0.0F, last);
      axis.index.push_back(std::min(static_cast<int64_t>(place), input - 1));
    } else {
      add_taps(style, reach, stretch, static_cast<double>(x), axis);
    }
  }
  return axis;
}

ResizeStyle resize_style(const NodeView& node) {
  ResizeStyle style;
  const Attributes& attributes = node.attributes();
  const bool old = node.op().type == "Upsample" || node.opset() < 11;
  const std::string mode = attributes.text("mode", "nearest");
  if (mode == "nearest") {
    style.interpolation = Interpolation::nearest;
  } else if (mode == "linear" || (old && mode == "bilinear")) {
    style.interpolation = Interpolation::linear;
  } else if (mode == "cubic" && !old) {
    style.interpolation = Interpolation::cubic;
  } else {
    throw input_error("the mode is \"" + mode + '"', "It is nearest, linear or cubic.");
  }
  if (old) {
    style.placing = Placing::asymmetric;
    style.nearest = NearestMode::by_direction;
    return style;
  }
  style.placing = placing_of(attributes.text("coordinate_transformation_mode", "half_pixel"));
  style.nearest = nearest_mode_of(attributes.text("nearest_mode", "round_prefer_floor"));
  style.cubic_a = static_cast<double>(attributes.real("cubic_coeff_a", -0.75F));
  style.exclude_outside = attributes.integer("exclude_outside", 0) != 0;
  style.antialias = attributes.integer("antialias", 0) != 0;
  return style;
}

}  // namespace qtool
