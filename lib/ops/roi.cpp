// SPDX-License-Identifier: Apache-2.0
// RoiAlign (10: coordinates as they are, 16: also moved by half a pixel), MaxRoiPool (1).
#include <algorithm>
#include <cmath>

#include "ops/families.h"
#include "ops/indices.h"
#include "support/text.h"

namespace qtool {

namespace {

/// Samples a bin may ask for along an axis, beyond the input's extent: a region far larger than
/// the image shows nothing more.
constexpr double kMostSamples = 4096;

struct Image {
  const Tensor& x;
  int64_t batch, channels, height, width;

  explicit Image(const Tensor& tensor)
      : x(tensor), batch(tensor.shape()[0]), channels(tensor.shape()[1]), height(tensor.shape()[2]),
        width(tensor.shape()[3]) {}

  float at(int64_t n, int64_t c, int64_t row, int64_t column) const {
    return x
        .data<float>()[static_cast<size_t>(((n * channels + c) * height + row) * width + column)];
  }
};

int64_t positive(const NodeView& node, const char* name, int64_t otherwise) {
  const int64_t value = node.attributes().integer(name, otherwise);
  if (value < 1 || value > kMostExtent) throw input_error(fmt::format("\"{}\" is {}", name, value));
  return value;
}

/// [R, C, height, width].
void infer_regions(InferContext& context, int64_t columns, int64_t height, int64_t width) {
  const NodeView& node = context.node;
  TensorType type{node.input_type(0).dtype, std::vector<Dim>(4)};
  (*type.shape)[2].value = height;
  (*type.shape)[3].value = width;
  if (const auto& x = node.input_type(0).shape) {
    if (x->size() != 4)
      throw input_error(fmt::format("an input of rank {}, expected [N, C, H, W]", x->size()));
    (*type.shape)[1] = (*x)[1];
  }
  if (const auto& rois = node.input_type(1).shape) {
    if (rois->size() != 2 || (*rois)[1].value.value_or(columns) != columns) {
      throw input_error(
          fmt::format("regions are {}, expected [R, {}]", to_string(node.input_type(1)), columns));
    }
    (*type.shape)[0] = (*rois)[0];
  }
  context.set_output(0, std::move(type));
}

// ---- RoiAlign: He et al. 2017, "Mask R-CNN" ---------------------------------------------------

void infer_roi_align(InferContext& context) {
  const NodeView& node = context.node;
  infer_regions(context, 4, positive(node, "output_height", 1), positive(node, "output_width", 1));
  check_indices(node, 2);
  const auto& rois = node.input_type(1).shape;
  const auto& batches = node.input_type(2).shape;
  if (rois && batches &&
      (batches->size() != 1 ||
       ((*rois)[0].value && (*batches)[0].value && *(*rois)[0].value != *(*batches)[0].value))) {
    throw input_error("batch_indices are " + to_string(node.input_type(2)) +
                      ", expected one for each region");
  }
}

/// The samples of one axis of a bin: where a region starts, how long a bin is.
struct Bins {
  double start;
  double length;
  int64_t samples;

  double place(int64_t bin, int64_t sample) const {
    return start + static_cast<double>(bin) * length +
           (static_cast<double>(sample) + 0.5) * length / static_cast<double>(samples);
  }
};

Bins bins_of(double low, double high, int64_t count, int64_t sampling_ratio, bool half_pixel,
             int64_t extent) {
  const double offset = half_pixel ? 0.5 : 0;
  const double start = low - offset;
  double length = high - offset - start;
  if (!half_pixel) length = std::max(length, 1.0);
  const double bin = length / static_cast<double>(count);
  const double samples = sampling_ratio > 0 ? static_cast<double>(sampling_ratio) : std::ceil(bin);
  if (!(samples <= kMostSamples + static_cast<double>(extent)) || !std::isfinite(start)) {
    throw input_error(fmt::format("a region from {} to {}", low, high));
  }
  return {start, bin, std::max<int64_t>(0, static_cast<int64_t>(samples))};
}

/// The four pixels around a place and their weights; none outside.
struct Corners {
  int64_t rows[2];
  int64_t columns[2];
  double row_weights[2];
  double column_weights[2];
  bool outside = false;
};

bool settle(double at, int64_t extent, int64_t (&places)[2], double (&weights)[2]) {
  if (!(at >= -1 && at <= static_cast<double>(extent))) return false;
  at = std::max(at, 0.0);
  places[0] = std::min(static_cast<int64_t>(at), extent - 1);
  places[1] = std::min(places[0] + 1, extent - 1);
  weights[1] = places[0] == extent - 1 ? 0 : at - static_cast<double>(places[0]);
  weights[0] = 1 - weights[1];
  return true;
}

/// Averages the samples, or takes the largest weighted pixel of all, as ONNX Runtime and ONNX's
/// recorded data have it.
double pooled(const Image& image, int64_t n, int64_t c, const Bins& rows, const Bins& columns,
              int64_t row, int64_t column, bool largest) {
  double sum = 0;
  std::optional<double> best;
  for (int64_t i = 0; i < rows.samples; ++i) {
    for (int64_t j = 0; j < columns.samples; ++j) {
      Corners at{};
      const bool inside =
          settle(rows.place(row, i), image.height, at.rows, at.row_weights) &&
          settle(columns.place(column, j), image.width, at.columns, at.column_weights);
      for (int k = 0; k < 4; ++k) {
        const double value =
            inside ? at.row_weights[k / 2] * at.column_weights[k % 2] *
                         static_cast<double>(image.at(n, c, at.rows[k / 2], at.columns[k % 2]))
                   : 0;
        sum += value;
        best = best ? std::max(*best, value) : value;
      }
    }
  }
  if (largest) return best.value_or(0);
  return sum / static_cast<double>(std::max<int64_t>(1, rows.samples * columns.samples));
}

std::vector<Tensor> roi_align_reference(const ReferenceCall& call) {
  const Attributes& attributes = call.node.attributes();
  const Image image(float_input(call, 0));
  const auto rois = float_input(call, 1).data<float>();
  const std::vector<int64_t> batches = wrapped_indices(call.input(2), image.batch);
  const int64_t height = positive(call.node, "output_height", 1);
  const int64_t width = positive(call.node, "output_width", 1);
  const int64_t ratio = attributes.integer("sampling_ratio", 0);
  const auto scale = static_cast<double>(attributes.real("spatial_scale", 1));
  const std::string mode = attributes.text("mode", "avg");
  if (mode != "avg" && mode != "max") throw input_error("the mode is \"" + mode + '"');
  const bool half_pixel =
      call.node.opset() >= 16 &&
      attributes.text("coordinate_transformation_mode", "half_pixel") == "half_pixel";
  Tensor y(DType::float32, {static_cast<int64_t>(batches.size()), image.channels, height, width});
  size_t next = 0;
  for (size_t r = 0; r < batches.size() && y.size() > 0; ++r) {
    const auto edge = [&](size_t i) { return static_cast<double>(rois[r * 4 + i]) * scale; };
    const Bins rows = bins_of(edge(1), edge(3), height, ratio, half_pixel, image.height);
    const Bins columns = bins_of(edge(0), edge(2), width, ratio, half_pixel, image.width);
    for (int64_t c = 0; c < image.channels; ++c) {
      for (int64_t p = 0; p < height * width; ++p) {
        const bool any = image.height > 0 && image.width > 0;
        y.data<float>()[next++] =
            any ? static_cast<float>(pooled(image, batches[r], c, rows, columns, p / width,
                                            p % width, mode == "max"))
                : 0;
      }
    }
  }
  return one_result(std::move(y));
}

// ---- MaxRoiPool: Girshick 2015, "Fast R-CNN" --------------------------------------------------

std::vector<int64_t> pooled_shape(const NodeView& node) {
  auto shape = node.attributes().integers("pooled_shape");
  const auto outside = [](int64_t extent) { return extent < 1 || extent > kMostExtent; };
  if (shape.size() != 2 || std::ranges::any_of(shape, outside))
    throw input_error("pooled_shape is " + to_string(shape) + ", expected two extents");
  return shape;
}

void infer_max_roi_pool(InferContext& context) {
  const auto shape = pooled_shape(context.node);
  infer_regions(context, 5, shape[0], shape[1]);
}

/// Pixels [begin, end) of a bin: whole ones, clipped to the image.
std::pair<int64_t, int64_t> whole_bin(double low, double high, int64_t bin, int64_t count,
                                      int64_t extent) {
  const double start = std::round(low);
  const double length = std::max(std::round(high) - start + 1, 1.0) / static_cast<double>(count);
  const auto clipped = [&](double at) {
    return static_cast<int64_t>(std::clamp(at, 0.0, static_cast<double>(extent)));
  };
  const auto k = static_cast<double>(bin);
  return {clipped(std::floor(k * length) + start), clipped(std::ceil((k + 1) * length) + start)};
}

std::vector<Tensor> max_roi_pool_reference(const ReferenceCall& call) {
  const Image image(float_input(call, 0));
  const Tensor& rois = float_input(call, 1);
  const auto shape = pooled_shape(call.node);
  const auto scale = static_cast<double>(call.node.attributes().real("spatial_scale", 1));
  Tensor y(DType::float32, {rois.shape()[0], image.channels, shape[0], shape[1]});
  for (int64_t i = 0; i < y.size(); ++i) {
    const int64_t column = i % shape[1];
    const int64_t row = i / shape[1] % shape[0];
    const int64_t c = i / (shape[0] * shape[1]) % image.channels;
    const auto roi =
        rois.data<float>().subspan(static_cast<size_t>(i / (y.size() / rois.shape()[0])) * 5, 5);
    const auto edge = [&](size_t k) { return static_cast<double>(roi[k]) * scale; };
    for (const float number : roi) {
      if (!std::isfinite(number)) throw input_error("a region that is not finite");
    }
    const double batch = std::clamp(static_cast<double>(roi[0]), -1.0, 0x1p62);
    const int64_t n = wrapped_index(static_cast<int64_t>(batch), image.batch);
    const auto [top, bottom] = whole_bin(edge(2), edge(4), row, shape[0], image.height);
    const auto [left, right] = whole_bin(edge(1), edge(3), column, shape[1], image.width);
    std::optional<float> best;
    for (int64_t h = top; h < bottom; ++h) {
      for (int64_t w = left; w < right; ++w) {
        const float value = image.at(n, c, h, w);
        best = best ? std::max(*best, value) : value;
      }
    }
    y.data<float>()[static_cast<size_t>(i)] = best.value_or(0);
  }
  return one_result(std::move(y));
}

}  // namespace

void register_roi(OpRegistry& ops) {
  ops.add({.key = {"", "RoiAlign"},
           .since_version = 10,
           .inputs = {3, 3},
           .outputs = {1, 1},
           .infer = infer_roi_align,
           .reference = roi_align_reference});
  ops.add({.key = {"", "MaxRoiPool"},
           .since_version = 1,
           .inputs = {2, 2},
           .outputs = {1, 1},
           .infer = infer_max_roi_pool,
           .reference = max_roi_pool_reference});
}

}  // namespace qtool
