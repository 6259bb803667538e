// SPDX-License-Identifier: Apache-2.0
#include "data/image.h"

#include <algorithm>
#include <cstring>

#include "catch.h"
#include "support/error.h"
#include "support/file.h"
#include "support/rng.h"
#include "tensor/npy.h"

using namespace qtool;
using Catch::Contains;

namespace {

const std::filesystem::path kGolden = std::filesystem::path(QTOOL_SOURCE_DIR) / "tests/data/golden";

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

}  // namespace

TEST_CASE("JPEG and PNG of every kind have the pixels that Pillow gives") {
  const TensorMap expected = read_npz(kGolden / "pixels.npz");
  REQUIRE(expected.size() == 16);
  for (const auto& [file, pixels] : expected) {
    CAPTURE(file);
    const Image image = read_image(kGolden / file);
    REQUIRE(Shape{image.height, image.width, 3} == pixels.shape());
    const auto wanted = pixels.data<uint8_t>();
    REQUIRE(std::equal(wanted.begin(), wanted.end(), image.pixels.begin(), image.pixels.end()));
  }
}

TEST_CASE("truncated images are errors that name the file") {
  const test::TemporaryFolder folder;
  for (const char* name : {"color_420.jpg", "progressive.jpg", "cmyk.jpg", "rgb.png",
                           "interlaced.png", "palette.png"}) {
    CAPTURE(name);
    const std::string whole = read_file(kGolden / name);
    for (size_t length = 12; length + 2 < whole.size(); length += 1 + whole.size() / 50) {
      REQUIRE_THROWS_WITH(decode_image(bytes_of(whole.substr(0, length))), Contains("not a sound"));
    }
    write_file(folder / name, whole.substr(0, whole.size() / 2));
    CHECK_THROWS_WITH(read_image(folder / name), Contains(name) && Contains("not a sound"));
  }
}

TEST_CASE("corrupt images never do more than throw") {
  Rng rng(3);
  for (const char* name :
       {"color_420.jpg", "progressive.jpg", "cmyk.jpg", "gray.jpg", "rgba.png", "interlaced.png"}) {
    const std::string whole = read_file(kGolden / name);
    for (int round = 0; round < 200; ++round) {
      std::string damaged = whole;
      for (uint32_t i = 0, changes = 1 + rng.below(5); i < changes; ++i) {
        damaged[rng.below(static_cast<uint32_t>(whole.size()))] = static_cast<char>(rng.below(256));
      }
      try {
        decode_image(bytes_of(damaged));
      } catch (const Error& error) {
        REQUIRE(error.kind() == Error::Kind::input);
      }
    }
  }
}

TEST_CASE("a flipped bit in a PNG is found by its checksums") {
  std::string damaged = read_file(kGolden / "rgb.png");
  damaged[damaged.size() / 2] ^= 1;
  CHECK_THROWS_WITH(decode_image(bytes_of(damaged)), Contains("PNG"));
}

TEST_CASE("what is no image") {
  const test::TemporaryFolder folder;
  CHECK_THROWS_WITH(decode_image({}), Contains("empty"));
  CHECK_THROWS_WITH(decode_image(bytes_of("GIF89a")), Contains("neither a JPEG, PNG nor BMP"));
  CHECK_THROWS_WITH(read_image(folder / "none.jpg"), Contains("none.jpg"));
  // A header that claims 65500 x 65500 pixels must not get memory for them.
  std::string huge = read_file(kGolden / "color_444.jpg");
  const size_t frame = huge.find(std::string("\xFF\xC0\x00\x11", 4));
  REQUIRE(frame != std::string::npos);
  huge.replace(frame + 5, 4, "\xFF\xDC\xFF\xDC");
  CHECK_THROWS_WITH(decode_image(bytes_of(huge)), Contains("65500x65500"));
}

TEST_CASE("images of extreme extents are refused early") {
  // IHDR: length, type, width, height, ... and its checksum, which libpng checks after the limits.
  std::string png = read_file(kGolden / "rgb.png");
  png.replace(16, 8, std::string("\x00\x01\x00\x00\x00\x00\x00\x01", 8));
  CHECK_THROWS_WITH(decode_image(bytes_of(png)), Contains("not a sound PNG"));
}

TEST_CASE("a progressive file with endless scans is refused") {
  const std::string whole = read_file(kGolden / "progressive.jpg");
  // Repeat the last scan (from its tables or header on) before the end marker.
  const size_t last_scan = whole.rfind(std::string("\xFF\xDA", 2));
  REQUIRE(last_scan != std::string::npos);
  std::string endless = whole.substr(0, whole.size() - 2);
  const std::string scan = endless.substr(last_scan);
  for (int i = 0; i < 600; ++i) endless += scan;
  CHECK_THROWS_WITH(decode_image(bytes_of(endless + "\xFF\xD9")), Contains("not a sound JPEG"));
}

TEST_CASE("extensions") {
  for (const char* yes : {"a.jpg", "a.JPEG", "b/c.PNG", "x.y.jpe"}) CHECK(has_image_extension(yes));
  for (const char* no : {"a.gif", "jpg", "a.jpg.txt", ".png", ""})
    CHECK_FALSE(has_image_extension(no));
}
