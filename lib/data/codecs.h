// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "data/image.h"

namespace qtool {

/// See decode_image(); these take one format each.
Image decode_jpeg(std::span<const std::byte> bytes);
Image decode_png(std::span<const std::byte> bytes);
Image decode_bmp(std::span<const std::byte> bytes);

/// An image of zeros. Errors (input): no pixels, more than kMaxPixels.
Image make_image(int64_t height, int64_t width);

}  // namespace qtool
