// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "data/image.h"
#include "support/json.h"
#include "tensor/tensor.h"

namespace qtool {

enum class Filter { bilinear, bicubic };
enum class ColorOrder { rgb, bgr };
enum class ImageLayout { nchw, nhwc };

struct Extent {
  int height = 0;
  int width = 0;
  friend bool operator==(const Extent&, const Extent&) = default;
};

/// The shorter side becomes so many pixels, the longer one keeps the aspect, rounded down.
struct ShorterSide {
  int pixels = 0;
  friend bool operator==(const ShorterSide&, const ShorterSide&) = default;
};

struct Resize {
  std::variant<ShorterSide, Extent> to;
  Filter filter = Filter::bilinear;
  friend bool operator==(const Resize&, const Resize&) = default;
};

/// What happens to an image between its file and the model, in this order: resize, centre crop,
/// order of the colours, value = (x * scale - mean) / std, layout. Without any of it the values are
/// the pixels 0 to 255 as floats. It is stored with calibration tables, so that evaluation cannot
/// differ from calibration unseen.
struct Preprocessing {
  std::optional<Resize> resize;
  std::optional<Extent> crop;
  ColorOrder color = ColorOrder::rgb;
  ImageLayout layout = ImageLayout::nchw;
  double scale = 1;
  std::vector<double> mean;  ///< none: 0; one: for all; else one a channel, in the order of `color`
  std::vector<double> std;   ///< none: 1; the same

  /// The name of a preset, a YAML mapping when the text begins with '{', or the path of a YAML
  /// file. Errors: (usage) none of these, a wrong mapping in the text; (input) a file that is not
  /// there or has unknown keys or wrong values.
  static Preprocessing parse(std::string_view text);

  /// All keys of the YAML form, spelled out:
  ///   resize: {shorter: 256, filter: bilinear}   or {size: [240, 320], filter: bicubic};
  ///           256 and [240, 320] alone are bilinear
  ///   crop: 224   or [height, width]
  ///   color: rgb | bgr
  ///   layout: nchw | nhwc
  ///   scale: 0.5   or "1/255"
  ///   mean, std: one number or a list
  Json to_json() const;
  static Preprocessing from_json(const Json& json);

  bool changes_values() const { return scale != 1 || !mean.empty() || !std.empty(); }

  /// (x * scale - mean) / std, computed in double and rounded once.
  float value(double x, size_t channel) const;

  friend bool operator==(const Preprocessing&, const Preprocessing&) = default;
};

struct Preset {
  std::string name;
  std::string summary;  ///< one line, for --help
  Preprocessing steps;
};

/// none, imagenet, imagenet-tf, cifar10.
std::span<const Preset> presets();

/// A float tensor [3,H,W] or [H,W,3]. Errors (input): smaller than the crop, a mean or std of
/// neither 1 nor 3 numbers.
Tensor preprocess(const Image& image, const Preprocessing& steps);

/// The same of one plane of 8-bit pixels, [H,W]: [1,H,W] or [H,W,1]. A mean and std have one
/// number.
Tensor preprocess_gray(const Tensor& plane, const Preprocessing& steps);

/// The same values for an array that already is as `steps` says: floats of [N,C,H,W] (or
/// [N,H,W,C]). Errors (input): a mean or std that is not one number a channel.
void normalize(Tensor& images, const Preprocessing& steps);

}  // namespace qtool
