// SPDX-License-Identifier: Apache-2.0
#include "data/augment.h"

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

Tensor changed(const Tensor& image, const Change& change, const Preprocessing& steps) {
  const Shape& shape = image.shape();
  const bool planes = steps.layout == ImageLayout::nchw;
  const int64_t channels = shape[planes ? 0 : 2];
  const int64_t height = shape[planes ? 1 : 0];
  const int64_t width = shape[planes ? 2 : 1];
  const auto at = [&](int64_t c, int64_t y, int64_t x) {
    return static_cast<size_t>(planes ? (c * height + y) * width + x
                                      : (y * width + x) * channels + c);
  };
  Tensor result(DType::float32, shape);
  const auto from = image.data<float>();
  const auto to = result.data<float>();
  for (int64_t c = 0; c < channels; ++c) {
    const float black = steps.value(0, static_cast<size_t>(c));
    for (int64_t y = 0; y < height; ++y) {
      const int64_t row = y + change.down;
      for (int64_t x = 0; x < width; ++x) {
        const int64_t column = (change.mirrored ? width - 1 - x : x) + change.right;
        const bool inside = row >= 0 && row < height && column >= 0 && column < width;
        to[at(c, y, x)] = inside ? from[at(c, row, column)] : black;
      }
    }
  }
  return result;
}

int64_t shift(Rng& rng, int most) {
  return static_cast<int64_t>(rng.below(static_cast<uint32_t>(2 * most + 1))) - most;
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
    const bool digits = word.size() > 5 && word.size() < 10 && word.starts_with("crop:") &&
                        word.find_first_not_of("0123456789", 5) == std::string::npos;
    const int pixels = digits ? std::stoi(word.substr(5)) : 0;
    if (pixels < 1 || pixels > kMostCrop) {
      throw usage_error("there is no augmentation \"" + word + '"',
                        "Write none, flip, crop:4, or flip,crop:4.");
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
  if (changes_.none()) return sample;
  Rng rng(seed_ + index, epoch_);
  Change change;
  if (changes_.flip) change.mirrored = rng.below(2) == 1;
  if (changes_.crop > 0) {
    change.down = shift(rng, changes_.crop);
    change.right = shift(rng, changes_.crop);
  }
  for (auto& [name, tensor] : sample.inputs) {
    if (tensor.dtype() == DType::float32 && tensor.rank() == 3) {
      tensor = changed(tensor, change, steps_);
    }
  }
  return sample;
}

}  // namespace qtool
