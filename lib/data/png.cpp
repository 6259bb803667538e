// SPDX-License-Identifier: Apache-2.0
// libpng's errors leave by longjmp, as in jpeg.cpp.
#include <png.h>

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstring>
#include <string>

#include "data/codecs.h"
#include "support/error.h"

namespace qtool {

namespace {

constexpr png_alloc_size_t kMaxChunk = 16U << 20;  ///< of what stands beside the pixels

struct Decoder {
  png_structp png = nullptr;
  png_infop info = nullptr;
  std::span<const std::byte> rest;
  std::array<char, 128> message{};

  Decoder() = default;
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;
  ~Decoder() { png_destroy_read_struct(&png, &info, nullptr); }
};

[[noreturn]] void on_error(png_structp png, png_const_charp text) {
  auto& message = static_cast<Decoder*>(png_get_error_ptr(png))->message;
  std::strncpy(message.data(), text, message.size() - 1);
  png_longjmp(png, 1);
}

void on_warning(png_structp, png_const_charp) {}

void read_bytes(png_structp png, png_bytep to, size_t count) {
  Decoder& decoder = *static_cast<Decoder*>(png_get_io_ptr(png));
  if (count > decoder.rest.size()) png_error(png, "the file ends early");
  std::memcpy(to, decoder.rest.data(), count);
  decoder.rest = decoder.rest.subspan(count);
}

/// False when libpng gave up; the message says why.
bool read_header(Decoder& decoder) {
  if (setjmp(png_jmpbuf(decoder.png)) != 0) return false;
  png_set_user_limits(decoder.png, kMaxImageSide, kMaxImageSide);
  png_set_chunk_malloc_max(decoder.png, kMaxChunk);
  png_set_read_fn(decoder.png, &decoder, read_bytes);
  png_read_info(decoder.png, decoder.info);
  png_set_expand(decoder.png);
  png_set_strip_16(decoder.png);
  png_set_strip_alpha(decoder.png);
  png_set_gray_to_rgb(decoder.png);
  png_set_interlace_handling(decoder.png);
  png_read_update_info(decoder.png, decoder.info);
  return true;
}

bool read_rows(Decoder& decoder, png_bytepp rows) {
  if (setjmp(png_jmpbuf(decoder.png)) != 0) return false;
  png_read_image(decoder.png, rows);
  png_read_end(decoder.png, nullptr);
  return true;
}

}  // namespace

Image decode_png(std::span<const std::byte> bytes) {
  Decoder decoder;
  decoder.rest = bytes;
  decoder.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &decoder, on_error, on_warning);
  if (decoder.png != nullptr) decoder.info = png_create_info_struct(decoder.png);
  if (decoder.info == nullptr)
    throw input_error("libpng has no memory, or is of another version than at build time");
  const auto fail = [&] {
    return input_error("not a sound PNG image: " + std::string(decoder.message.data()),
                       "Replace the file or take it out of the data set.");
  };
  if (!read_header(decoder)) throw fail();
  Image image = make_image(png_get_image_height(decoder.png, decoder.info),
                           png_get_image_width(decoder.png, decoder.info));
  const auto stride = static_cast<size_t>(image.width) * 3;
  QTOOL_CHECK(png_get_rowbytes(decoder.png, decoder.info) == stride, "libpng was told to make RGB");
  std::vector<png_bytep> rows;
  for (size_t y = 0; y < static_cast<size_t>(image.height); ++y)
    rows.push_back(image.pixels.data() + y * stride);
  if (!read_rows(decoder, rows.data())) throw fail();
  return image;
}

}  // namespace qtool
