// SPDX-License-Identifier: Apache-2.0
// Element-wise work on 8-bit codes. The real-number steps are those of ONNX's DequantizeLinear, op
// and QuantizeLinear in the same order and precision, so that the results are theirs to the bit.
#include <algorithm>
#include <vector>

#include "kernels/host/elementwise.h"
#include "kernels/host/simd.h"
#include "support/parallel.h"

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

template <class A, class B, class Y>
inline void add_codes(const A* a, const B* b, Y* y, int64_t count, Affine fa, Affine fb, Affine fy,
                      Bounds bounds) {
  for (int64_t i = 0; i < count; ++i) {
    const float x = static_cast<float>(a[i] - fa.zero_point) * fa.scale;
    const float z = static_cast<float>(b[i] - fb.zero_point) * fb.scale;
    const float sum = x + z;
    const float bounded = sum < bounds.low ? bounds.low : sum > bounds.high ? bounds.high : sum;
    y[i] = static_cast<Y>(quantize_value(bounded, fy.scale, fy.zero_point, fy.lowest, fy.highest));
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

class QuantizedAddKernel final : public Kernel {
 public:
  QuantizedAddKernel(int64_t count, const QuantParams& a, const QuantParams& b,
                     const QuantParams& y, Bounds bounds)
      : count_(count), a_(affine(a)), b_(affine(b)), y_(affine(y)), bounds_(bounds),
        is_signed_(a.type.is_signed) {}
  void run(const KernelArgs& args) override {
    parallel_for(count_, kGrain, [&](int64_t begin, int64_t end) {
      if (is_signed_) {
        add_s8(static_cast<const int8_t*>(args.inputs[0]) + begin,
               static_cast<const int8_t*>(args.inputs[1]) + begin,
               static_cast<int8_t*>(args.outputs[0]) + begin, end - begin, a_, b_, y_, bounds_);
      } else {
        add_u8(static_cast<const uint8_t*>(args.inputs[0]) + begin,
               static_cast<const uint8_t*>(args.inputs[1]) + begin,
               static_cast<uint8_t*>(args.outputs[0]) + begin, end - begin, a_, b_, y_, bounds_);
      }
    });
  }
  std::string description() const override { return "host int8 add"; }

 private:
  int64_t count_;
  Affine a_;
  Affine b_;
  Affine y_;
  Bounds bounds_;
  bool is_signed_;
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
