// SPDX-License-Identifier: Apache-2.0
// Bitmaps made byte by byte from the description of the format.
#include "catch.h"
#include "data/image.h"
#include "support/error.h"

using namespace qtool;
using Catch::Contains;

namespace {

void put(std::string& text, uint32_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
}

std::string bitmap(int32_t width, int32_t height, uint32_t depth, const std::string& palette,
                   const std::string& rows, uint32_t compression = 0) {
  std::string text = "BM";
  const auto offset = static_cast<uint32_t>(54 + palette.size());
  put(text, offset + static_cast<uint32_t>(rows.size()), 4);
  put(text, 0, 4);
  put(text, offset, 4);
  put(text, 40, 4);
  put(text, static_cast<uint32_t>(width), 4);
  put(text, static_cast<uint32_t>(height), 4);
  put(text, 1, 2);
  put(text, depth, 2);
  put(text, compression, 4);
  for (int i = 0; i < 5; ++i) put(text, 0, 4);
  return text + palette + rows;
}

Image decode(const std::string& text) { return decode_image(std::as_bytes(std::span(text))); }

using Pixels = std::vector<uint8_t>;

}  // namespace

TEST_CASE("a bitmap of 24 bits: blue first, the last row first, rows padded to 4 bytes") {
  const std::string rows{
      "\1\2\3\4\5\6\0\0"
      "\7\10\11\12\13\14\0\0",
      16};
  const Image image = decode(bitmap(2, 2, 24, "", rows));
  CHECK(image.width == 2);
  CHECK(image.pixels == Pixels{9, 8, 7, 12, 11, 10, 3, 2, 1, 6, 5, 4});
  CHECK(decode(bitmap(2, -2, 24, "", rows)).pixels ==
        Pixels{3, 2, 1, 6, 5, 4, 9, 8, 7, 12, 11, 10});
}

TEST_CASE("bitmaps of 32 bits and with palettes") {
  CHECK(decode(bitmap(1, 1, 32, "", "\1\2\3\x7f")).pixels == Pixels{3, 2, 1});
  const std::string palette{"\1\2\3\0\4\5\6\0", 8};
  CHECK(decode(bitmap(3, 1, 8, palette, std::string("\1\0\1\0", 4))).pixels ==
        Pixels{6, 5, 4, 3, 2, 1, 6, 5, 4});
  CHECK(decode(bitmap(3, 1, 1, palette, std::string("\xA0\0\0\0", 4))).pixels ==
        Pixels{6, 5, 4, 3, 2, 1, 6, 5, 4});
  CHECK(decode(bitmap(2, 1, 4, palette, std::string("\x01\0\0\0", 4))).pixels ==
        Pixels{3, 2, 1, 6, 5, 4});
}

TEST_CASE("bitmaps that are damaged or of another kind") {
  const std::string good = bitmap(2, 2, 24, "", std::string(16, 'x'));
  for (size_t length = 2; length < good.size(); ++length)
    CHECK_THROWS_AS(decode(good.substr(0, length)), Error);
  CHECK_THROWS_WITH(decode(good.substr(0, 60)), Contains("truncated"));
  CHECK_THROWS_WITH(decode(bitmap(2, 2, 16, "", std::string(16, 'x'))), Contains("16 bits"));
  CHECK_THROWS_WITH(decode(bitmap(2, 2, 8, "", std::string(16, 'x'), 1)), Contains("compressed"));
  CHECK_THROWS_WITH(decode(bitmap(2, 1, 8, "", std::string(4, 'x'))), Contains("palette"));
  CHECK_THROWS_WITH(decode(bitmap(-2, 2, 24, "", std::string(16, 'x'))), Contains("pixels"));
  CHECK_THROWS_WITH(decode(bitmap(60000, 60000, 24, "", std::string(16, 'x'))), Contains("pixels"));
  CHECK_THROWS_WITH(decode(bitmap(2, INT32_MIN, 24, "", std::string(16, 'x'))), Contains("pixels"));
}
