// SPDX-License-Identifier: Apache-2.0
#include "kernels/host/softmax.h"

#include <algorithm>
#include <limits>

#include "kernels/host/elementary.h"
#include "kernels/host/lanes.h"
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
  SoftmaxKernel(int64_t rows, int64_t along) : rows_(rows), along_(along) {}

  void run(const KernelArgs& args) override {
    const auto* x = static_cast<const float*>(args.inputs[0]);
    auto* y = static_cast<float*>(args.outputs[0]);
    parallel_for(rows_, kGrain / std::max<int64_t>(along_, 1) + 1, [&](int64_t begin, int64_t end) {
      const int64_t step = kBlock / std::max<int64_t>(along_, 1) + 1;
      for (int64_t row = begin; row < end; row += step) {
        const int64_t at = row * along_;
        softmax_rows(x + at, y + at, std::min(step, end - row), along_);
      }
    });
  }
  std::string description() const override { return "host softmax"; }

 private:
  int64_t rows_;
  int64_t along_;
};

// ---- to codes ---------------------------------------------------------------------------------

using lanes::Ints;
using lanes::Reals;

/// 2^x for x <= 0 to 3.5e-6 of it, down to 2^-125, as which less counts; NaN gives NaN.
[[gnu::always_inline]] inline void power_of_two(Reals& x) {
  constexpr float kLowest = -125;
  // Through the Chebyshev nodes of [-1/2, 1/2].
  constexpr float kA[] = {1, 0.693121045F, 0.24022349F, 0.0559219758F, 0.00966636852F};
  x = x < kLowest ? Reals{} + kLowest : x;
  const Reals shifted = x + lanes::kUnitSpacing;
  const Reals f = x - (shifted - lanes::kUnitSpacing);
  Ints exponent;
  std::memcpy(&exponent, &shifted, sizeof exponent);
  exponent = (exponent << 23) + (127 << 23);
  Reals scale;
  std::memcpy(&scale, &exponent, sizeof scale);
  x = ((((kA[4] * f + kA[3]) * f + kA[2]) * f + kA[1]) * f + kA[0]) * scale;
}

constexpr int64_t kRowsAtOnce = 16;

int64_t padded(int64_t along) { return (along + kLanes - 1) / kLanes * kLanes; }

/// Calls f(x, i) for the elements from i on of a row, the last time with `other` behind its end.
/// `there` elements can be read.
template <class F>
[[gnu::always_inline]] inline void each_lanes(const float* row, int64_t along, int64_t there,
                                              float other, F f) {
  Reals x = {};
  const int64_t whole = along - along % kLanes;
  for (int64_t i = 0; i < whole; i += kLanes) {
    lanes::load(x, row + i);
    f(x, i);
  }
  if (whole == along) return;
  if (whole + kLanes <= there) {
    lanes::load(x, row + whole);
  } else {
    std::memcpy(&x, row + whole, static_cast<size_t>(along - whole) * sizeof(float));
  }
  lanes::first_of(x, along - whole, other);
  f(x, whole);
}

/// At most kRowsAtOnce rows, in passes over all of them, so that folding the lanes of one does not
/// hold up the next. `block` has room for them, padded.
QTOOL_SIMD void softmax_codes(const float* x, uint8_t* to, int64_t rows, int64_t along,
                              float* block, float unit, lanes::CodeGrid grid) {
  constexpr float kLogE = 1.44269504F;  // to the base 2
  constexpr float kLowest = -std::numeric_limits<float>::infinity();
  const int64_t width = padded(along);
  const int64_t count = rows * along;
  float most[kRowsAtOnce];
  for (int64_t r = 0; r < rows; ++r) {
    Reals all = Reals{} + kLowest;
    const auto raise = [](Reals& a, const Reals& b) { a = a < b ? b : a; };
    each_lanes(x + r * along, along, count - r * along, kLowest,
               [&](const Reals& value, int64_t) { raise(all, value); });
    most[r] = lanes::folded(all, raise);
  }
  float factor[kRowsAtOnce] = {};
  for (int64_t r = 0; r < rows; ++r) {
    Reals sum = {};
    float* e = block + r * width;
    each_lanes(x + r * along, along, count - r * along, kLowest, [&](Reals& value, int64_t i) {
      value = (value - most[r]) * kLogE;
      power_of_two(value);
      lanes::store(e + i, value);
      sum += value;
    });
    factor[r] = lanes::folded(sum, [](Reals& a, const Reals& b) { a += b; });
  }
  for (float& f : factor) f = 1 / (f * unit);
  const Reals zero = {};
  lanes::Coder coder;
  lanes::hold(coder, grid);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < along; i += kLanes) {
      lanes::Bytes codes;
      Reals value;
      lanes::load(value, block + r * width + i);
      value *= factor[r];
      value = value > zero ? value : zero;  // NaN is 0 in codes
      lanes::encode(coder, value, codes);
      const int64_t at = r * along + i;
      if (at + kLanes <= count) {
        lanes::store(to + at, codes);  // beyond the row's end the next row stores again
      } else {
        std::memcpy(to + at, &codes, static_cast<size_t>(along - i));
      }
    }
  }
}

class SoftmaxCodesKernel final : public Kernel {
 public:
  SoftmaxCodesKernel(int64_t rows, int64_t along, const QuantParams& result)
      : rows_(rows), along_(along), unit_(result.scale[0]), grid_(lanes::CodeGrid::of(result)) {}

  void run(const KernelArgs& args) override {
    const auto* x = static_cast<const float*>(args.inputs[0]);
    auto* to = static_cast<uint8_t*>(args.outputs[0]);
    auto* room = static_cast<float*>(args.scratch);
    const int64_t step = std::clamp<int64_t>(kBlock / along_, 1, kRowsAtOnce);
    parallel_for(rows_, kGrain / along_ + 1, [&](int64_t begin, int64_t end) {
      // A place of its own for each range, whichever thread has it.
      float* const block = room + begin * padded(along_);
      for (int64_t row = begin; row < end; row += step) {
        const int64_t at = row * along_;
        softmax_codes(x + at, to + at, std::min(step, end - row), along_, block, unit_, grid_);
      }
    });
  }
  size_t scratch_bytes() const override {
    return static_cast<size_t>(rows_ * padded(along_)) * sizeof(float);
  }
  std::string description() const override { return "host softmax to codes"; }

 private:
  int64_t rows_;
  int64_t along_;
  float unit_;
  lanes::CodeGrid grid_;
};

}  // namespace

MadeKernel make_softmax(int64_t rows, int64_t along, const QuantParams* result) {
  if (result == nullptr) return {std::make_unique<SoftmaxKernel>(rows, along)};
  if (auto why = RowQuantizer::problem(*result); !why.empty()) {
    return MadeKernel::refused(std::move(why));
  }
  return {std::make_unique<SoftmaxCodesKernel>(rows, along, *result)};
}

}  // namespace qtool
