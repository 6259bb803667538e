// SPDX-License-Identifier: Apache-2.0
#include "data/resize.h"

#include <algorithm>
#include <cmath>

#include "support/text.h"

namespace qtool {

namespace {

constexpr int kFractionBits = 32 - 8 - 2;  // 8 for the pixel, 2 for overshoot and sign
constexpr int32_t kHalf = 1 << (kFractionBits - 1);
constexpr int kMaxSide = 65536;

double support_of(Filter filter) { return filter == Filter::bilinear ? 1 : 2; }

double filter_value(Filter filter, double x) {
  x = std::fabs(x);
  if (filter == Filter::bilinear) return x < 1 ? 1 - x : 0;
  constexpr double a = -0.5;  // Keys' cubic
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

/// For each output of one axis, the inputs it sees and their weights.
struct Taps {
  int width = 0;           ///< weights kept for each output
  std::vector<int> first;  ///< by output
  std::vector<int> count;
  std::vector<int32_t> weights;  ///< [output][width], in units of 2^-22

  const int32_t* of(int output) const {
    return weights.data() + static_cast<size_t>(output) * static_cast<size_t>(width);
  }
};

/// Taps of the outputs [begin, begin + outputs) when `from` inputs become `to`.
Taps make_taps(int from, int to, int begin, int outputs, Filter filter) {
  const double scale = static_cast<double>(from) / to;
  const double stretch = std::max(scale, 1.0);
  const double support = support_of(filter) * stretch;
  Taps taps;
  taps.width = static_cast<int>(std::ceil(support)) * 2 + 1;
  taps.weights.resize(static_cast<size_t>(outputs) * static_cast<size_t>(taps.width));
  std::vector<double> exact(static_cast<size_t>(taps.width));
  for (int i = 0; i < outputs; ++i) {
    const double centre = (begin + i + 0.5) * scale;
    const int first = std::max(0, static_cast<int>(centre - support + 0.5));
    const int end = std::min(from, static_cast<int>(centre + support + 0.5));
    double sum = 0;
    for (int x = first; x < end; ++x) {
      const double weight = filter_value(filter, (x - centre + 0.5) * (1 / stretch));
      exact[static_cast<size_t>(x - first)] = weight;
      sum += weight;
    }
    int32_t* weights =
        taps.weights.data() + static_cast<size_t>(i) * static_cast<size_t>(taps.width);
    for (int x = 0; x < end - first; ++x) {
      double weight = exact[static_cast<size_t>(x)];
      if (sum != 0) weight /= sum;
      // Away from zero at halves, by truncation.
      weights[x] = static_cast<int32_t>(weight * (1 << kFractionBits) + (weight < 0 ? -0.5 : 0.5));
    }
    taps.first.push_back(first);
    taps.count.push_back(end - first);
  }
  return taps;
}

uint8_t to_pixel(int32_t sum) {
  return static_cast<uint8_t>(std::clamp(sum >> kFractionBits, 0, 255));
}

void horizontal_pass(const uint8_t* from, uint8_t* to, const Taps& taps, int outputs) {
  for (int i = 0; i < outputs; ++i) {
    const uint8_t* pixel = from + 3 * static_cast<ptrdiff_t>(taps.first[static_cast<size_t>(i)]);
    const int32_t* weights = taps.of(i);
    int32_t red = kHalf;
    int32_t green = kHalf;
    int32_t blue = kHalf;
    for (int k = 0, count = taps.count[static_cast<size_t>(i)]; k < count; ++k, pixel += 3) {
      red += pixel[0] * weights[k];
      green += pixel[1] * weights[k];
      blue += pixel[2] * weights[k];
    }
    *to++ = to_pixel(red);
    *to++ = to_pixel(green);
    *to++ = to_pixel(blue);
  }
}

/// One output row from `count` rows that lie `stride` bytes apart.
void vertical_pass(const uint8_t* from, size_t stride, const int32_t* weights, int count,
                   std::vector<int32_t>& sums, uint8_t* to) {
  std::fill(sums.begin(), sums.end(), kHalf);
  for (int k = 0; k < count; ++k, from += stride) {
    for (size_t x = 0; x < sums.size(); ++x) sums[x] += from[x] * weights[k];
  }
  for (size_t x = 0; x < sums.size(); ++x) to[x] = to_pixel(sums[x]);
}

/// The columns of `window` in the rows [top, top + rows), scaled along the rows only.
Image narrowed(const Image& image, int width, Filter filter, const Window& window, int top,
               int rows) {
  const auto bytes = static_cast<size_t>(window.extent.width) * 3;
  Image result{rows, window.extent.width, std::vector<uint8_t>(static_cast<size_t>(rows) * bytes)};
  const auto source_bytes = static_cast<size_t>(image.width) * 3;
  const bool same = width == image.width;  // Pillow leaves out a pass that changes nothing
  const Taps taps =
      same ? Taps{} : make_taps(image.width, width, window.left, window.extent.width, filter);
  for (int y = 0; y < rows; ++y) {
    const uint8_t* from = image.pixels.data() + static_cast<size_t>(top + y) * source_bytes;
    uint8_t* to = result.pixels.data() + static_cast<size_t>(y) * bytes;
    if (same) {
      std::copy_n(from + 3 * static_cast<ptrdiff_t>(window.left), bytes, to);
    } else {
      horizontal_pass(from, to, taps, window.extent.width);
    }
  }
  return result;
}

}  // namespace

Image resize(const Image& image, Extent size, Filter filter, const Window& window) {
  const auto [height, width] = window.extent;
  QTOOL_CHECK(window.top >= 0 && window.left >= 0 && window.top + height <= size.height &&
                  window.left + width <= size.width && height > 0 && width > 0,
              "a window outside of the image");
  if (size.height == image.height)
    return narrowed(image, size.width, filter, window, window.top, height);
  const Taps taps = make_taps(image.height, size.height, window.top, height, filter);
  const int top = taps.first.front();
  const int bottom = taps.first.back() + taps.count.back();
  const Image rows = narrowed(image, size.width, filter, window, top, bottom - top);
  const auto stride = static_cast<size_t>(width) * 3;
  Image result{height, width, std::vector<uint8_t>(static_cast<size_t>(height) * stride)};
  std::vector<int32_t> sums(stride);
  for (int y = 0; y < height; ++y) {
    const auto output = static_cast<size_t>(y);
    const auto first = static_cast<size_t>(taps.first[output] - top);
    vertical_pass(rows.pixels.data() + first * stride, stride, taps.of(y), taps.count[output], sums,
                  result.pixels.data() + output * stride);
  }
  return result;
}

Extent resized_extent(const Resize& resize, Extent from) {
  if (const Extent* exact = std::get_if<Extent>(&resize.to)) return *exact;
  const int64_t shorter = std::get<ShorterSide>(resize.to).pixels;
  const bool tall = from.height > from.width;
  const int64_t longer =
      shorter * std::max(from.height, from.width) / std::min(from.height, from.width);
  if (longer > kMaxSide) {
    throw input_error(fmt::format("of {}x{} pixels, it would be resized to {}x{}", from.width,
                                  from.height, tall ? shorter : longer, tall ? longer : shorter));
  }
  const auto pixels = static_cast<int>(shorter);
  return tall ? Extent{static_cast<int>(longer), pixels} : Extent{pixels, static_cast<int>(longer)};
}

Window centre(Extent crop, Extent from) {
  if (crop.height > from.height || crop.width > from.width) {
    throw input_error(fmt::format("a crop of {}x{} pixels does not fit into the image's {}x{}",
                                  crop.width, crop.height, from.width, from.height),
                      "Let the preprocessing resize it to at least the crop.");
  }
  const auto half = [](int space) { return space / 2 + (space % 4 == 3 ? 1 : 0); };
  return {half(from.height - crop.height), half(from.width - crop.width), crop};
}

}  // namespace qtool
