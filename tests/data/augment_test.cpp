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
  CHECK(Augmentation::parse("none").none());
  const Augmentation both = Augmentation::parse("flip,crop:4");
  CHECK(both.flip);
  CHECK(both.crop == 4);
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

TEST_CASE("a change depends on seed, epoch and index only") {
  const Places places(true);
  const Preprocessing steps;
  const auto all = [&](uint64_t seed, uint64_t epoch) {
    const Augmented data(places, Augmentation::parse("flip,crop:2"), steps, seed, epoch);
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
