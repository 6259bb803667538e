// SPDX-License-Identifier: Apache-2.0
// GridSample (16: images; 20: any number of spatial axes, modes renamed), AffineGrid (20).
#include <algorithm>
#include <cmath>
#include <functional>

#include "ops/elements.h"
#include "ops/families.h"
#include "support/text.h"

namespace qtool {

namespace {

// ---- GridSample -------------------------------------------------------------------------------

enum class Mode { nearest, linear, cubic };
enum class Beyond { zeros, border, reflection };

Mode mode_of(const NodeView& node) {
  const std::string text = node.attributes().text("mode", "linear");
  if (text == "nearest") return Mode::nearest;
  if (text == "linear" || text == "bilinear") return Mode::linear;
  if (text == "cubic" || text == "bicubic") return Mode::cubic;
  throw input_error("the mode is \"" + text + '"');
}

Beyond beyond_of(const NodeView& node) {
  const std::string text = node.attributes().text("padding_mode", "zeros");
  if (text == "zeros") return Beyond::zeros;
  if (text == "border") return Beyond::border;
  if (text == "reflection") return Beyond::reflection;
  throw input_error("padding_mode is \"" + text + '"');
}

void infer_grid_sample(InferContext& context) {
  const NodeView& node = context.node;
  mode_of(node);
  beyond_of(node);
  TensorType type{node.input_type(0).dtype, std::nullopt};
  const auto& x = node.input_type(0).shape;
  const auto& grid = node.input_type(1).shape;
  if (x && grid) {
    const size_t rank = x->size();
    if (rank < 3 || grid->size() != rank) {
      throw input_error(
          fmt::format("an input of rank {} with a grid of rank {}", rank, grid->size()));
    }
    if (grid->back().value && *grid->back().value != static_cast<int64_t>(rank) - 2) {
      throw input_error(fmt::format("a grid of {} coordinates for {} spatial axes",
                                    *grid->back().value, rank - 2));
    }
    if ((*x)[0].value && (*grid)[0].value && *(*x)[0].value != *(*grid)[0].value) {
      throw input_error(
          fmt::format("a batch of {} with {} grids", *(*x)[0].value, *(*grid)[0].value));
    }
    if (mode_of(node) == Mode::cubic && rank != 4)
      throw input_error("cubic interpolation needs two spatial axes");
    type.shape = {{(*x)[0], (*x)[1]}};
    type.shape->insert(type.shape->end(), grid->begin() + 1, grid->end() - 1);
  }
  context.set_output(0, std::move(type));
}

/// One axis: where a grid's number lies, and what lies beyond the ends.
struct Sampler {
  Mode mode;
  Beyond beyond;
  bool align_corners;

  double low() const { return align_corners ? 0 : -0.5; }
  double high(double extent) const { return align_corners ? extent - 1 : extent - 0.5; }

  double reflected(double x, double extent) const {
    const double range = high(extent) - low();
    if (range <= 0) return 0;
    const double distance = std::fmod(std::abs(x - low()), 2 * range);
    return low() + (distance > range ? 2 * range - distance : distance);
  }

  /// For cubic it is the elements that are moved back, not the place (as PyTorch and ONNX Runtime
  /// have it): the same elements, from a place that is no wild number.
  double near_enough(double at, double extent) const {
    const double period = 2 * (high(extent) - low());
    if (beyond != Beyond::reflection || !std::isfinite(at) || period <= 0)
      return std::clamp(at, -4.0, extent + 3);
    return at - std::floor((at - low()) / period) * period;
  }

  /// From [-1, 1] to elements. What is no number lies outside.
  double place(double x, int64_t elements) const {
    const auto extent = static_cast<double>(elements);
    double at = align_corners ? (x + 1) / 2 * (extent - 1) : ((x + 1) * extent - 1) / 2;
    if (mode == Mode::nearest) at = std::nearbyint(at);
    if (std::isnan(at)) at = -4;
    if (at >= low() && at <= high(extent)) return at;
    if (mode == Mode::cubic) return near_enough(at, extent);
    if (beyond == Beyond::border) return std::clamp(at, 0.0, extent - 1);
    if (beyond == Beyond::reflection && std::isfinite(at)) return reflected(at, extent);
    return std::clamp(at, -4.0, extent + 3);
  }

  /// The element that place `at` shows, or -1 for zero.
  int64_t element(int64_t at, int64_t elements) const {
    if (at >= 0 && at < elements) return at;
    if (beyond == Beyond::zeros) return -1;
    if (beyond == Beyond::border) return std::clamp<int64_t>(at, 0, elements - 1);
    const double back = reflected(static_cast<double>(at), static_cast<double>(elements));
    return std::clamp<int64_t>(static_cast<int64_t>(std::nearbyint(back)), 0, elements - 1);
  }
};

/// Elements along one axis and their weights.
struct Taps {
  std::vector<int64_t> element;
  std::vector<double> weight;
};

double cubic(double x) {
  constexpr double a = -0.75;
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

Taps taps_at(const Sampler& sampler, double at, int64_t elements) {
  const auto base = static_cast<int64_t>(std::floor(at));
  if (sampler.mode == Mode::nearest) {
    return {{sampler.element(static_cast<int64_t>(std::nearbyint(at)), elements)}, {1.0}};
  }
  const bool linear = sampler.mode == Mode::linear;
  Taps taps;
  for (int64_t i = linear ? 0 : -1; i <= (linear ? 1 : 2); ++i) {
    const double distance = at - static_cast<double>(base + i);
    taps.element.push_back(sampler.element(base + i, elements));
    taps.weight.push_back(linear ? 1 - std::abs(distance) : cubic(distance));
  }
  return taps;
}

/// The weighted sum over the taps of all axes of one plane.
template <class F>
double blended(const std::vector<Taps>& axes, const Shape& extents, F&& value) {
  const std::function<double(size_t, int64_t)> sum = [&](size_t d, int64_t offset) -> double {
    if (d == axes.size()) return value(offset);
    double total = 0;
    for (size_t t = 0; t < axes[d].element.size(); ++t) {
      if (axes[d].element[t] < 0 || axes[d].weight[t] == 0) continue;
      total += axes[d].weight[t] * sum(d + 1, offset * extents[d] + axes[d].element[t]);
    }
    return total;
  };
  return sum(0, 0);
}

std::vector<Tensor> grid_sample_reference(const ReferenceCall& call) {
  const Tensor& x = call.input(0);
  const Tensor& grid = call.input(1);
  const Sampler sampler{mode_of(call.node), beyond_of(call.node),
                        call.node.attributes().integer("align_corners", 0) != 0};
  const Shape extents(x.shape().begin() + 2, x.shape().end());
  Shape shape{x.shape()[0], x.shape()[1]};
  shape.insert(shape.end(), grid.shape().begin() + 1, grid.shape().end() - 1);
  const std::vector<double> places = to_doubles(grid);
  const auto rank = extents.size();
  const int64_t plane = element_count(extents);
  return one_result(visit_kinds<kNumbers>(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    Tensor y(x.dtype(), shape);
    if (y.size() == 0 || plane == 0) return y;
    const int64_t channels = shape[1];
    const int64_t points = y.size() / (shape[0] * channels);
    for (int64_t n = 0; n < shape[0]; ++n) {
      for (int64_t p = 0; p < points; ++p) {
        std::vector<Taps> axes;
        for (size_t d = 0; d < rank; ++d) {
          // A grid's last number is along the first spatial axis.
          const size_t at = static_cast<size_t>(n * points + p) * rank + rank - 1 - d;
          axes.push_back(taps_at(sampler, sampler.place(places[at], extents[d]), extents[d]));
        }
        for (int64_t c = 0; c < channels; ++c) {
          const auto from = x.data<T>().subspan(static_cast<size_t>((n * channels + c) * plane));
          const double value = blended(axes, extents, [&](int64_t at) {
            return static_cast<double>(loaded(from[static_cast<size_t>(at)]));
          });
          y.data<T>()[static_cast<size_t>((n * channels + c) * points + p)] =
              converted<T, double>(value);
        }
      }
    }
    return y;
  }));
}

// ---- AffineGrid -------------------------------------------------------------------------------

Shape checked_size(const std::vector<int64_t>& size) {
  if (size.size() != 4 && size.size() != 5) {
    throw input_error(
        fmt::format("the size {} is neither [N, C, H, W] nor [N, C, D, H, W]", to_string(size)));
  }
  for (const int64_t extent : size) {
    if (extent < 0 || extent > kMostExtent)
      throw input_error("the size " + to_string(size) + " has no meaning");
  }
  return size;
}

void infer_affine_grid(InferContext& context) {
  const NodeView& node = context.node;
  TensorType type{node.input_type(0).dtype, std::nullopt};
  if (const auto given = constant_integers(node, 1)) {
    const Shape size = checked_size(*given);
    const auto rank = static_cast<int64_t>(size.size()) - 2;
    if (const auto theta = node.input_type(0).concrete_shape();
        theta && *theta != Shape{size[0], rank, rank + 1}) {
      throw input_error(fmt::format("theta is {}, expected {}", to_string(node.input_type(0)),
                                    to_string(Shape{size[0], rank, rank + 1})));
    }
    Shape shape{size[0]};
    shape.insert(shape.end(), size.begin() + 2, size.end());
    shape.push_back(rank);
    type.shape = TensorType(type.dtype, shape).shape;
  }
  context.set_output(0, std::move(type));
}

std::vector<Tensor> affine_grid_reference(const ReferenceCall& call) {
  const Shape size = checked_size(to_int64s(call.input(1)));
  const Shape extents(size.begin() + 2, size.end());
  const auto rank = extents.size();
  const Shape expected{size[0], static_cast<int64_t>(rank), static_cast<int64_t>(rank) + 1};
  if (call.input(0).shape() != expected) {
    throw input_error("theta is " + to_string(call.input(0).shape()) + ", expected " +
                      to_string(expected));
  }
  const bool aligned = call.node.attributes().integer("align_corners", 0) != 0;
  const std::vector<double> theta = to_doubles(call.input(0));
  Shape shape{size[0]};
  shape.insert(shape.end(), extents.begin(), extents.end());
  shape.push_back(static_cast<int64_t>(rank));
  Tensor grid(DType::float64, shape);
  std::vector<double> point(rank + 1, 1.0);
  for (int64_t i = 0; i < grid.size(); ++i) {
    const auto row = static_cast<size_t>(i) % rank;
    int64_t rest = i / static_cast<int64_t>(rank);
    for (size_t d = rank; d-- > 0;) {
      const auto at = static_cast<double>(rest % extents[d]);
      rest /= extents[d];
      const auto extent = static_cast<double>(extents[d]);
      // x first: the last axis.
      point[rank - 1 - d] =
          aligned ? (extent > 1 ? 2 * at / (extent - 1) - 1 : -1) : (2 * at + 1) / extent - 1;
    }
    const size_t base = (static_cast<size_t>(rest) * rank + row) * (rank + 1);
    double sum = 0;
    for (size_t j = 0; j <= rank; ++j) sum += theta[base + j] * point[j];
    grid.data<double>()[static_cast<size_t>(i)] = sum;
  }
  return one_result(cast(grid, call.input(0).dtype()));
}

}  // namespace

void register_grid_sample(OpRegistry& ops) {
  ops.add({.key = {"", "GridSample"},
           .since_version = 16,
           .inputs = {2, 2},
           .outputs = {1, 1},
           .infer = infer_grid_sample,
           .reference = grid_sample_reference});
  ops.add({.key = {"", "AffineGrid"},
           .since_version = 20,
           .inputs = {2, 2},
           .outputs = {1, 1},
           .infer = infer_affine_grid,
           .reference = affine_grid_reference});
}

}  // namespace qtool
