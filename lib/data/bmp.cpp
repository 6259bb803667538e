// SPDX-License-Identifier: Apache-2.0
// Windows bitmaps (BITMAPFILEHEADER, then BITMAPINFOHEADER or a later one): uncompressed, 1, 4 or 8
// bits with a palette, 24 or 32 bits; bottom-up or top-down.
#include <cstdlib>

#include "data/codecs.h"
#include "support/error.h"
#include "support/text.h"

namespace qtool {

namespace {

constexpr size_t kFileHeader = 14;
constexpr uint32_t kUncompressed = 0;
constexpr uint32_t kMasks = 3;

class Bitmap {
 public:
  explicit Bitmap(std::span<const std::byte> bytes) : bytes_(bytes) {
    if (bytes.size() < kFileHeader + 40) throw cut();
    pixels_at_ = number(10, 4);
    header_ = number(14, 4);
    if (header_ < 40)
      throw input_error("a bitmap of OS/2, which is not read", "Convert it to PNG.");
    width_ = static_cast<int32_t>(number(18, 4));
    height_ = static_cast<int32_t>(number(22, 4));
    depth_ = number(28, 2);
    compression_ = number(30, 4);
  }

  Image decode() {
    const bool top_down = height_ < 0;
    const int64_t height = std::llabs(height_);
    Image image = make_image(height, width_);
    check_form();
    const size_t stride = (static_cast<size_t>(width_) * depth_ + 31) / 32 * 4;
    if (pixels_at_ > bytes_.size() ||
        (bytes_.size() - pixels_at_) / stride < static_cast<size_t>(height)) {
      throw cut();
    }
    for (int64_t y = 0; y < height; ++y) {
      const auto row = static_cast<size_t>(top_down ? y : height - 1 - y);
      uint8_t* to = image.pixels.data() + static_cast<size_t>(y * width_) * 3;
      for (size_t x = 0; x < static_cast<size_t>(width_); ++x, to += 3)
        put_pixel(pixels_at_ + row * stride, x, to);
    }
    return image;
  }

 private:
  static Error cut() { return input_error("the bitmap is truncated or damaged"); }

  uint32_t number(size_t at, size_t count) const {
    uint32_t value = 0;
    for (size_t i = 0; i < count; ++i) value |= static_cast<uint32_t>(byte(at + i)) << (8 * i);
    return value;
  }
  uint8_t byte(size_t at) const {
    if (at >= bytes_.size()) throw cut();
    return static_cast<uint8_t>(bytes_[at]);
  }

  void check_form() const {
    const bool palette = depth_ == 1 || depth_ == 4 || depth_ == 8;
    if (!palette && depth_ != 24 && depth_ != 32) {
      throw input_error(fmt::format("a bitmap of {} bits a pixel, which is not read", depth_),
                        "Convert it to PNG.");
    }
    // 32 bits with masks are read where the masks say what stands there without them.
    const bool usual_masks = compression_ == kMasks && depth_ == 32 && number(54, 4) == 0xFF0000 &&
                             number(58, 4) == 0xFF00 && number(62, 4) == 0xFF;
    if (compression_ != kUncompressed && !usual_masks) {
      throw input_error("a compressed bitmap, which is not read", "Convert it to PNG.");
    }
  }

  /// The file has blue first.
  void put_pixel(size_t row_at, size_t x, uint8_t* to) const {
    size_t at = row_at + x * depth_ / 8;
    if (depth_ <= 8) {
      const auto shift = static_cast<unsigned>(8 - depth_ - x * depth_ % 8);
      const unsigned index = (byte(at) >> shift) & ((1U << depth_) - 1);
      at = kFileHeader + header_ + size_t{4} * index;
      if (at + 4 > pixels_at_) throw input_error("the bitmap has a colour beyond its palette");
    }
    to[0] = byte(at + 2);
    to[1] = byte(at + 1);
    to[2] = byte(at);
  }

  std::span<const std::byte> bytes_;
  size_t pixels_at_ = 0;
  size_t header_ = 0;
  int64_t width_ = 0;
  int64_t height_ = 0;
  size_t depth_ = 0;
  uint32_t compression_ = 0;
};

}  // namespace

Image decode_bmp(std::span<const std::byte> bytes) { return Bitmap(bytes).decode(); }

}  // namespace qtool
