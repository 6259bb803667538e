// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cmath>

#include "numerics/layout.h"
#include "numerics/range.h"
#include "numerics/range_search.h"
#include "numerics/scan.h"
#include "support/parallel.h"

namespace qtool {

namespace {

/// The elements of one slice, side by side; in place where they are so already.
class Slice {
 public:
  std::span<const float> of(std::span<const float> weights, const ScaleLayout& layout,
                            int64_t slice) {
    if (layout.per_tensor) return weights;
    copy_.clear();
    layout.for_each_piece(slice, [&](int64_t begin, int64_t count, int64_t stride) {
      for (int64_t i = 0; i < count; ++i) {
        copy_.push_back(weights[static_cast<size_t>(begin + i * stride)]);
      }
    });
    return copy_;
  }

 private:
  std::vector<float> copy_;
};

/// Before any thread starts, so that the element named does not depend on their number.
void check_finite(std::span<const float> weights) {
  if (weights.empty() || scan(weights).finite) return;
  const auto found =
      std::find_if(weights.begin(), weights.end(), [](float x) { return !std::isfinite(x); });
  throw input_error("element " + std::to_string(found - weights.begin()) + " of the weights is " +
                        std::to_string(*found),
                    "Check the model: its training may have diverged.");
}

Range range_of(std::span<const float> elements) {
  if (elements.empty()) return {};
  const Range range = scan(elements).range;
  return {std::min(range.low, 0.0F), std::max(range.high, 0.0F)};
}

double squared_error(std::span<const float> elements, const QuantParams& params) {
  const float scale = params.scale[0];
  const int32_t zero_point = params.zero_point[0];
  const int32_t lowest = params.type.lowest();
  const int32_t highest = params.type.highest();
  const auto error = [&](float x) {
    const int32_t code = quantize_value(x, scale, zero_point, lowest, highest);
    const double difference =
        static_cast<double>(x) - static_cast<double>(dequantize_value(code, scale, zero_point));
    return difference * difference;
  };
  constexpr size_t kLanes = 8;  // independent sums, in an order that is the same everywhere
  std::array<double, kLanes> sums{};
  size_t i = 0;
  for (; i + kLanes <= elements.size(); i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) sums[lane] += error(elements[i + lane]);
  }
  for (; i < elements.size(); ++i) sums[0] += error(elements[i]);
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

/// choose(elements) for each slice; slices run in parallel.
template <class Choose>
std::vector<Range> for_each_slice(const Tensor& weights, std::optional<int> axis,
                                  int64_t block_size, Choose&& choose) {
  const ScaleLayout layout(weights.shape(), axis, block_size);
  const auto elements = weights.data<float>();
  check_finite(elements);
  std::vector<Range> ranges(static_cast<size_t>(layout.slices()));
  constexpr int64_t kGrain = 4096;  // elements that are worth a thread
  const int64_t each = layout.elements() / std::max<int64_t>(layout.slices(), 1);
  parallel_for(layout.slices(), kGrain / std::max<int64_t>(each, 1) + 1,
               [&](int64_t begin, int64_t end) {
                 Slice slice;
                 for (int64_t s = begin; s < end; ++s) {
                   ranges[static_cast<size_t>(s)] = choose(slice.of(elements, layout, s));
                 }
               });
  return ranges;
}

}  // namespace

std::vector<Range> weight_ranges(const Tensor& weights, std::optional<int> axis,
                                 int64_t block_size) {
  return for_each_slice(weights, axis, block_size, range_of);
}

std::vector<Range> mse_weight_ranges(const Tensor& weights, QuantType type, Scheme scheme,
                                     std::optional<int> axis, int64_t block_size) {
  return for_each_slice(weights, axis, block_size, [&](std::span<const float> elements) {
    return search_range(range_of(elements), type, scheme, {.octaves = 3},
                        [&](const QuantParams& params) { return squared_error(elements, params); });
  });
}

}  // namespace qtool
