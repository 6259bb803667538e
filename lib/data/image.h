// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace qtool {

/// 8-bit RGB, row-major [height][width][3].
struct Image {
  int height = 0;
  int width = 0;
  std::vector<uint8_t> pixels;
};

/// No image is decoded that has more pixels, or a side that is longer.
inline constexpr int64_t kMaxPixels = 100'000'000;
inline constexpr int kMaxImageSide = 65535;

/// Decodes a JPEG, PNG or (uncompressed) BMP to the pixels that Pillow's convert("RGB") gives: JPEG
/// with the accurate integer transform and smooth chroma; gray, palette, CMYK (as Adobe stores it,
/// inverted) become RGB; alpha is dropped; of 16 bits the upper 8 stay. EXIF orientation and colour
/// profiles are not applied. Errors (input): no such format, truncated, corrupt, too large; the
/// message has no file name.
Image decode_image(std::span<const std::byte> bytes);

/// The same for a file, which errors name.
Image read_image(const std::filesystem::path& path);

/// ".jpg" of "A.JPG".
std::string lower_extension(const std::filesystem::path& path);

/// By the file's extension: one that decode_image can read.
bool has_image_extension(const std::filesystem::path& path);

}  // namespace qtool
