// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstring>

#include "kernels/host/gradient.h"
#include "support/parallel.h"
#include "support/simd.h"

namespace qtool {

namespace {

constexpr int64_t kBlock = 64;  ///< channels at a time

/// Walks over the windows of one image: visit(output position, input positions inside of it, how
/// many positions count for an average with padding).
class WindowWalk {
 public:
  explicit WindowWalk(const WindowSpec& spec)
      : in_(spec.source.begin() + 2, spec.source.end()),
        out_(spec.destination.begin() + 2, spec.destination.end()), spec_(spec) {
    taps_ = element_count(spec.kernel);
  }

  int64_t outputs() const { return element_count(out_); }
  int64_t taps() const { return taps_; }

  /// The input position under a tap of the window at an output position; -1 in the padding, -2
  /// beyond it, where a window of ceil_mode hangs over.
  int64_t place(int64_t output, int64_t tap) const {
    int64_t position = 0;
    int64_t stride = 1;
    bool padding = false;
    for (size_t d = in_.size(); d-- > 0;) {
      const int64_t at = output % out_[d] * spec_.strides[d] - spec_.pads[d] +
                         tap % spec_.kernel[d] * spec_.dilations[d];
      output /= out_[d];
      tap /= spec_.kernel[d];
      if (at >= in_[d] + spec_.pads[in_.size() + d]) return -2;
      padding = padding || at < 0 || at >= in_[d];
      position += at * stride;
      stride *= in_[d];
    }
    return padding ? -1 : position;
  }

 private:
  Shape in_;
  Shape out_;
  const WindowSpec& spec_;
  int64_t taps_;
};

QTOOL_SIMD void raise(const float* x, int32_t place, float* best, int32_t* where, int64_t count) {
  for (int64_t c = 0; c < count; ++c) {
    const bool larger = x[c] > best[c] || where[c] < 0;
    best[c] = larger ? x[c] : best[c];
    where[c] = larger ? place : where[c];
  }
}

QTOOL_SIMD void add_share(const float* gy, float share, float* gx, int64_t count) {
  for (int64_t c = 0; c < count; ++c) gx[c] += gy[c] * share;
}

/// Where each window finds its elements, worked out once.
class PoolGradient : public Kernel {
 public:
  explicit PoolGradient(const WindowSpec& spec)
      : batch_(spec.source[0]), channels_(spec.source[1]),
        in_(element_count({spec.source.begin() + 2, spec.source.end()})) {
    const WindowWalk walk(spec);
    for (int64_t o = 0; o < walk.outputs(); ++o) {
      int64_t counted = 0;
      for (int64_t tap = 0; tap < walk.taps(); ++tap) {
        const int64_t place = walk.place(o, tap);
        if (place >= -1) ++counted;
        if (place >= 0) places_.push_back(static_cast<int32_t>(place));
      }
      ends_.push_back(places_.size());
      counted_.push_back(counted);
    }
  }
  std::string description() const override { return "host pooling gradient"; }

 protected:
  int64_t batch_;
  int64_t channels_;
  int64_t in_;                    ///< positions of an image
  std::vector<int32_t> places_;   ///< of all windows, one after the other
  std::vector<size_t> ends_;      ///< by window
  std::vector<int64_t> counted_;  ///< by window, with the padding
  int64_t outputs() const { return static_cast<int64_t>(ends_.size()); }
};

class MaxPoolGradient final : public PoolGradient {
 public:
  using PoolGradient::PoolGradient;
  void run(const KernelArgs& args) override {
    const auto* gy = static_cast<const float*>(args.inputs[0]);
    const auto* x = static_cast<const float*>(args.inputs[1]);
    auto* gx = static_cast<float*>(args.outputs[0]);
    parallel_for(batch_, 1, [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) {
        image(gy + n * outputs() * channels_, x + n * in_ * channels_, gx + n * in_ * channels_);
      }
    });
  }

 private:
  void image(const float* gy, const float* x, float* gx) const {
    std::memset(gx, 0, static_cast<size_t>(in_ * channels_) * sizeof(float));
    std::array<float, kBlock> best;
    std::array<int32_t, kBlock> where;
    for (int64_t c = 0; c < channels_; c += kBlock) {
      const int64_t count = std::min(kBlock, channels_ - c);
      size_t next = 0;
      for (size_t o = 0; o < ends_.size(); ++o) {
        where.fill(-1);
        for (; next < ends_[o]; ++next) {
          raise(x + places_[next] * channels_ + c, places_[next], best.data(), where.data(), count);
        }
        const float* from = gy + static_cast<int64_t>(o) * channels_ + c;
        for (int64_t i = 0; i < count; ++i) {
          const int32_t place = where[static_cast<size_t>(i)];
          if (place >= 0) gx[place * channels_ + c + i] += from[i];
        }
      }
    }
  }
};

class AveragePoolGradient final : public PoolGradient {
 public:
  AveragePoolGradient(const WindowSpec& spec, bool include_pads)
      : PoolGradient(spec), include_pads_(include_pads) {}
  void run(const KernelArgs& args) override {
    const auto* gy = static_cast<const float*>(args.inputs[0]);
    auto* gx = static_cast<float*>(args.outputs[0]);
    parallel_for(batch_, 1, [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) {
        image(gy + n * outputs() * channels_, gx + n * in_ * channels_);
      }
    });
  }

 private:
  void image(const float* gy, float* gx) const {
    std::memset(gx, 0, static_cast<size_t>(in_ * channels_) * sizeof(float));
    size_t next = 0;
    for (size_t o = 0; o < ends_.size(); ++o) {
      const int64_t count = include_pads_ ? counted_[o] : static_cast<int64_t>(ends_[o] - next);
      const float share = 1 / static_cast<float>(std::max<int64_t>(count, 1));
      for (; next < ends_[o]; ++next) {
        add_share(gy + static_cast<int64_t>(o) * channels_, share, gx + places_[next] * channels_,
                  channels_);
      }
    }
  }
  bool include_pads_;
};

}  // namespace

KernelPtr make_max_pool_gradient(const WindowSpec& spec) {
  return std::make_unique<MaxPoolGradient>(spec);
}

KernelPtr make_average_pool_gradient(const WindowSpec& spec, bool include_pads) {
  return std::make_unique<AveragePoolGradient>(spec, include_pads);
}

}  // namespace qtool
