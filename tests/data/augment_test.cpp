// SPDX-License-Identifier: Apache-2.0
#include "data/augment.h"

#include <set>

#include "catch.h"
#include "support/error.h"

namespace qtool {
namespace {

/// Sample i is one channel of 3 x 4 pixels, 100 i + its place; no label.
class Places : public Dataset {
 public:
  explicit Places(bool planes) : planes_(planes) {}
  size_t size() const override { return 40; }
  bool labelled() const override { return false; }
  Json provenance() const override { return {}; }
  Sample get(size_t index) const override {
    Tensor tensor(DType::float32, planes_ ? Shape{1, 3, 4} : Shape{3, 4, 1});
    float next = static_cast<float>(100 * index);
    for (float& pixel : tensor.data<float>()) pixel = ++next;
    Sample sample;
    sample.inputs.emplace("x", std::move(tensor));
    return sample;
  }

 private:
  bool planes_;
};

std::vector<float> pixels(const Dataset& data, size_t index) {
  const Sample sample = data.get(index);
  const auto all = sample.inputs.at("x").data<float>();
  return {all.begin(), all.end()};
}

/// What a shift by (down, right) of the window, after mirroring or not, shows of sample 0.
std::vector<float> expected(bool mirrored, int down, int right, float black) {
  std::vector<float> result;
  for (int y = 0; y < 3; ++y) {
    for (int x = 0; x < 4; ++x) {
      const int row = y + down;
      const int column = (mirrored ? 3 - x : x) + right;
      const bool inside = row >= 0 && row < 3 && column >= 0 && column < 4;
      result.push_back(inside ? static_cast<float>(row * 4 + column + 1) : black);
    }
  }
  return result;
}

TEST_CASE("the words of --augment") {
  CHECK(!Augmentation::parse("none").changes_images());
  const Augmentation both = Augmentation::parse("flip,crop:4");
  CHECK(both.flip);
  CHECK(both.crop == 4);
  const Augmentation more = Augmentation::parse("resized-crop:0.25,jitter:0.4,mixup:1.5");
  CHECK(more.resized_crop == 0.25);
  CHECK(more.jitter == 0.4);
  CHECK(more.mixup == 1.5);
  CHECK(!Augmentation::parse("mixup:0.2").changes_images());
  for (const char* wrong : {"resized-crop", "resized-crop:0", "resized-crop:1.1", "jitter:2",
                            "jitter:.", "jitter:0.1.2", "mixup:-1", "mixup:1e3", "mixup:"}) {
    INFO(wrong);
    CHECK_THROWS_AS(Augmentation::parse(wrong), Error);
  }
  for (const char* wrong : {"", "rotate", "crop", "crop:", "crop:0", "crop:-1", "crop:x",
                            "crop:1025", "crop:99999999999", "flip,", "none,flip"}) {
    INFO(wrong);
    CHECK_THROWS_AS(Augmentation::parse(wrong), Error);
  }
}

TEST_CASE("flip mirrors about every other image") {
  const Places places(true);
  const Preprocessing steps;
  const Augmented data(places, Augmentation::parse("flip"), steps, 1, 1);
  size_t mirrored = 0;
  for (size_t i = 0; i < data.size(); ++i) {
    const auto before = pixels(places, i);
    const auto after = pixels(data, i);
    if (after == before) continue;
    ++mirrored;
    for (size_t p = 0; p < 12; ++p) CHECK(after[p] == before[p / 4 * 4 + 3 - p % 4]);
  }
  CHECK(mirrored > 10);
  CHECK(mirrored < 30);
}

TEST_CASE("crop shows every window, and black beyond the edge, in both layouts") {
  Preprocessing steps;
  steps.mean = {10};
  steps.std = {2};
  for (const bool planes : {true, false}) {
    steps.layout = planes ? ImageLayout::nchw : ImageLayout::nhwc;
    const Places places(planes);
    std::set<std::vector<float>> seen;
    std::set<std::vector<float>> possible;
    for (const bool mirrored : {false, true}) {
      for (int down = -1; down <= 1; ++down) {
        for (int right = -1; right <= 1; ++right) {
          possible.insert(expected(mirrored, down, right, -5));  // (0 - 10) / 2
        }
      }
    }
    for (uint64_t epoch = 0; epoch < 300; ++epoch) {
      seen.insert(
          pixels(Augmented(places, Augmentation::parse("flip,crop:1"), steps, 1, epoch), 0));
    }
    CHECK(seen == possible);
  }
}

/// One image of the test's making.
class One : public Dataset {
 public:
  explicit One(Tensor image) : image_(std::move(image)) {}
  size_t size() const override { return 1; }
  bool labelled() const override { return false; }
  Json provenance() const override { return {}; }
  Sample get(size_t) const override {
    Sample sample;
    sample.inputs.emplace("x", image_.clone());
    return sample;
  }

 private:
  Tensor image_;
};

TEST_CASE("resized-crop: a slope stays a slope, as steep as the window is wide") {
  // 3 y + x, and 100 more in the second channel.
  Tensor slope(DType::float32, {2, 16, 20});
  for (size_t i = 0; i < 640; ++i) {
    slope.data<float>()[i] =
        static_cast<float>(3 * (i / 20 % 16) + i % 20) + (i >= 320 ? 100.0F : 0.0F);
  }
  const One image(std::move(slope));
  const Preprocessing steps;
  double least = 1;
  for (uint64_t epoch = 0; epoch < 200; ++epoch) {
    const Augmented data(image, Augmentation::parse("resized-crop:0.3"), steps, 1, epoch);
    const auto got = pixels(data, 0);
    const auto at = [&](size_t y, size_t x) { return static_cast<double>(got[y * 20 + x]); };
    const double height = (at(9, 10) - at(6, 10)) / 9;
    const double width = (at(8, 12) - at(8, 7)) / 5;
    CHECK(height <= 1.0001);
    CHECK(width <= 1.0001);
    CHECK(height * width >= 0.2999);
    CHECK(height / width > 0.7499);
    CHECK(height / width < 1.3334);
    CHECK(at(10, 11) == Approx(at(6, 7) + 4 * 3 * height + 4 * width).margin(1e-3));
    CHECK(got[320 + 8 * 20 + 8] == Approx(at(8, 8) + 100).margin(1e-3));
    CHECK(at(0, 0) >= 0);
    CHECK(at(15, 19) <= 3 * 15 + 19);
    least = std::min(least, height * width);
  }
  CHECK(least < 0.4);
}

TEST_CASE("jitter: grey stays grey, and its factors are found in the pixels") {
  Preprocessing steps;
  steps.scale = 1.0 / 255;
  steps.mean = {0.5, 0.25, 0};
  steps.std = {0.5, 0.5, 2};
  const auto levels = [&](const Tensor& image, uint64_t epoch) {
    const One data(image.clone());
    auto got = pixels(Augmented(data, Augmentation::parse("jitter:0.4"), steps, 1, epoch), 0);
    for (size_t i = 0; i < got.size(); ++i) {
      const size_t c = i * 3 / got.size();
      got[i] = static_cast<float>(static_cast<double>(got[i]) * steps.std[c] + steps.mean[c]);
    }
    return got;
  };
  const auto image = [&](std::vector<float> of_channels, size_t each) {
    Tensor made(DType::float32, {3, 1, static_cast<int64_t>(each)});
    for (size_t i = 0; i < of_channels.size(); ++i) {
      const size_t c = i / each;
      made.data<float>()[i] =
          static_cast<float>((static_cast<double>(of_channels[i]) - steps.mean[c]) / steps.std[c]);
    }
    return made;
  };
  float darkest = 1;
  float brightest = 0;
  for (uint64_t epoch = 0; epoch < 200; ++epoch) {
    // One grey: brightness alone. Two greys: their distance tells the contrast as well.
    const auto one = levels(image({0.5F, 0.5F, 0.5F}, 1), epoch);
    CHECK(one[1] == Approx(one[0]).margin(1e-5));
    CHECK(one[2] == Approx(one[0]).margin(1e-5));
    darkest = std::min(darkest, one[0]);
    brightest = std::max(brightest, one[0]);
    const float brightness = one[0] / 0.5F;
    const auto two = levels(image({0.4F, 0.6F, 0.4F, 0.6F, 0.4F, 0.6F}, 2), epoch);
    const float contrast = (two[1] - two[0]) / (0.2F * brightness);
    CHECK(contrast > 0.5999);
    CHECK(contrast < 1.4001);
    CHECK(two[0] + two[1] == Approx(brightness).margin(1e-4));
    // Red of its own grey: saturation scales the distance.
    const auto red = levels(image({0.5F, 0.4F, 0.4F}, 1), epoch);
    const float saturation = (red[0] - red[1]) / (0.1F * brightness * contrast);
    CHECK(saturation > 0.5999);
    CHECK(saturation < 1.4001);
  }
  CHECK(darkest >= 0.2999F);
  CHECK(darkest < 0.32F);
  CHECK(brightest <= 0.7001F);
  CHECK(brightest > 0.68F);
}

TEST_CASE("mix: each sample and a partner by their shares, which are Beta's") {
  const auto fresh = [] {
    Batch batch;
    batch.size = 4;
    batch.inputs.emplace("x", Tensor::of<float>({4, 2}, {1, 10, 2, 20, 3, 30, 4, 40}));
    batch.labels = {1, 2, 3, 4};
    return batch;
  };
  for (const double alpha : {0.2, 1.0, 3.0}) {
    double sum = 0;
    double squares = 0;
    std::set<int64_t> firsts;
    for (uint64_t step = 0; step < 4000; ++step) {
      Batch batch = fresh();
      const Mixed mixed = mix(batch, alpha, 1, 1, step);
      const auto share = static_cast<double>(mixed.share);
      sum += share;
      squares += (share - 0.5) * (share - 0.5);
      firsts.insert(mixed.partners[0]);
      CHECK(batch.labels == std::vector<int64_t>{1, 2, 3, 4});
      for (size_t n = 0; n < 4; ++n) {
        const auto wanted = share * static_cast<double>(n + 1) +
                            (1 - share) * static_cast<double>(mixed.partners[n]);
        CHECK(batch.inputs.at("x").data<float>()[2 * n] == Approx(wanted));
        CHECK(batch.inputs.at("x").data<float>()[2 * n + 1] == Approx(10 * wanted));
      }
    }
    CHECK(firsts.size() == 4);
    CHECK(sum / 4000 == Approx(0.5).margin(0.02));
    CHECK(squares / 4000 == Approx(1 / (4 * (2 * alpha + 1))).epsilon(0.06));
  }
  Batch one = fresh();
  Batch same = fresh();
  CHECK(mix(one, 1, 1, 2, 3).share == mix(same, 1, 1, 2, 3).share);
  CHECK(mix(one, 1, 1, 2, 4).share != mix(same, 1, 1, 2, 3).share);
  CHECK(mix(one, 1, 1, 3, 3).share != mix(same, 1, 1, 2, 3).share);
}

TEST_CASE("a change depends on seed, epoch and index only") {
  const Places places(true);
  const Preprocessing steps;
  const auto all = [&](uint64_t seed, uint64_t epoch) {
    const Augmented data(places, Augmentation::parse("flip,crop:2,resized-crop:0.5,jitter:0.1"),
                         steps, seed, epoch);
    std::vector<std::vector<float>> list;
    for (size_t i = 0; i < data.size(); ++i) list.push_back(pixels(data, i));
    return list;
  };
  CHECK(all(1, 2) == all(1, 2));
  CHECK(all(1, 2) != all(1, 3));
  CHECK(all(1, 2) != all(2, 2));
}

}  // namespace
}  // namespace qtool
