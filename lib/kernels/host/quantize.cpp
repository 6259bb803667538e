// SPDX-License-Identifier: Apache-2.0
#include "kernels/host/quantize.h"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "kernels/host/copy.h"
#include "support/parallel.h"
#include "support/simd.h"

namespace qtool {

namespace {

constexpr int64_t kGrain = int64_t{1} << 15;

struct Grid {
  float scale;
  int32_t zero_point;
  int32_t lowest;
  int32_t highest;
};

QTOOL_SIMD void quantize_u8(const float* from, uint8_t* to, int64_t count, Grid grid) {
  for (int64_t i = 0; i < count; ++i) {
    to[i] = static_cast<uint8_t>(
        quantize_value(from[i], grid.scale, grid.zero_point, grid.lowest, grid.highest));
  }
}

QTOOL_SIMD void quantize_s8(const float* from, int8_t* to, int64_t count, Grid grid) {
  for (int64_t i = 0; i < count; ++i) {
    to[i] = static_cast<int8_t>(
        quantize_value(from[i], grid.scale, grid.zero_point, grid.lowest, grid.highest));
  }
}

QTOOL_SIMD void dequantize_u8(const uint8_t* from, float* to, int64_t count, Grid grid) {
  for (int64_t i = 0; i < count; ++i) {
    to[i] = static_cast<float>(from[i] - grid.zero_point) * grid.scale;
  }
}

QTOOL_SIMD void dequantize_s8(const int8_t* from, float* to, int64_t count, Grid grid) {
  for (int64_t i = 0; i < count; ++i) {
    to[i] = static_cast<float>(from[i] - grid.zero_point) * grid.scale;
  }
}

void quantize_range(const float* from, void* to, int64_t count, const Grid& grid, bool is_signed) {
  if (is_signed) {
    quantize_s8(from, static_cast<int8_t*>(to), count, grid);
  } else {
    quantize_u8(from, static_cast<uint8_t*>(to), count, grid);
  }
}

std::optional<std::string> problem(const QuantParams& params) {
  if (!params.per_tensor()) return "per-channel activations";
  if (bits(params.type.storage()) != 8)
    return "codes of " + std::string(name(params.type.storage()));
  return std::nullopt;
}

Grid grid_of(const QuantParams& params) {
  return {params.scale[0], params.zero_point[0], params.type.lowest(), params.type.highest()};
}

class QuantizeKernel final : public Kernel {
 public:
  QuantizeKernel(const Shape& shape, const QuantParams& params, Layout from, Layout to)
      : count_(element_count(shape)), grid_(grid_of(params)), is_signed_(params.type.is_signed) {
    if (!same_order(shape, from, to)) convert_ = make_layout_conversion(shape, 1, from, to);
  }
  void run(const KernelArgs& args) override {
    const auto* from = static_cast<const float*>(args.inputs[0]);
    auto* codes = static_cast<uint8_t*>(convert_ != nullptr ? args.scratch : args.outputs[0]);
    parallel_for(count_, kGrain, [&](int64_t begin, int64_t end) {
      quantize_range(from + begin, codes + begin, end - begin, grid_, is_signed_);
    });
    if (convert_ == nullptr) return;
    // The codes are a quarter of the source and still in cache.
    const std::array<const void*, 1> input{codes};
    convert_->run({input, args.outputs, nullptr});
  }
  size_t scratch_bytes() const override {
    return convert_ != nullptr ? static_cast<size_t>(count_) : 0;
  }
  std::string description() const override {
    return convert_ != nullptr ? "host quantize + layout" : "host quantize";
  }

 private:
  int64_t count_;
  Grid grid_;
  bool is_signed_;
  KernelPtr convert_;
};

class DequantizeKernel final : public Kernel {
 public:
  DequantizeKernel(const Shape& shape, const QuantParams& params)
      : count_(element_count(shape)), grid_(grid_of(params)), is_signed_(params.type.is_signed) {}
  void run(const KernelArgs& args) override {
    auto* to = static_cast<float*>(args.outputs[0]);
    parallel_for(count_, kGrain, [&](int64_t begin, int64_t end) {
      if (is_signed_) {
        dequantize_s8(static_cast<const int8_t*>(args.inputs[0]) + begin, to + begin, end - begin,
                      grid_);
      } else {
        dequantize_u8(static_cast<const uint8_t*>(args.inputs[0]) + begin, to + begin, end - begin,
                      grid_);
      }
    });
  }
  std::string description() const override { return "host dequantize"; }

 private:
  int64_t count_;
  Grid grid_;
  bool is_signed_;
};

struct Bounds {
  float low = 0;
  float high = 0;
};

/// The range with 0 in it; NaN widens nothing. Sixteen lanes, which compilers keep in registers.
QTOOL_SIMD Bounds bounds_of(const float* x, int64_t count) {
  constexpr int64_t kLanes = 16;
  std::array<float, kLanes> low{};
  std::array<float, kLanes> high{};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const auto l = static_cast<size_t>(lane);
      low[l] = x[i + lane] < low[l] ? x[i + lane] : low[l];
      high[l] = x[i + lane] > high[l] ? x[i + lane] : high[l];
    }
  }
  Bounds bounds;
  for (; i < count; ++i) {
    bounds.low = x[i] < bounds.low ? x[i] : bounds.low;
    bounds.high = x[i] > bounds.high ? x[i] : bounds.high;
  }
  for (size_t l = 0; l < low.size(); ++l) {
    bounds.low = std::min(bounds.low, low[l]);
    bounds.high = std::max(bounds.high, high[l]);
  }
  return bounds;
}

class DynamicQuantizeKernel final : public Kernel {
 public:
  explicit DynamicQuantizeKernel(int64_t count)
      : count_(count), parts_(static_cast<size_t>((count + kGrain - 1) / kGrain)) {}
  void run(const KernelArgs& args) override {
    const auto* from = static_cast<const float*>(args.inputs[0]);
    const auto parts = static_cast<int64_t>(parts_.size());
    parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) {
        parts_[static_cast<size_t>(p)] =
            bounds_of(from + p * kGrain, std::min(kGrain, count_ - p * kGrain));
      }
    });
    Bounds all;
    for (const Bounds& part : parts_) {
      all.low = std::min(all.low, part.low);
      all.high = std::max(all.high, part.high);
    }
    Grid grid{all.high == all.low ? 1.0F : (all.high - all.low) / 255, 0, 0, 255};
    grid.zero_point = quantize_value(-all.low, grid.scale, 0, 0, 255);
    *static_cast<float*>(args.outputs[1]) = grid.scale;
    *static_cast<uint8_t*>(args.outputs[2]) = static_cast<uint8_t>(grid.zero_point);
    auto* to = static_cast<uint8_t*>(args.outputs[0]);
    parallel_for(count_, kGrain, [&](int64_t begin, int64_t end) {
      quantize_u8(from + begin, to + begin, end - begin, grid);
    });
  }
  std::string description() const override { return "host dynamic quantize"; }

 private:
  int64_t count_;
  std::vector<Bounds> parts_;
};

}  // namespace

std::string RowQuantizer::problem(const QuantParams& params) {
  return qtool::problem(params).value_or("");
}

RowQuantizer::RowQuantizer(const QuantParams& params)
    : scale_(params.scale[0]), zero_point_(params.zero_point[0]), lowest_(params.type.lowest()),
      highest_(params.type.highest()), is_signed_(params.type.is_signed) {}

void RowQuantizer::operator()(const float* from, void* to, int64_t count) const {
  quantize_range(from, to, count, {scale_, zero_point_, lowest_, highest_}, is_signed_);
}

KernelPtr make_dynamic_quantize(const Shape& shape) {
  return std::make_unique<DynamicQuantizeKernel>(element_count(shape));
}

MadeKernel make_quantize(const Shape& shape, const QuantParams& params, Layout from, Layout to) {
  if (const auto why = problem(params)) return MadeKernel::refused(*why);
  return {std::make_unique<QuantizeKernel>(shape, params, from, to)};
}

MadeKernel make_dequantize(const Shape& shape, const QuantParams& params) {
  if (const auto why = problem(params)) return MadeKernel::refused(*why);
  return {std::make_unique<DequantizeKernel>(shape, params)};
}

}  // namespace qtool
