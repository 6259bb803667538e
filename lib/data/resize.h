// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "data/image.h"
#include "data/preprocess.h"

namespace qtool {

/// A part of an image, in pixels.
struct Window {
  int top = 0;
  int left = 0;
  Extent extent;
};

/// The part `window` of `image` scaled to `size`, antialiased: the filter's support grows with the
/// reduction, each axis in its own pass with 8-bit pixels between, in fixed point of 22 bits. The
/// pixels are those of Pillow's resize(); Pillow's `reducing_gap` and `draft` are not imitated.
Image resize(const Image& image, Extent size, Filter filter, const Window& window);

/// The extent that a Resize asks for. Errors (input): a side of more than 65536 pixels or of none.
Extent resized_extent(const Resize& resize, Extent from);

/// The window of `crop` in the middle of `from`; halves round to even, as torchvision does it.
Window centre(Extent crop, Extent from);

}  // namespace qtool
