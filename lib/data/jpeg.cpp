// SPDX-License-Identifier: Apache-2.0
// libjpeg reports errors by a function that must not return; it leaves by longjmp, past frames
// that own nothing.
#include <csetjmp>
#include <cstdio>

#include <jpeglib.h>
// jpeglib.h goes first.
#include <jerror.h>

#include <array>
#include <string>

#include "data/codecs.h"
#include "support/error.h"

namespace qtool {

namespace {

/// A progressive file can ask for any number of passes over all its pixels.
constexpr int kMaxScans = 500;

struct Decoder {
  jpeg_decompress_struct info{};
  jpeg_error_mgr errors{};
  jpeg_progress_mgr progress{};
  std::jmp_buf escape{};
  std::array<char, JMSG_LENGTH_MAX> message{};
};

Decoder& decoder_of(j_common_ptr info) { return *static_cast<Decoder*>(info->client_data); }

[[noreturn]] void leave(j_common_ptr info) {
  Decoder& decoder = decoder_of(info);
  (*info->err->format_message)(info, decoder.message.data());
  std::longjmp(decoder.escape, 1);
}

/// libjpeg goes on after what it calls a warning, filling up with gray. Some are harmless.
void on_message(j_common_ptr info, int level) {
  if (level >= 0) return;
  switch (info->err->msg_code) {
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_ADOBE_XFORM:
    case JWRN_JFIF_MAJOR:
    case JWRN_TOO_MUCH_DATA: return;
    default: leave(info);
  }
}

void on_progress(j_common_ptr info) {
  Decoder& decoder = decoder_of(info);
  if (decoder.info.input_scan_number <= kMaxScans) return;
  std::snprintf(decoder.message.data(), decoder.message.size(), "more than %d scans", kMaxScans);
  std::longjmp(decoder.escape, 1);
}

/// False when libjpeg gave up; the message says why.
bool read_header(Decoder& decoder, std::span<const std::byte> bytes) {
  if (setjmp(decoder.escape) != 0) return false;
  jpeg_create_decompress(&decoder.info);
  decoder.info.progress = &decoder.progress;
  jpeg_mem_src(&decoder.info, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  jpeg_read_header(&decoder.info, TRUE);
  decoder.info.dct_method = JDCT_ISLOW;
  decoder.info.do_fancy_upsampling = TRUE;
  decoder.info.out_color_space = decoder.info.num_components == 4 ? JCS_CMYK : JCS_RGB;
  return true;
}

/// Rows of 3 bytes a pixel go to `pixels`; rows of 4 go through `row`.
bool read_rows(Decoder& decoder, uint8_t* pixels, uint8_t* row,
               void (*convert)(const uint8_t*, uint8_t*, size_t)) {
  if (setjmp(decoder.escape) != 0) return false;
  jpeg_start_decompress(&decoder.info);
  const size_t width = decoder.info.output_width;
  while (decoder.info.output_scanline < decoder.info.output_height) {
    uint8_t* to = pixels + decoder.info.output_scanline * width * 3;
    JSAMPROW target = convert == nullptr ? to : row;
    jpeg_read_scanlines(&decoder.info, &target, 1);
    if (convert != nullptr) convert(row, to, width);
  }
  jpeg_finish_decompress(&decoder.info);
  return true;
}

/// Adobe stores 255 - ink. The product is rounded as Pillow does it.
void from_inverted_cmyk(const uint8_t* from, uint8_t* to, size_t count) {
  for (size_t i = 0; i < count; ++i, from += 4, to += 3) {
    const int white = from[3];
    for (int c = 0; c < 3; ++c) {
      const int product = (255 - from[c]) * white + 128;
      to[c] = static_cast<uint8_t>(white - ((product >> 8) + product) / 256);
    }
  }
}

}  // namespace

Image decode_jpeg(std::span<const std::byte> bytes) {
  Decoder decoder;
  decoder.info.err = jpeg_std_error(&decoder.errors);
  decoder.errors.error_exit = leave;
  decoder.errors.emit_message = on_message;
  decoder.progress.progress_monitor = on_progress;
  decoder.info.client_data = &decoder;
  const struct Destroy {
    Decoder& decoder;
    ~Destroy() { jpeg_destroy_decompress(&decoder.info); }
  } destroy{decoder};

  const auto fail = [&] {
    return input_error("not a sound JPEG image: " + std::string(decoder.message.data()),
                       "Replace the file or take it out of the data set.");
  };
  if (!read_header(decoder, bytes)) throw fail();
  Image image = make_image(decoder.info.image_height, decoder.info.image_width);
  const bool cmyk = decoder.info.out_color_space == JCS_CMYK;
  std::vector<uint8_t> row(cmyk ? static_cast<size_t>(image.width) * 4 : 0);
  if (!read_rows(decoder, image.pixels.data(), row.data(), cmyk ? from_inverted_cmyk : nullptr))
    throw fail();
  return image;
}

}  // namespace qtool
