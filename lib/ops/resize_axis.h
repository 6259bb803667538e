// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/host/resize.h"
#include "ops/facts.h"

namespace qtool {

enum class Interpolation { nearest, linear, cubic };

/// Where the centre of an output element lies in the input (ONNX: coordinate_transformation_mode).
enum class Placing {
  half_pixel,
  half_pixel_symmetric,
  pytorch_half_pixel,
  align_corners,
  asymmetric,
  tf_half_pixel_for_nn,
  tf_crop_and_resize,
};

/// Which neighbour is the nearest (ONNX: nearest_mode). `by_direction`: the one before for
/// enlarging, the one after for shrinking, as before opset 11.
enum class NearestMode { round_prefer_floor, round_prefer_ceil, floor, ceil, by_direction };

/// How Resize and Upsample interpolate, as their attributes say.
struct ResizeStyle {
  Interpolation interpolation = Interpolation::nearest;
  Placing placing = Placing::half_pixel;
  NearestMode nearest = NearestMode::round_prefer_floor;
  double cubic_a = -0.75;
  bool exclude_outside = false;
  bool antialias = false;
};

/// The part of an axis that tf_crop_and_resize shows, in parts of the input's extent less 1.
struct Crop {
  float start = 0;
  float end = 1;
};

/// The taps of one axis. `scale` is output over input as given or computed, in float as ONNX
/// Runtime has it: the coordinates are computed in float too, so that ties fall the same way.
/// Errors (unsupported): a filter beyond all reason.
ResizeAxis resize_axis(const ResizeStyle& style, int64_t input, int64_t output, float scale,
                       const Crop& crop);

/// Errors (input): an attribute's value that ONNX does not define.
ResizeStyle resize_style(const NodeView& node);

}  // namespace qtool
