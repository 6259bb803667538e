// SPDX-License-Identifier: Apache-2.0
#include "kernels/host/fake_quantize.h"

#include <algorithm>
#include <cmath>

#include "support/parallel.h"
#include "support/simd.h"

namespace qtool {

namespace {

constexpr int64_t kGrain = int64_t{1} << 14;
constexpr int64_t kLanes = 16;
constexpr float kUnitSpacing = 0x1.8p23F;  ///< where the spacing of floats is 1

/// One channel's grid; low and high are its ends less the zero point.
struct Grid {
  float scale;
  float low;
  float high;
};

Grid grid_of(const FakeQuantizeSpec& spec, const float* scales, const float* zeros, int64_t c) {
  const auto lowest = static_cast<float>(spec.lowest);
  const auto highest = static_cast<float>(spec.highest);
  float zero = zeros == nullptr ? 0 : std::nearbyint(zeros[c]);
  zero = std::isnan(zero) ? 0 : std::clamp(zero, lowest, highest);
  return {scales[c], lowest - zero, highest - zero};
}

[[gnu::always_inline]] inline float rounded(float quotient, float low, float high) {
  float t = quotient != quotient ? 0.0F : quotient;
  t = t < low ? low : t;
  t = t > high ? high : t;
  return (t + kUnitSpacing) - kUnitSpacing;
}

QTOOL_SIMD void forward_run(const float* x, float* y, int64_t count, Grid g) {
  for (int64_t i = 0; i < count; ++i) y[i] = rounded(x[i] / g.scale, g.low, g.high) * g.scale;
}

/// Sums over elements: gs in units of gy, gz without its factor -s.
struct Sums {
  double scale = 0;
  double zero = 0;
};

/// Sums in float, by lane.
struct Lanes {
  float scale[kLanes] = {};
  float zero[kLanes] = {};
};

constexpr int64_t kPiece = 256;

/// At most kPiece elements, by way of arrays that alias nothing, so that the loops vectorize even
/// where gx is gy.
QTOOL_SIMD void backward_piece(const float* gy, const float* x, float* gx, int64_t count, Grid g,
                               Lanes& lanes) {
  float passed[kPiece];
  float for_scale[kPiece] = {};
  float for_zero[kPiece] = {};
  for (int64_t i = 0; i < count; ++i) {
    const float t = x[i] / g.scale;
    const float q = rounded(t, g.low, g.high);
    const bool inside = (t >= g.low) & (t <= g.high);
    passed[i] = inside ? gy[i] : 0.0F;
    for_scale[i] = gy[i] * (q - (inside ? t : 0.0F));
    for_zero[i] = inside ? 0.0F : gy[i];
  }
  std::copy_n(passed, count, gx);
  for (int64_t i = 0; i < kPiece; i += kLanes) {
    for (int64_t l = 0; l < kLanes; ++l) {
      lanes.scale[l] += for_scale[i + l];
      lanes.zero[l] += for_zero[i + l];
    }
  }
}

/// The variants of the rule, for a piece.
QTOOL_SIMD void varied_piece(const float* gy, const float* x, float* gx, int64_t count, Grid g,
                             const FakeQuantizeGradientRule& rule, Lanes& lanes) {
  float passed[kPiece];
  float for_scale[kPiece] = {};
  float for_zero[kPiece] = {};
  for (int64_t i = 0; i < count; ++i) {
    const float t = x[i] / g.scale;
    const float q = rounded(t, g.low, g.high);
    const bool inside = (t >= g.low) & (t <= g.high);
    const float away = rule.steer * (t - q);
    const float factor = 1 + (gy[i] > 0 ? away : -away);  // of a gradient of 0 nothing is left
    passed[i] = inside ? gy[i] * factor : 0.0F;
    const float of_rounding = rule.outside_only ? 0.0F : gy[i] * (q - t);
    for_scale[i] = inside ? of_rounding : gy[i] * q;
    for_zero[i] = inside ? 0.0F : gy[i];
  }
  std::copy_n(passed, count, gx);
  for (int64_t i = 0; i < kPiece; i += kLanes) {
    for (int64_t l = 0; l < kLanes; ++l) {
      lanes.scale[l] += for_scale[i + l];
      lanes.zero[l] += for_zero[i + l];
    }
  }
}

Sums backward_run(const float* gy, const float* x, float* gx, int64_t count, const Grid& g,
                  const FakeQuantizeGradientRule& rule) {
  const bool plain = !rule.outside_only && rule.steer == 0;
  Sums sums;
  constexpr int64_t kBlock = 4096;  // short enough for sums in float
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    const int64_t end = std::min(count, begin + kBlock);
    Lanes lanes;
    for (int64_t i = begin; i < end; i += kPiece) {
      const int64_t piece = std::min(kPiece, end - i);
      if (plain) {
        backward_piece(gy + i, x + i, gx + i, piece, g, lanes);
      } else {
        varied_piece(gy + i, x + i, gx + i, piece, g, rule, lanes);
      }
    }
    for (int64_t l = 0; l < kLanes; ++l) {
      sums.scale += static_cast<double>(lanes.scale[l]);
      sums.zero += static_cast<double>(lanes.zero[l]);
    }
  }
  return sums;
}

class FakeQuantize final : public Kernel {
 public:
  explicit FakeQuantize(const FakeQuantizeSpec& spec) : spec_(spec) {}

  void run(const KernelArgs& args) override {
    const auto* x = static_cast<const float*>(args.inputs[0]);
    const auto* scales = static_cast<const float*>(args.inputs[1]);
    const auto* zeros =
        args.inputs.size() > 2 ? static_cast<const float*>(args.inputs[2]) : nullptr;
    auto* y = static_cast<float*>(args.outputs[0]);
    if (spec_.channels == 1) {
      const Grid grid = grid_of(spec_, scales, zeros, 0);
      parallel_for(spec_.outer * spec_.inner, kGrain, [&](int64_t begin, int64_t end) {
        forward_run(x + begin, y + begin, end - begin, grid);
      });
      return;
    }
    const int64_t grain = std::max<int64_t>(1, kGrain / std::max<int64_t>(spec_.inner, 1));
    parallel_for(spec_.outer * spec_.channels, grain, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        forward_run(x + r * spec_.inner, y + r * spec_.inner, spec_.inner,
                    grid_of(spec_, scales, zeros, r % spec_.channels));
      }
    });
  }
  std::string description() const override { return "host fake quantization"; }

 private:
  FakeQuantizeSpec spec_;
};

class FakeQuantizeGradient final : public Kernel {
 public:
  FakeQuantizeGradient(const FakeQuantizeSpec& spec, const FakeQuantizeGradientRule& rule)
      : spec_(spec), rule_(rule) {
    const int64_t elements = spec.outer * spec.inner;
    if (spec.channels == 1) runs_ = (elements + kRun - 1) / kRun;
  }

  void run(const KernelArgs& args) override {
    const auto* scales = static_cast<const float*>(args.inputs[2]);
    auto* scale_gradient = static_cast<float*>(args.outputs[1]);
    auto* zero_gradient = args.outputs.size() > 2 ? static_cast<float*>(args.outputs[2]) : nullptr;
    const auto store = [&](int64_t c, const Sums& sums) {
      const auto share = static_cast<double>(rule_.share);
      const double zero = -static_cast<double>(scales[c]) * sums.zero;
      if (scale_gradient != nullptr) scale_gradient[c] = static_cast<float>(sums.scale * share);
      if (zero_gradient != nullptr) zero_gradient[c] = static_cast<float>(zero * share);
    };
    if (spec_.channels == 1) {
      store(0, whole(args));
    } else {
      const int64_t row = spec_.outer * spec_.inner;
      parallel_for(spec_.channels, std::max<int64_t>(1, kGrain / std::max<int64_t>(row, 1)),
                   [&](int64_t begin, int64_t end) {
                     for (int64_t c = begin; c < end; ++c) store(c, channel(args, c));
                   });
    }
  }
  std::string description() const override { return "host fake quantization gradient"; }
  size_t scratch_bytes() const override { return static_cast<size_t>(runs_) * sizeof(Sums); }

 private:
  static constexpr int64_t kRun = int64_t{1} << 14;

  /// Runs of a fixed length, so that the sums are the same for any number of threads.
  Sums whole(const KernelArgs& args) const {
    const auto* gy = static_cast<const float*>(args.inputs[0]);
    const auto* x = static_cast<const float*>(args.inputs[1]);
    auto* gx = static_cast<float*>(args.outputs[0]);
    auto* parts = static_cast<Sums*>(args.scratch);
    const Grid grid = grid_at(args, 0);
    const int64_t elements = spec_.outer * spec_.inner;
    parallel_for(runs_, 1, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        const int64_t at = r * kRun;
        parts[r] =
            backward_run(gy + at, x + at, gx + at, std::min(kRun, elements - at), grid, rule_);
      }
    });
    Sums all;
    for (int64_t r = 0; r < runs_; ++r) {
      all.scale += parts[r].scale;
      all.zero += parts[r].zero;
    }
    return all;
  }

  Sums channel(const KernelArgs& args, int64_t c) const {
    const auto* gy = static_cast<const float*>(args.inputs[0]);
    const auto* x = static_cast<const float*>(args.inputs[1]);
    auto* gx = static_cast<float*>(args.outputs[0]);
    const Grid grid = grid_at(args, c);
    Sums all;
    for (int64_t o = 0; o < spec_.outer; ++o) {
      const int64_t at = (o * spec_.channels + c) * spec_.inner;
      const Sums sums = backward_run(gy + at, x + at, gx + at, spec_.inner, grid, rule_);
      all.scale += sums.scale;
      all.zero += sums.zero;
    }
    return all;
  }

  Grid grid_at(const KernelArgs& args, int64_t c) const {
    const auto* zeros =
        args.inputs.size() > 3 ? static_cast<const float*>(args.inputs[3]) : nullptr;
    return grid_of(spec_, static_cast<const float*>(args.inputs[2]), zeros, c);
  }

  FakeQuantizeSpec spec_;
  FakeQuantizeGradientRule rule_;
  int64_t runs_ = 0;
};

}  // namespace

KernelPtr make_fake_quantize(const FakeQuantizeSpec& spec) {
  return std::make_unique<FakeQuantize>(spec);
}

KernelPtr make_fake_quantize_gradient(const FakeQuantizeSpec& spec,
                                      const FakeQuantizeGradientRule& rule) {
  return std::make_unique<FakeQuantizeGradient>(spec, rule);
}

}  // namespace qtool
