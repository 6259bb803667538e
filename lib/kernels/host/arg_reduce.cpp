// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>

#include "kernels/host/reduce.h"
#include "support/parallel.h"

namespace qtool {

namespace {

constexpr int64_t kBlock = 512;

class ArgReduceKernel final : public Kernel {
 public:
  ArgReduceKernel(ArgOp op, bool last, int64_t outer, int64_t along, int64_t inner)
      : sign_(op == ArgOp::max ? 1.0F : -1.0F), last_(last), outer_(outer), along_(along),
        inner_(inner) {}

  void run(const KernelArgs& args) override {
    const auto* x = static_cast<const float*>(args.inputs[0]);
    auto* y = static_cast<int64_t*>(args.outputs[0]);
    const int64_t blocks = (inner_ + kBlock - 1) / kBlock;
    const int64_t work = along_ * std::min(inner_, kBlock);
    parallel_for(outer_ * blocks,
                 std::max<int64_t>(1, (int64_t{1} << 15) / std::max<int64_t>(1, work)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i) {
                     const int64_t at = i % blocks * kBlock;
                     block(x + i / blocks * along_ * inner_ + at, y + i / blocks * inner_ + at,
                           std::min(kBlock, inner_ - at));
                   }
                 });
  }
  std::string description() const override { return "host arg reduction"; }

 private:
  /// `count` neighbouring results.
  void block(const float* x, int64_t* y, int64_t count) const {
    std::array<float, kBlock> best;
    for (int64_t i = 0; i < count; ++i) {
      best[static_cast<size_t>(i)] = sign_ * x[i];
      y[i] = 0;
    }
    for (int64_t k = 1; k < along_; ++k) {
      for (int64_t i = 0; i < count; ++i) {
        const float value = sign_ * x[k * inner_ + i];
        float& so_far = best[static_cast<size_t>(i)];
        const bool better = value != value ? last_ || so_far == so_far
                                           : value > so_far || (last_ && value == so_far);
        so_far = better ? value : so_far;
        y[i] = better ? k : y[i];
      }
    }
  }

  float sign_;
  bool last_;
  int64_t outer_;
  int64_t along_;
  int64_t inner_;
};

}  // namespace

KernelPtr make_arg_reduce(ArgOp op, bool last_of_equals, int64_t outer, int64_t along,
                          int64_t inner) {
  QTOOL_CHECK(along > 0, "nothing to choose from");
  return std::make_unique<ArgReduceKernel>(op, last_of_equals, outer, along, inner);
}

}  // namespace qtool
