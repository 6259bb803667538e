// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "kernels/host/gradient.h"
#include "support/parallel.h"

namespace qtool {

namespace {

class SoftmaxGradient final : public Kernel {
 public:
  SoftmaxGradient(int64_t outer, int64_t along, int64_t inner, bool logarithm)
      : outer_(outer), along_(along), inner_(inner), logarithm_(logarithm) {}

  void run(const KernelArgs& args) override {
    const auto* gy = static_cast<const float*>(args.inputs[0]);
    const auto* y = static_cast<const float*>(args.inputs[1]);
    auto* gx = static_cast<float*>(args.outputs[0]);
    const int64_t grain = std::max<int64_t>(1, (int64_t{1} << 13) / std::max<int64_t>(along_, 1));
    parallel_for(outer_ * inner_, grain, [&](int64_t begin, int64_t end) {
      for (int64_t l = begin; l < end; ++l) {
        const int64_t at = l / inner_ * along_ * inner_ + l % inner_;
        line(gy + at, y + at, gx + at);
      }
    });
  }
  std::string description() const override { return "host softmax gradient"; }

 private:
  void line(const float* gy, const float* y, float* gx) const {
    double sum = 0;
    for (int64_t k = 0; k < along_ * inner_; k += inner_) {
      sum += static_cast<double>(gy[k]) * (logarithm_ ? 1 : static_cast<double>(y[k]));
    }
    const auto whole = static_cast<float>(sum);
    for (int64_t k = 0; k < along_ * inner_; k += inner_) {
      gx[k] = logarithm_ ? gy[k] - std::exp(y[k]) * whole : y[k] * (gy[k] - whole);
    }
  }
  int64_t outer_;
  int64_t along_;
  int64_t inner_;
  bool logarithm_;
};

}  // namespace

KernelPtr make_softmax_gradient(int64_t outer, int64_t along, int64_t inner, bool logarithm) {
  return std::make_unique<SoftmaxGradient>(outer, along, inner, logarithm);
}

}  // namespace qtool
