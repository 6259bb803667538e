// SPDX-License-Identifier: Apache-2.0
#include "data/image.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>

#include "data/codecs.h"
#include "support/error.h"
#include "support/file.h"
#include "support/text.h"

namespace qtool {

namespace {

bool begins_with(std::span<const std::byte> bytes, std::string_view magic) {
  return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

}  // namespace

Image make_image(int64_t height, int64_t width) {
  if (height <= 0 || width <= 0 || height > kMaxPixels / width) {
    throw input_error(
        fmt::format("it has {}x{} pixels; 1 to {} in all can be read", width, height, kMaxPixels));
  }
  return {static_cast<int>(height), static_cast<int>(width),
          std::vector<uint8_t>(static_cast<size_t>(height * width * 3))};
}

Image decode_image(std::span<const std::byte> bytes) {
  if (begins_with(bytes, "\xFF\xD8\xFF")) return decode_jpeg(bytes);
  if (begins_with(bytes, "\x89PNG\r\n\x1A\n")) return decode_png(bytes);
  if (begins_with(bytes, "BM")) return decode_bmp(bytes);
  throw input_error(bytes.empty() ? "the file is empty" : "neither a JPEG, PNG nor BMP image",
                    "Convert it to one of these, or take it out of the data set.");
}

Image read_image(const std::filesystem::path& path) {
  const MappedFile file(path);
  return within_frame([&] { return path.string(); }, [&] { return decode_image(file.bytes()); });
}

std::string lower_extension(const std::filesystem::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return extension;
}

bool has_image_extension(const std::filesystem::path& path) {
  static constexpr std::array<std::string_view, 6> kKnown{".jpg",  ".jpeg", ".jpe",
                                                          ".jfif", ".png",  ".bmp"};
  return std::find(kKnown.begin(), kKnown.end(), lower_extension(path)) != kKnown.end();
}

}  // namespace qtool
