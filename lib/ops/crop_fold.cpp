// SPDX-License-Identifier: Apache-2.0
// CenterCropPad (18), Col2Im (18).
#include <algorithm>
#include <cstring>
#include <numeric>

#include "ops/elements.h"
#include "ops/families.h"
#include "support/checked.h"
#include "support/text.h"

namespace qtool {

namespace {

// ---- CenterCropPad ----------------------------------------------------------------------------

/// The new extent of each axis.
Shape centered_shape(const NodeView& node, Shape x, const std::vector<int64_t>& wanted) {
  std::vector<int64_t> axes = node.attributes().integers("axes");
  if (!node.attributes().has("axes")) {
    axes.resize(x.size());
    std::iota(axes.begin(), axes.end(), int64_t{0});
  }
  if (axes.size() != wanted.size())
    throw input_error(fmt::format("{} extents for {} axes", wanted.size(), axes.size()));
  for (size_t i = 0; i < axes.size(); ++i) {
    if (wanted[i] < 0 || wanted[i] > kMostExtent)
      throw input_error(fmt::format("an extent of {}", wanted[i]));
    x[static_cast<size_t>(normalized_axis(axes[i], static_cast<int64_t>(x.size())))] = wanted[i];
  }
  return x;
}

void infer_center_crop_pad(InferContext& context) {
  const NodeView& node = context.node;
  TensorType type{node.input_type(0).dtype, std::nullopt};
  if (const auto& shape = node.input_type(0).shape) {
    type.shape.emplace(shape->size());
    if (const auto wanted = constant_integers(node, 1)) {
      Shape stand_in;
      for (const Dim& dim : *shape) stand_in.push_back(dim.value.value_or(-1));
      stand_in = centered_shape(node, stand_in, *wanted);
      for (size_t d = 0; d < stand_in.size(); ++d)
        (*type.shape)[d] = stand_in[d] < 0 ? (*shape)[d] : Dim{stand_in[d], {}};
    }
  }
  context.set_output(0, std::move(type));
}

std::vector<Tensor> center_crop_pad_reference(const ReferenceCall& call) {
  const Tensor& x = call.input(0);
  const Shape shape = centered_shape(call.node, x.shape(), to_int64s(call.input(1)));
  const size_t width = moved_bytes(x.dtype());
  const std::vector<int64_t> own = row_major_strides(x.shape());
  Tensor y(x.dtype(), shape);
  for (int64_t i = 0; i < y.size(); ++i) {
    int64_t rest = i;
    int64_t from = 0;
    bool inside = true;
    for (size_t d = shape.size(); d-- > 0;) {
      const int64_t extra = shape[d] - x.shape()[d];
      // Of an odd number the smaller half stands in front, both of what is added and what is cut.
      const int64_t at = rest % shape[d] - (extra >= 0 ? extra / 2 : -(-extra / 2));
      rest /= shape[d];
      inside = inside && at >= 0 && at < x.shape()[d];
      from += at * own[d];
    }
    if (!inside) continue;
    std::memcpy(y.raw() + static_cast<size_t>(i) * width,
                x.raw() + static_cast<size_t>(from) * width, width);
  }
  return one_result(std::move(y));
}

// ---- Col2Im -----------------------------------------------------------------------------------

std::vector<int64_t> numbers(const NodeView& node, const char* name, size_t count, int64_t least,
                             int64_t otherwise) {
  auto list = node.attributes().integers(name);
  if (list.empty()) list.assign(count, otherwise);
  const auto wrong = [&](int64_t entry) { return entry < least || entry > (int64_t{1} << 31); };
  if (list.size() != count || std::ranges::any_of(list, wrong)) {
    throw input_error(
        fmt::format("\"{}\" is {}, expected {} numbers", name, to_string(list), count));
  }
  return list;
}

/// The windows whose columns are put back into an image.
struct Folding {
  Shape image;
  std::vector<int64_t> block;
  std::vector<int64_t> dilations;
  std::vector<int64_t> strides;
  std::vector<int64_t> pads;
  Shape places;  ///< windows along each axis

  Folding(const NodeView& node, Shape image_shape, std::vector<int64_t> block_shape)
      : image(std::move(image_shape)), block(std::move(block_shape)),
        dilations(numbers(node, "dilations", image.size(), 1, 1)),
        strides(numbers(node, "strides", image.size(), 1, 1)),
        pads(numbers(node, "pads", 2 * image.size(), 0, 0)) {
    if (block.size() != image.size())
      throw input_error(
          fmt::format("a block of rank {} for an image of rank {}", block.size(), image.size()));
    for (size_t d = 0; d < image.size(); ++d) {
      if (image[d] < 1 || image[d] > kMostExtent || block[d] < 1 || block[d] > (int64_t{1} << 31)) {
        throw input_error(fmt::format("a block of {} in an image of {}", block[d], image[d]));
      }
      const int64_t room =
          image[d] + pads[d] + pads[image.size() + d] - (dilations[d] * (block[d] - 1) + 1);
      if (room < 0)
        throw input_error(
            fmt::format("a block of {} does not fit an image of {}", block[d], image[d]));
      places.push_back(room / strides[d] + 1);
    }
  }

  /// Columns [N, C * block, places] to [N, C, image].
  Shape result(const Shape& x) const {
    const int64_t taps = element_count(block);
    if (x[1] % taps != 0 || x[2] != element_count(places)) {
      throw input_error(fmt::format("columns {}, expected [N, a multiple of {}, {}]", to_string(x),
                                    taps, element_count(places)));
    }
    Shape shape{x[0], x[1] / taps};
    shape.insert(shape.end(), image.begin(), image.end());
    return shape;
  }
};

void infer_col2im(InferContext& context) {
  const NodeView& node = context.node;
  TensorType type{node.input_type(0).dtype, std::nullopt};
  if (const auto& x = node.input_type(0).shape; x && x->size() != 3)
    throw input_error(fmt::format("columns of rank {}, expected [N, C, L]", x->size()));
  const auto image = constant_integers(node, 1);
  const auto block = constant_integers(node, 2);
  const auto x = node.input_type(0).concrete_shape();
  if (image && block && x) {
    type.shape = TensorType(type.dtype, Folding(node, *image, *block).result(*x)).shape;
  } else if (image) {
    type.shape.emplace(image->size() + 2);
  }
  context.set_output(0, std::move(type));
}

std::vector<Tensor> col2im_reference(const ReferenceCall& call) {
  const Tensor& x = call.input(0);
  const Folding fold(call.node, to_int64s(call.input(1)), to_int64s(call.input(2)));
  const Shape shape = fold.result(x.shape());
  const int64_t taps = element_count(fold.block);
  const int64_t windows = x.shape()[2];
  const int64_t plane = element_count(fold.image);
  return one_result(visit_kinds<kNumbers>(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    Tensor y(x.dtype(), shape);
    for (int64_t i = 0; i < x.size(); ++i) {
      int64_t window = i % windows;
      int64_t tap = i / windows % taps;
      int64_t at = 0;
      int64_t stride = 1;
      bool inside = true;
      for (size_t d = fold.image.size(); d-- > 0;) {
        const int64_t place = window % fold.places[d] * fold.strides[d] - fold.pads[d] +
                              tap % fold.block[d] * fold.dilations[d];
        window /= fold.places[d];
        tap /= fold.block[d];
        inside = inside && place >= 0 && place < fold.image[d];
        at += place * stride;
        stride *= fold.image[d];
      }
      if (!inside) continue;
      T& element = y.data<T>()[static_cast<size_t>(i / (windows * taps) * plane + at)];
      element = stored<T>(wrapping(loaded(element), loaded(x.data<T>()[static_cast<size_t>(i)]),
                                   [](auto a, auto b) { return a + b; }));
    }
    return y;
  }));
}

}  // namespace

void register_crop_fold(OpRegistry& ops) {
  ops.add({.key = {"", "CenterCropPad"},
           .since_version = 18,
           .inputs = {2, 2},
           .outputs = {1, 1},
           .infer = infer_center_crop_pad,
           .reference = center_crop_pad_reference});
  ops.add({.key = {"", "Col2Im"},
           .since_version = 18,
           .inputs = {3, 3},
           .outputs = {1, 1},
           .infer = infer_col2im,
           .reference = col2im_reference});
}

}  // namespace qtool
