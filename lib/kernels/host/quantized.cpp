// SPDX-License-Identifier: Apache-2.0
// Element-wise work on 8-bit codes. The real-number steps are those of ONNX's DequantizeLinear, op
// and QuantizeLinear in the same order and precision, so that the results are theirs to the bit.
#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <numeric>
#include <vector>

#include "kernels/host/elementwise.h"
#include "support/parallel.h"
#include "support/simd.h"

namespace qtool {

namespace {

constexpr int64_t kGrain = int64_t{1} << 15;

struct Affine {
  float scale;
  int32_t zero_point;
  int32_t lowest;
  int32_t highest;
};

Affine affine(const QuantParams& params) {
  return {params.scale[0], params.zero_point[0], params.type.lowest(), params.type.highest()};
}

/// What the result is clamped to before it is quantized; infinite where no Relu or Clip follows.
struct Bounds {
  float low;
  float high;
};

bool eight_bits(const QuantParams& params) {
  return params.per_tensor() && bits(params.type.storage()) == 8;
}

std::optional<Bounds> bounds_of(std::span<const PostOp> post_ops) {
  Bounds bounds{-std::numeric_limits<float>::infinity(), std::numeric_limits<float>::infinity()};
  for (const PostOp& op : post_ops) {
    if (op.kind == PostOp::Kind::relu) {
      bounds = {std::max(bounds.low, 0.0F), std::max(bounds.high, 0.0F)};
    } else if (op.kind == PostOp::Kind::clip) {
      bounds = {std::clamp(bounds.low, op.alpha, op.beta),
                std::clamp(bounds.high, op.alpha, op.beta)};
    } else {
      return std::nullopt;
    }
  }
  return bounds;
}

template <class T>
[[gnu::always_inline]] inline void add_codes(const T* a, const T* b, T* y, int64_t count, Affine fa,
                                             Affine fb, Affine fy, Bounds bounds) {
  for (int64_t i = 0; i < count; ++i) {
    const float x = static_cast<float>(a[i] - fa.zero_point) * fa.scale;
    const float z = static_cast<float>(b[i] - fb.zero_point) * fb.scale;
    const float sum = x + z;
    const float bounded = sum < bounds.low ? bounds.low : sum > bounds.high ? bounds.high : sum;
    y[i] = static_cast<T>(quantize_value(bounded, fy.scale, fy.zero_point, fy.lowest, fy.highest));
  }
}

/// In two thirds of the operations: no division, bounds as codes. Right for sums below 2^22 steps,
/// but for those that a product instead of a quotient turns to the other side of a half.
template <class T>
[[gnu::always_inline]] inline void add_codes_fast(const T* a, const T* b, T* y, int64_t count,
                                                  Affine fa, Affine fb, Affine fy) {
  constexpr float kUnitSpacing = 0x1.8p23F;  // the low bits then are the rounded number
  const float inverse = 1 / fy.scale;
  const int32_t shift = fy.zero_point - std::bit_cast<int32_t>(kUnitSpacing);
  for (int64_t i = 0; i < count; ++i) {
    const float x = static_cast<float>(a[i] - fa.zero_point) * fa.scale;
    const float z = static_cast<float>(b[i] - fb.zero_point) * fb.scale;
    const int32_t code = std::bit_cast<int32_t>((x + z) * inverse + kUnitSpacing) + shift;
    const int32_t low = code < fy.lowest ? fy.lowest : code;
    y[i] = static_cast<T>(low > fy.highest ? fy.highest : low);
  }
}

QTOOL_SIMD void add_u8(const uint8_t* a, const uint8_t* b, uint8_t* y, int64_t count, Affine fa,
                       Affine fb, Affine fy, Bounds bounds) {
  add_codes(a, b, y, count, fa, fb, fy, bounds);
}
QTOOL_SIMD void add_s8(const int8_t* a, const int8_t* b, int8_t* y, int64_t count, Affine fa,
                       Affine fb, Affine fy, Bounds bounds) {
  add_codes(a, b, y, count, fa, fb, fy, bounds);
}
QTOOL_SIMD void add_u8_fast(const uint8_t* a, const uint8_t* b, uint8_t* y, int64_t count,
                            Affine fa, Affine fb, Affine fy) {
  add_codes_fast(a, b, y, count, fa, fb, fy);
}
QTOOL_SIMD void add_s8_fast(const int8_t* a, const int8_t* b, int8_t* y, int64_t count, Affine fa,
                            Affine fb, Affine fy) {
  add_codes_fast(a, b, y, count, fa, fb, fy);
}

class QuantizedAddKernel final : public Kernel {
 public:
  QuantizedAddKernel(int64_t count, const QuantParams& a, const QuantParams& b,
                     const QuantParams& y, Bounds bounds)
      : count_(count), a_(affine(a)), b_(affine(b)), y_(affine(y)), bounds_(bounds),
        is_signed_(a.type.is_signed) {
    bounded_ = y_;
    bounded_.lowest = code_of(bounds.low);
    bounded_.highest = code_of(bounds.high);
    fast_ = same_when_fast();
  }
  void run(const KernelArgs& args) override {
    parallel_for(count_, kGrain, [&](int64_t begin, int64_t end) {
      const auto at = [begin](auto* codes) { return static_cast<std::byte*>(codes) + begin; };
      const auto from = [begin](const void* codes) {
        return static_cast<const std::byte*>(codes) + begin;
      };
      add(from(args.inputs[0]), from(args.inputs[1]), at(args.outputs[0]), end - begin, fast_);
    });
  }
  std::string description() const override { return "host int8 add"; }

 private:
  int32_t code_of(float real) const {
    return quantize_value(real, y_.scale, y_.zero_point, y_.lowest, y_.highest);
  }

  template <class T>
  static const T* as(const void* codes) {
    return static_cast<const T*>(codes);
  }
  template <class T>
  static T* as(void* codes) {
    return static_cast<T*>(codes);
  }

  void add(const void* a, const void* b, void* y, int64_t count, bool fast) const {
    if (is_signed_ && fast) {
      add_s8_fast(as<int8_t>(a), as<int8_t>(b), as<int8_t>(y), count, a_, b_, bounded_);
    } else if (is_signed_) {
      add_s8(as<int8_t>(a), as<int8_t>(b), as<int8_t>(y), count, a_, b_, y_, bounds_);
    } else if (fast) {
      add_u8_fast(as<uint8_t>(a), as<uint8_t>(b), as<uint8_t>(y), count, a_, b_, bounded_);
    } else {
      add_u8(as<uint8_t>(a), as<uint8_t>(b), as<uint8_t>(y), count, a_, b_, y_, bounds_);
    }
  }

  /// Whether all pairs of codes give the same both ways.
  bool same_when_fast() const {
    const float most = 256 * (a_.scale + b_.scale) * (1 / y_.scale);
    if (!(most < 0x1p22F)) return false;
    std::array<uint8_t, 256> first{};
    std::array<uint8_t, 256> second{};
    std::array<uint8_t, 256> slow{};
    std::array<uint8_t, 256> fast{};
    std::iota(second.begin(), second.end(), uint8_t{0});
    for (int a = 0; a < 256; ++a) {
      first.fill(static_cast<uint8_t>(a));
      add(first.data(), second.data(), slow.data(), 256, false);
      add(first.data(), second.data(), fast.data(), 256, true);
      if (slow != fast) return false;
    }
    return true;
  }

  int64_t count_;
  Affine a_;
  Affine b_;
  Affine y_;
  Bounds bounds_;
  bool is_signed_;
  Affine bounded_{};  ///< y_ with the bounds as codes
  bool fast_ = false;
};

template <class T>
inline void sum_positions(const T* x, int64_t positions, int64_t channels, int32_t* sums) {
  std::fill_n(sums, channels, 0);
  for (int64_t p = 0; p < positions; ++p) {
    for (int64_t c = 0; c < channels; ++c) sums[c] += x[p * channels + c];
  }
}
QTOOL_SIMD void sum_u8(const uint8_t* x, int64_t positions, int64_t channels, int32_t* sums) {
  sum_positions(x, positions, channels, sums);
}
QTOOL_SIMD void sum_s8(const int8_t* x, int64_t positions, int64_t channels, int32_t* sums) {
  sum_positions(x, positions, channels, sums);
}

class QuantizedAverageKernel final : public Kernel {
 public:
  QuantizedAverageKernel(int64_t outer, int64_t positions, int64_t channels, bool innermost,
                         const QuantParams& x, const QuantParams& y)
      : outer_(innermost ? outer : outer * channels), positions_(positions),
        channels_(innermost ? channels : 1), x_(affine(x)), y_(affine(y)),
        x_signed_(x.type.is_signed), y_signed_(y.type.is_signed) {}

  void run(const KernelArgs& args) override {
    auto* sums = static_cast<int32_t*>(args.scratch);
    const int64_t block = positions_ * channels_;
    for (int64_t o = 0; o < outer_; ++o) {
      if (x_signed_) {
        sum_s8(static_cast<const int8_t*>(args.inputs[0]) + o * block, positions_, channels_, sums);
      } else {
        sum_u8(static_cast<const uint8_t*>(args.inputs[0]) + o * block, positions_, channels_,
               sums);
      }
      for (int64_t c = 0; c < channels_; ++c) {
        const auto offset = static_cast<int64_t>(x_.zero_point) * positions_;
        const double mean = static_cast<double>(sums[c] - offset) / static_cast<double>(positions_);
        const auto real = static_cast<float>(mean * static_cast<double>(x_.scale));
        const int32_t code = quantize_value(real, y_.scale, y_.zero_point, y_.lowest, y_.highest);
        if (y_signed_) {
          static_cast<int8_t*>(args.outputs[0])[o * channels_ + c] = static_cast<int8_t>(code);
        } else {
          static_cast<uint8_t*>(args.outputs[0])[o * channels_ + c] = static_cast<uint8_t>(code);
        }
      }
    }
  }
  size_t scratch_bytes() const override { return static_cast<size_t>(channels_) * sizeof(int32_t); }
  std::string description() const override { return "host int8 average"; }

 private:
  int64_t outer_;
  int64_t positions_;
  int64_t channels_;
  Affine x_;
  Affine y_;
  bool x_signed_;
  bool y_signed_;
};

}  // namespace

MadeKernel make_quantized_add(int64_t count, const QuantParams& a, const QuantParams& b,
                              const QuantParams& y, std::span<const PostOp> post_ops) {
  if (!eight_bits(a) || !eight_bits(b) || !eight_bits(y)) {
    return MadeKernel::refused("only 8-bit per-tensor codes are added as integers");
  }
  if (a.type.is_signed != b.type.is_signed || a.type.is_signed != y.type.is_signed) {
    return MadeKernel::refused("signed and unsigned codes mixed");
  }
  const auto bounds = bounds_of(post_ops);
  if (!bounds) return MadeKernel::refused("an activation behind it that is no clamp");
  return {std::make_unique<QuantizedAddKernel>(count, a, b, y, *bounds)};
}

MadeKernel make_quantized_average(int64_t outer, int64_t positions, int64_t channels,
                                  bool channels_innermost, const QuantParams& x,
                                  const QuantParams& y) {
  if (!eight_bits(x) || !eight_bits(y)) {
    return MadeKernel::refused("only 8-bit per-tensor codes are averaged as integers");
  }
  if (positions > (int64_t{1} << 23))
    return MadeKernel::refused("too many positions for 32-bit sums");
  return {std::make_unique<QuantizedAverageKernel>(outer, positions, channels, channels_innermost,
                                                   x, y)};
}

}  // namespace qtool
