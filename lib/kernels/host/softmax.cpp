// SPDX-License-Identifier: Apache-2.0
#include "kernels/host/softmax.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "kernels/host/elementary.h"
#include "kernels/host/quantize.h"
#include "support/parallel.h"
#include "support/simd.h"

namespace qtool {

namespace {

constexpr int64_t kLanes = 16;
constexpr int64_t kGrain = int64_t{1} << 14;  ///< elements that are worth a thread

constexpr int64_t kBlock = 2048;  ///< elements that stay in the nearest cache between passes

/// What 16 partial results make together, by halves.
template <class F>
[[gnu::always_inline]] inline float folded(const float (&lanes)[kLanes], F f) {
  float eight[8];
  float four[4];
  for (int l = 0; l < 8; ++l) eight[l] = f(lanes[l], lanes[l + 8]);
  for (int l = 0; l < 4; ++l) four[l] = f(eight[l], eight[l + 4]);
  return f(f(four[0], four[2]), f(four[1], four[3]));
}

/// x[0] f x[1] f ... in an order that does not depend on the CPU.
template <class F>
[[gnu::always_inline]] inline float reduced(const float* x, int64_t count, float neutral, F f) {
  float lanes[kLanes];
  std::fill_n(lanes, kLanes, neutral);
  const int64_t whole = count - count % kLanes;
  for (int64_t i = 0; i < whole; i += kLanes) {
    for (int64_t l = 0; l < kLanes; ++l) lanes[l] = f(lanes[l], x[i + l]);
  }
  for (int64_t i = whole; i < count; ++i) lanes[i - whole] = f(lanes[i - whole], x[i]);
  return folded(lanes, f);
}

/// NaN in a row makes its sum NaN, and so the whole row.
QTOOL_SIMD void softmax_rows(const float* x, float* y, int64_t rows, int64_t along) {
  for (int64_t r = 0; r < rows; ++r) {
    const float* from = x + r * along;
    const float most = reduced(from, along, -std::numeric_limits<float>::infinity(),
                               [](float a, float b) { return a < b ? b : a; });
    float* to = y + r * along;
    QTOOL_INDEPENDENT
    for (int64_t i = 0; i < along; ++i) to[i] = from[i] - most;
  }
  for (int64_t i = 0; i < rows * along; ++i) y[i] = elementary::exp(y[i]);
  for (int64_t r = 0; r < rows; ++r) {
    float* row = y + r * along;
    const float inverse = 1 / reduced(row, along, 0, [](float a, float b) { return a + b; });
    for (int64_t i = 0; i < along; ++i) row[i] *= inverse;
  }
}

class SoftmaxKernel final : public Kernel {
 public:
  SoftmaxKernel(int64_t rows, int64_t along, std::optional<RowQuantizer> quantizer)
      : rows_(rows), along_(along), quantizer_(std::move(quantizer)) {}

  void run(const KernelArgs& args) override {
    const auto* x = static_cast<const float*>(args.inputs[0]);
    auto* y = static_cast<float*>(quantizer_ ? args.scratch : args.outputs[0]);
    parallel_for(rows_, kGrain / std::max<int64_t>(along_, 1) + 1, [&](int64_t begin, int64_t end) {
      const int64_t step = kBlock / std::max<int64_t>(along_, 1) + 1;
      for (int64_t row = begin; row < end; row += step) {
        const int64_t rows = std::min(step, end - row);
        const int64_t at = row * along_;
        softmax_rows(x + at, y + at, rows, along_);
        if (quantizer_) {
          (*quantizer_)(y + at, static_cast<uint8_t*>(args.outputs[0]) + at, rows * along_);
        }
      }
    });
  }
  size_t scratch_bytes() const override {
    return quantizer_ ? static_cast<size_t>(rows_ * along_) * sizeof(float) : 0;
  }
  std::string description() const override {
    return quantizer_ ? "host softmax + quantize" : "host softmax";
  }

 private:
  int64_t rows_;
  int64_t along_;
  std::optional<RowQuantizer> quantizer_;
};

}  // namespace

MadeKernel make_softmax(int64_t rows, int64_t along, const QuantParams* result) {
  std::optional<RowQuantizer> quantizer;
  if (result != nullptr) {
    if (auto why = RowQuantizer::problem(*result); !why.empty()) {
      return MadeKernel::refused(std::move(why));
    }
    quantizer.emplace(*result);
  }
  return {std::make_unique<SoftmaxKernel>(rows, along, std::move(quantizer))};
}

}  // namespace qtool
