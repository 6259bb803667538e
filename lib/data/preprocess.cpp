// SPDX-License-Identifier: Apache-2.0
#include "data/preprocess.h"

#include <algorithm>
#include <array>

#include "data/codecs.h"
#include "data/resize.h"
#include "support/text.h"

namespace qtool {

namespace {

void check_channels(const std::vector<double>& values, std::string_view key, size_t channels) {
  if (values.size() <= 1 || values.size() == channels) return;
  throw input_error(fmt::format("the preprocessing's \"{}\" has {} numbers for {} channels", key,
                                values.size(), channels),
                    "Give one number, or one for each channel.");
}

Image shaped(const Image& image, const Preprocessing& steps) {
  const Extent from{image.height, image.width};
  const Extent size = steps.resize ? resized_extent(*steps.resize, from) : from;
  const Window window = steps.crop ? centre(*steps.crop, size) : Window{0, 0, size};
  return resize(image, size, steps.resize ? steps.resize->filter : Filter::bilinear, window);
}

double channel_value(const std::vector<double>& values, size_t channel, double otherwise) {
  if (values.empty()) return otherwise;
  return values.size() == 1 ? values[0] : values.at(channel);
}

}  // namespace

float Preprocessing::value(double x, size_t channel) const {
  return static_cast<float>((x * scale - channel_value(mean, channel, 0)) /
                            channel_value(std, channel, 1));
}

Tensor preprocess(const Image& original, const Preprocessing& steps) {
  check_channels(steps.mean, "mean", 3);
  check_channels(steps.std, "std", 3);
  const bool changes_extent = steps.resize || steps.crop;
  const Image made = changes_extent ? shaped(original, steps) : Image{};
  const Image& image = changes_extent ? made : original;

  std::array<std::array<float, 256>, 3> values{};
  for (size_t channel = 0; channel < 3; ++channel) {
    for (size_t x = 0; x < 256; ++x)
      values[channel][x] = steps.value(static_cast<double>(x), channel);
  }
  const bool planes = steps.layout == ImageLayout::nchw;
  const size_t pixels = static_cast<size_t>(image.height) * static_cast<size_t>(image.width);
  Tensor tensor(DType::float32,
                planes ? Shape{3, image.height, image.width} : Shape{image.height, image.width, 3});
  for (size_t channel = 0; channel < 3; ++channel) {
    const uint8_t* from =
        image.pixels.data() + (steps.color == ColorOrder::rgb ? channel : 2 - channel);
    float* to = tensor.data<float>().data() + (planes ? channel * pixels : channel);
    const size_t step = planes ? 1 : 3;
    for (size_t i = 0; i < pixels; ++i) to[i * step] = values[channel][from[i * 3]];
  }
  return tensor;
}

Tensor preprocess_gray(const Tensor& plane, const Preprocessing& steps) {
  check_channels(steps.mean, "mean", 1);
  check_channels(steps.std, "std", 1);
  QTOOL_CHECK(plane.rank() == 2, "a plane is [H,W]");
  Image image = make_image(plane.shape()[0], plane.shape()[1]);
  const auto pixels = plane.data<uint8_t>();
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = pixels[i / 3];
  const Image made = steps.resize || steps.crop ? shaped(image, steps) : std::move(image);
  const bool planes = steps.layout == ImageLayout::nchw;
  Tensor tensor(DType::float32,
                planes ? Shape{1, made.height, made.width} : Shape{made.height, made.width, 1});
  const auto to = tensor.data<float>();
  for (size_t i = 0; i < to.size(); ++i) to[i] = steps.value(made.pixels[3 * i], 0);
  return tensor;
}

void normalize(Tensor& images, const Preprocessing& steps) {
  QTOOL_CHECK(images.rank() == 4, "images are [N,C,H,W] or [N,H,W,C]");
  const size_t axis = steps.layout == ImageLayout::nchw ? 1 : 3;
  const auto channels = static_cast<size_t>(images.shape()[axis]);
  check_channels(steps.mean, "mean", channels);
  check_channels(steps.std, "std", channels);
  const std::span<float> values = images.data<float>();
  const size_t run = axis == 3 ? 1 : static_cast<size_t>(images.shape()[2] * images.shape()[3]);
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = steps.value(static_cast<double>(values[i]), i / run % channels);
  }
}

}  // namespace qtool
