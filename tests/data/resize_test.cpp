// SPDX-License-Identifier: Apache-2.0
#include "data/resize.h"

#include <algorithm>
#include <cmath>

#include "catch.h"
#include "support/rng.h"
#include "tensor/npy.h"

using namespace qtool;
using Catch::Contains;

namespace {

const std::filesystem::path kGolden = std::filesystem::path(QTOOL_SOURCE_DIR) / "tests/data/golden";

Image image_of(const Tensor& tensor) {
  const auto values = tensor.data<uint8_t>();
  return {static_cast<int>(tensor.shape()[0]),
          static_cast<int>(tensor.shape()[1]),
          {values.begin(), values.end()}};
}

Image whole(const Image& image, Extent size, Filter filter) {
  return resize(image, size, filter, {0, 0, size});
}

Image random_image(int height, int width, uint64_t seed) {
  Image image{height, width, std::vector<uint8_t>(static_cast<size_t>(height * width * 3))};
  Rng rng(seed);
  for (uint8_t& value : image.pixels) value = static_cast<uint8_t>(rng.below(256));
  return image;
}

std::vector<uint8_t> cut(const Image& image, const Window& window) {
  std::vector<uint8_t> pixels;
  for (int y = window.top; y < window.top + window.extent.height; ++y) {
    const auto row = image.pixels.begin() + 3 * (y * image.width + window.left);
    pixels.insert(pixels.end(), row, row + 3 * window.extent.width);
  }
  return pixels;
}

}  // namespace

TEST_CASE("resizing gives Pillow's pixels, all of them") {
  const TensorMap golden = read_npz(kGolden / "resize.npz");
  int compared = 0;
  for (const auto& [key, expected] : golden) {
    const size_t slash = key.find('/');
    if (slash == std::string::npos) continue;
    CAPTURE(key);
    const Filter filter =
        key.find("bicubic") != std::string::npos ? Filter::bicubic : Filter::bilinear;
    const Extent size{static_cast<int>(expected.shape()[0]), static_cast<int>(expected.shape()[1])};
    const Image result = whole(image_of(golden.at(key.substr(0, slash))), size, filter);
    const auto wanted = expected.data<uint8_t>();
    REQUIRE(std::equal(wanted.begin(), wanted.end(), result.pixels.begin(), result.pixels.end()));
    ++compared;
  }
  CHECK(compared == 28);
}

TEST_CASE("halving is the triangle's weighted mean") {
  // Along 8 pixels, output 1 of 4 lies at 3.0 with support 2: weights 1 3 3 1 of inputs 1 to 4.
  Image row{1, 8, {}};
  for (int x = 0; x < 8; ++x)
    row.pixels.insert(row.pixels.end(), 3, static_cast<uint8_t>(x * x * 4));
  const Image half = whole(row, {1, 4}, Filter::bilinear);
  CHECK(half.pixels[3] == std::lround((4 + 3 * 16 + 3 * 36 + 64) / 8.0));
  // The first one has nothing at its left: 3 3 1 of inputs 0 to 2.
  CHECK(half.pixels[0] == std::lround((0 + 3 * 4 + 16) / 7.0));
}

TEST_CASE("a flat image stays flat in any size and filter") {
  const Image flat{9, 14, std::vector<uint8_t>(9 * 14 * 3, 201)};
  for (const Filter filter : {Filter::bilinear, Filter::bicubic}) {
    for (const Extent size : {Extent{3, 3}, Extent{31, 2}, Extent{9, 50}, Extent{1, 1}}) {
      const Image result = whole(flat, size, filter);
      CHECK(std::all_of(result.pixels.begin(), result.pixels.end(),
                        [](uint8_t value) { return value == 201; }));
    }
  }
}

TEST_CASE("a window is exactly that part of the whole") {
  const Image image = random_image(37, 53, 4);
  for (const Filter filter : {Filter::bilinear, Filter::bicubic}) {
    for (const Extent size :
         {Extent{20, 30}, Extent{37, 30}, Extent{20, 53}, Extent{37, 53}, Extent{80, 90}}) {
      const Image all = whole(image, size, filter);
      for (const Window& window : {Window{0, 0, {1, 1}}, Window{3, 5, {11, 17}},
                                   Window{size.height - 2, size.width - 3, {2, 3}}}) {
        CHECK(resize(image, size, filter, window).pixels == cut(all, window));
      }
    }
  }
}

TEST_CASE("the extent after resizing") {
  const auto shorter = [](int pixels, Extent from) {
    return resized_extent({ShorterSide{pixels}, Filter::bilinear}, from);
  };
  CHECK(shorter(256, {299, 299}) == Extent{256, 256});
  CHECK(shorter(256, {375, 500}) == Extent{256, 341});  // 341.33, as torchvision rounds down
  CHECK(shorter(256, {500, 375}) == Extent{341, 256});
  CHECK(shorter(256, {480, 640}) == Extent{256, 341});
  CHECK(resized_extent({Extent{240, 320}, Filter::bicubic}, {7, 9}) == Extent{240, 320});
  CHECK_THROWS_WITH(shorter(16384, {1, 1000}), Contains("1000x1"));
}

TEST_CASE("the centre crop rounds halves to even") {
  const auto top = [](int from, int crop) { return centre({crop, 1}, {from, 1}).top; };
  CHECK(top(256, 224) == 16);
  CHECK(top(341, 224) == 58);  // 58.5
  CHECK(top(343, 224) == 60);  // 59.5
  CHECK(top(225, 224) == 0);   // 0.5
  CHECK(top(227, 224) == 2);   // 1.5
  CHECK(top(224, 224) == 0);
  CHECK_THROWS_WITH(centre({224, 224}, {224, 200}), Contains("224x224") && Contains("200x224"));
}
