// SPDX-License-Identifier: Apache-2.0
#include "data/augment.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "support/rng.h"
#include "support/text.h"

namespace qtool {

namespace {

constexpr int kMostCrop = 1024;

/// Where a changed image finds its pixels: row y of it is row y + down of the old one, and so on.
struct Change {
  bool mirrored = false;
  int64_t down = 0;
  int64_t right = 0;
};

/// An image's planes, in either layout.
struct Planes {
  explicit Planes(const Shape& shape, const Preprocessing& steps)
      : first(steps.layout == ImageLayout::nchw), channels(shape[first ? 0 : 2]),
        height(shape[first ? 1 : 0]), width(shape[first ? 2 : 1]) {}
  size_t at(int64_t c, int64_t y, int64_t x) const {
    return static_cast<size_t>(first ? (c * height + y) * width + x
                                     : (y * width + x) * channels + c);
  }
  bool first;
  int64_t channels;
  int64_t height;
  int64_t width;
};

Tensor changed(const Tensor& image, const Change& change, const Preprocessing& steps) {
  const Planes planes(image.shape(), steps);
  Tensor result(DType::float32, image.shape());
  const auto from = image.data<float>();
  const auto to = result.data<float>();
  for (int64_t c = 0; c < planes.channels; ++c) {
    const float black = steps.value(0, static_cast<size_t>(c));
    for (int64_t y = 0; y < planes.height; ++y) {
      const int64_t row = y + change.down;
      for (int64_t x = 0; x < planes.width; ++x) {
        const int64_t column = (change.mirrored ? planes.width - 1 - x : x) + change.right;
        const bool inside = row >= 0 && row < planes.height && column >= 0 && column < planes.width;
        to[planes.at(c, y, x)] = inside ? from[planes.at(c, row, column)] : black;
      }
    }
  }
  return result;
}

/// A part of an image, with sides as shares of the image's.
struct Part {
  double top = 0;
  double left = 0;
  double height = 1;
  double width = 1;
};

/// Ten tries, then the largest window in the middle.
Part random_part(Rng& rng, double least) {
  for (int attempt = 0; attempt < 10; ++attempt) {
    const double area = least + (1 - least) * static_cast<double>(rng.uniform());
    const double span = std::log(4.0 / 3);
    const double form = std::exp(span * (2 * static_cast<double>(rng.uniform()) - 1));
    Part part;
    part.width = std::sqrt(area * form);
    part.height = std::sqrt(area / form);
    if (part.width > 1 || part.height > 1) continue;
    part.top = static_cast<double>(rng.uniform()) * (1 - part.height);
    part.left = static_cast<double>(rng.uniform()) * (1 - part.width);
    return part;
  }
  return {};
}

/// Where output pixel i of n falls between two of the image's: their places and the second's share.
struct Between {
  int64_t one;
  int64_t other;
  float share;
};
Between between(int64_t i, int64_t n, double start, double part) {
  const double size = static_cast<double>(n);
  const double middle = (start + part * (static_cast<double>(i) + 0.5) / size) * size - 0.5;
  const double inside = std::clamp(middle, 0.0, size - 1);
  const auto one = static_cast<int64_t>(inside);
  return {one, std::min(one + 1, n - 1), static_cast<float>(inside - static_cast<double>(one))};
}

Tensor enlarged(const Tensor& image, const Part& part, const Preprocessing& steps) {
  const Planes planes(image.shape(), steps);
  Tensor result(DType::float32, image.shape());
  const auto from = image.data<float>();
  const auto to = result.data<float>();
  for (int64_t y = 0; y < planes.height; ++y) {
    const Between row = between(y, planes.height, part.top, part.height);
    for (int64_t x = 0; x < planes.width; ++x) {
      const Between column = between(x, planes.width, part.left, part.width);
      for (int64_t c = 0; c < planes.channels; ++c) {
        const auto along = [&](int64_t r) {
          const float one = from[planes.at(c, r, column.one)];
          return one + column.share * (from[planes.at(c, r, column.other)] - one);
        };
        const float one = along(row.one);
        to[planes.at(c, y, x)] = one + row.share * (along(row.other) - one);
      }
    }
  }
  return result;
}

/// Factors of a jitter.
struct Colours {
  float brightness;
  float contrast;
  float saturation;
};

/// In levels from 0 (black) to 1 (white), kept inside of these: brightness times a factor, contrast
/// around the mean grey, saturation around each pixel's grey.
void recolour(Tensor& image, const Colours& colours, const Preprocessing& steps) {
  const Planes planes(image.shape(), steps);
  const auto pixels = image.data<float>();
  std::vector<float> levels(pixels.size());
  const auto each = [&](const auto& visit) {
    for (int64_t c = 0; c < planes.channels; ++c) {
      const float black = steps.value(0, static_cast<size_t>(c));
      const float span = steps.value(255, static_cast<size_t>(c)) - black;
      for (int64_t y = 0; y < planes.height; ++y) {
        for (int64_t x = 0; x < planes.width; ++x) visit(planes.at(c, y, x), black, span);
      }
    }
  };
  const auto grey = [&](int64_t y, int64_t x) {
    if (planes.channels != 3) return levels[planes.at(0, y, x)];
    return 0.299F * levels[planes.at(0, y, x)] + 0.587F * levels[planes.at(1, y, x)] +
           0.114F * levels[planes.at(2, y, x)];
  };
  each([&](size_t i, float black, float span) {
    levels[i] = std::clamp((pixels[i] - black) / span * colours.brightness, 0.0F, 1.0F);
  });
  double sum = 0;
  for (int64_t y = 0; y < planes.height; ++y) {
    for (int64_t x = 0; x < planes.width; ++x) sum += static_cast<double>(grey(y, x));
  }
  const auto mean = static_cast<float>(sum / static_cast<double>(planes.height * planes.width));
  for (float& level : levels) {
    level = std::clamp(mean + colours.contrast * (level - mean), 0.0F, 1.0F);
  }
  for (int64_t y = 0; planes.channels == 3 && y < planes.height; ++y) {
    for (int64_t x = 0; x < planes.width; ++x) {
      const float own = grey(y, x);
      for (int64_t c = 0; c < 3; ++c) {
        float& level = levels[planes.at(c, y, x)];
        level = std::clamp(own + colours.saturation * (level - own), 0.0F, 1.0F);
      }
    }
  }
  each([&](size_t i, float black, float span) { pixels[i] = black + span * levels[i]; });
}

int64_t shift(Rng& rng, int most) {
  return static_cast<int64_t>(rng.below(static_cast<uint32_t>(2 * most + 1))) - most;
}

/// Of WORD:NUMBER the number, if it lies above `above` and not beyond `most`.
std::optional<double> number_behind(const std::string& word, const std::string& name, double above,
                                    double most) {
  if (!word.starts_with(name + ":")) return std::nullopt;
  const std::string text = word.substr(name.size() + 1);
  if (text.empty() || text.size() > 10 ||
      text.find_first_not_of("0123456789.") != std::string::npos ||
      std::count(text.begin(), text.end(), '.') > 1 || text == ".") {
    return std::nullopt;
  }
  const double value = std::stod(text);
  if (!(value > above) || value > most) return std::nullopt;
  return value;
}

/// Gamma(shape, 1) by Marsaglia and Tsang (2000); below 1 by way of shape + 1.
double gamma(Rng& rng, double shape) {
  if (shape < 1) {
    const double u = static_cast<double>(rng.uniform()) + 0x1p-25;
    return gamma(rng, shape + 1) * std::pow(u, 1 / shape);
  }
  const double d = shape - 1.0 / 3;
  const double c = 1 / std::sqrt(9 * d);
  for (;;) {
    const auto x = static_cast<double>(rng.normal());
    const double v = (1 + c * x) * (1 + c * x) * (1 + c * x);
    const double u = static_cast<double>(rng.uniform()) + 0x1p-25;
    if (v > 0 && std::log(u) < 0.5 * x * x + d - d * v + d * std::log(v)) return d * v;
  }
}

}  // namespace

Augmentation Augmentation::parse(const std::string& text) {
  Augmentation result;
  if (text == "none") return result;
  for (const std::string& word : split(text, ',')) {
    if (word == "flip") {
      result.flip = true;
      continue;
    }
    if (const auto share = number_behind(word, "resized-crop", 0, 1)) {
      result.resized_crop = *share;
      continue;
    }
    if (const auto amount = number_behind(word, "jitter", 0, 1)) {
      result.jitter = *amount;
      continue;
    }
    if (const auto alpha = number_behind(word, "mixup", 0, 100)) {
      result.mixup = *alpha;
      continue;
    }
    const bool digits = word.size() > 5 && word.size() < 10 && word.starts_with("crop:") &&
                        word.find_first_not_of("0123456789", 5) == std::string::npos;
    const int pixels = digits ? std::stoi(word.substr(5)) : 0;
    if (pixels < 1 || pixels > kMostCrop) {
      throw usage_error("there is no augmentation \"" + word + '"',
                        "Write none, or flip, crop:4, resized-crop:0.5, jitter:0.2, mixup:0.2 with "
                        "commas between.");
    }
    result.crop = pixels;
  }
  return result;
}

Augmented::Augmented(const Dataset& all, const Augmentation& changes, const Preprocessing& steps,
                     uint64_t seed, uint64_t epoch)
    : all_(all), changes_(changes), steps_(steps), seed_(seed), epoch_(epoch) {}

Sample Augmented::get(size_t index) const {
  Sample sample = all_.get(index);
  if (!changes_.changes_images()) return sample;
  Rng rng(seed_ + index, epoch_);
  Change change;
  if (changes_.flip) change.mirrored = rng.below(2) == 1;
  if (changes_.crop > 0) {
    change.down = shift(rng, changes_.crop);
    change.right = shift(rng, changes_.crop);
  }
  Part part;
  if (changes_.resized_crop > 0) part = random_part(rng, changes_.resized_crop);
  const auto factor = [&] {
    return 1 + static_cast<float>(changes_.jitter) * (2 * rng.uniform() - 1);
  };
  Colours colours{1, 1, 1};
  if (changes_.jitter > 0) {
    colours.brightness = factor();
    colours.contrast = factor();
    colours.saturation = factor();
  }
  for (auto& [name, tensor] : sample.inputs) {
    if (tensor.dtype() != DType::float32 || tensor.rank() != 3) continue;
    if (changes_.resized_crop > 0) tensor = enlarged(tensor, part, steps_);
    if (changes_.flip || changes_.crop > 0) tensor = changed(tensor, change, steps_);
    if (changes_.jitter > 0) recolour(tensor, colours, steps_);
  }
  return sample;
}

Mixed mix(Batch& batch, double alpha, uint64_t seed, uint64_t epoch, uint64_t step) {
  Rng rng(seed ^ (step << 20), epoch);
  const double one = gamma(rng, alpha);
  const double other = gamma(rng, alpha);
  Mixed mixed;
  mixed.share = one + other > 0 ? static_cast<float>(one / (one + other)) : 1.0F;
  std::vector<size_t> partner(batch.size);
  std::iota(partner.begin(), partner.end(), size_t{0});
  rng.shuffle(std::span(partner));
  for (auto& [name, tensor] : batch.inputs) {
    if (tensor.dtype() != DType::float32)
      throw input_error("mixup: the input \"" + name + "\" does not hold floats");
    const Tensor before = tensor.clone();
    const auto from = before.data<float>();
    const auto to = tensor.data<float>();
    const size_t each = to.size() / std::max<size_t>(batch.size, 1);
    for (size_t i = 0; i < to.size(); ++i) {
      const float with = from[partner[i / each] * each + i % each];
      to[i] = mixed.share * from[i] + (1 - mixed.share) * with;
    }
  }
  for (size_t i = 0; i < batch.labels.size(); ++i) {
    mixed.partners.push_back(batch.labels[partner[i]]);
  }
  return mixed;
}

}  // namespace qtool
