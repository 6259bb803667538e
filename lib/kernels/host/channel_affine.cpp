// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "kernels/host/elementwise.h"
#include "support/parallel.h"

namespace qtool {

namespace {

constexpr int64_t kGrain = int64_t{1} << 15;

class ChannelAffineKernel final : public Kernel {
 public:
  ChannelAffineKernel(int64_t outer, int64_t channels, int64_t inner, std::vector<float> scale,
                      std::vector<float> shift)
      : outer_(outer), channels_(channels), inner_(inner), scale_(std::move(scale)),
        shift_(std::move(shift)) {}
  void run(const KernelArgs& args) override {
    const auto* x = static_cast<const float*>(args.inputs[0]);
    auto* y = static_cast<float*>(args.outputs[0]);
    const int64_t row = channels_ * inner_;
    parallel_for(outer_, std::max<int64_t>(1, kGrain / std::max<int64_t>(row, 1)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t o = begin; o < end; ++o) affine(x + o * row, y + o * row);
                 });
  }
  std::string description() const override { return "host channel affine"; }

 private:
  void affine(const float* x, float* y) const {
    for (int64_t c = 0; c < channels_; ++c) {
      const float scale = scale_[static_cast<size_t>(c)];
      const float shift = shift_[static_cast<size_t>(c)];
      for (int64_t i = 0; i < inner_; ++i) y[c * inner_ + i] = x[c * inner_ + i] * scale + shift;
    }
  }
  int64_t outer_;
  int64_t channels_;
  int64_t inner_;
  std::vector<float> scale_;
  std::vector<float> shift_;
};

}  // namespace

KernelPtr make_channel_affine(int64_t outer, int64_t channels, int64_t inner,
                              std::vector<float> scale, std::vector<float> shift) {
  return std::make_unique<ChannelAffineKernel>(outer, channels, inner, std::move(scale),
                                               std::move(shift));
}

}  // namespace qtool
