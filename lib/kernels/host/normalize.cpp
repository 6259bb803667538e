// SPDX-License-Identifier: Apache-2.0
#include "kernels/host/normalize.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "kernels/host/elementary.h"
#include "kernels/host/lanes.h"
#include "kernels/host/quantize.h"
#include "support/parallel.h"
#include "support/simd.h"

namespace qtool {

namespace {

constexpr int64_t kLanes = 16;
constexpr int64_t kGrain = 16384;  ///< elements that are worth a thread

/// Sum of x - shift, or of its squares.
template <bool squares>
[[gnu::always_inline]] inline double sum_row(const float* x, double shift, int64_t count) {
  double lanes[kLanes] = {};
  const auto term = [shift](float v) {
    const double d = static_cast<double>(v) - shift;
    return squares ? d * d : d;
  };
  const int64_t whole = count - count % kLanes;
  for (int64_t i = 0; i < whole; i += kLanes) {
    for (int64_t l = 0; l < kLanes; ++l) lanes[l] += term(x[i + l]);
  }
  for (int64_t i = whole; i < count; ++i) lanes[i - whole] += term(x[i]);
  double eight[8];
  double four[4];
  for (int l = 0; l < 8; ++l) eight[l] = lanes[l] + lanes[l + 8];
  for (int l = 0; l < 4; ++l) four[l] = eight[l] + eight[l + 4];
  return (four[0] + four[2]) + (four[1] + four[3]);
}

QTOOL_SIMD void scale_elements(const float* x, float mean, float inverse, const float* scale,
                               const float* bias, float* y, int64_t count) {
  if (bias == nullptr) {
    for (int64_t i = 0; i < count; ++i) y[i] = (x[i] - mean) * inverse * scale[i];
  } else {
    for (int64_t i = 0; i < count; ++i) y[i] = (x[i] - mean) * inverse * scale[i] + bias[i];
  }
}

QTOOL_SIMD void scale_run(const float* x, float mean, float factor, float bias, float* y,
                          int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = (x[i] - mean) * factor + bias;
}

constexpr int64_t kRowsAtOnce = 16;

struct RowStatistics {
  float mean[kRowsAtOnce];
  float inverse[kRowsAtOnce];
};

/// Of at most kRowsAtOnce rows, step by step over all of them: one row's sums, quotients and root
/// hold each other up.
QTOOL_SIMD void row_statistics(const float* x, int64_t rows, int64_t count, double epsilon,
                               RowStatistics& statistics) {
  const auto n = static_cast<double>(count);
  double mean[kRowsAtOnce] = {};
  double variance[kRowsAtOnce] = {};
  for (int64_t r = 0; r < rows; ++r) mean[r] = sum_row<false>(x + r * count, 0, count);
  for (int64_t r = 0; r < kRowsAtOnce; ++r) mean[r] /= n;
  for (int64_t r = 0; r < rows; ++r) variance[r] = sum_row<true>(x + r * count, mean[r], count);
  for (int64_t r = 0; r < kRowsAtOnce; ++r) {
    statistics.mean[r] = static_cast<float>(mean[r]);
    statistics.inverse[r] = static_cast<float>(1 / std::sqrt(variance[r] / n + epsilon));
  }
}

/// One row's elements as codes, in numbers of which `per_unit` make one.
QTOOL_SIMD void encode_elements(const float* x, float mean, float inverse, const float* scale,
                                const float* bias, float per_unit, lanes::CodeGrid grid,
                                uint8_t* to, int64_t count) {
  lanes::Coder coder;
  lanes::hold(coder, grid);
  const lanes::Reals zero = {};
  const auto encoded = [&](const float* from, const float* by, const float* more,
                           lanes::Bytes& codes) {
    lanes::Reals value;
    lanes::Reals factor;
    lanes::Reals shift = {};
    lanes::load(value, from);
    lanes::load(factor, by);
    if (more != nullptr) lanes::load(shift, more);
    value = ((value - mean) * inverse * factor + shift) * per_unit;
    value = value == value ? value : zero;
    lanes::encode(coder, value, codes);
  };
  lanes::Bytes codes;
  const int64_t whole = count - count % kLanes;
  for (int64_t i = 0; i < whole; i += kLanes) {
    encoded(x + i, scale + i, bias == nullptr ? nullptr : bias + i, codes);
    lanes::store(to + i, codes);
  }
  if (whole == count) return;
  const int64_t rest = count - whole;
  float parts[3][kLanes] = {};
  std::copy_n(x + whole, rest, parts[0]);
  std::copy_n(scale + whole, rest, parts[1]);
  if (bias != nullptr) std::copy_n(bias + whole, rest, parts[2]);
  encoded(parts[0], parts[1], parts[2], codes);
  std::memcpy(to + whole, &codes, static_cast<size_t>(rest));
}

class NormalizeKernel final : public Kernel {
 public:
  explicit NormalizeKernel(const NormalizeSpec& spec) : spec_(spec) {
    if (spec.result == nullptr) return;
    quantizer_.emplace(*spec.result);
    per_unit_ = 1 / spec.result->scale[0];
    grid_ = lanes::CodeGrid::of(*spec.result);
  }

  void run(const KernelArgs& args) override {
    const int64_t row = spec_.segments * spec_.run;
    parallel_for(spec_.rows, std::max<int64_t>(1, kGrain / std::max<int64_t>(row, 1)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t r = begin; r < end; r += kRowsAtOnce) {
                     some(args, r, std::min(kRowsAtOnce, end - r), row);
                   }
                   if (!by_runs_to_codes()) return;
                   (*quantizer_)(static_cast<const float*>(args.scratch) + begin * row,
                                 static_cast<uint8_t*>(args.outputs[0]) + begin * row,
                                 (end - begin) * row);
                 });
  }
  size_t scratch_bytes() const override {
    const int64_t elements = spec_.rows * spec_.segments * spec_.run;
    return by_runs_to_codes() ? static_cast<size_t>(elements) * sizeof(float) : 0;
  }
  std::string description() const override {
    return quantizer_ ? "host normalize + quantize" : "host normalize";
  }

 private:
  bool by_runs_to_codes() const { return quantizer_ && spec_.run != 1; }

  void some(const KernelArgs& args, int64_t first, int64_t rows, int64_t row) const {
    const float* x = static_cast<const float*>(args.inputs[0]) + first * row;
    RowStatistics statistics;
    row_statistics(x, rows, row, spec_.epsilon, statistics);
    for (int64_t r = 0; r < rows; ++r) {
      one(args, first + r, row, statistics.mean[r], statistics.inverse[r]);
    }
  }

  void one(const KernelArgs& args, int64_t r, int64_t row, float mean, float inverse) const {
    const float* x = static_cast<const float*>(args.inputs[0]) + r * row;
    store(args, 1, r, mean);
    store(args, 2, r, inverse);
    const int64_t first = r % spec_.periods * spec_.segments;
    const float* scale = static_cast<const float*>(args.inputs[1]) + first;
    const auto* shifts =
        args.inputs.size() > 2 ? static_cast<const float*>(args.inputs[2]) : nullptr;
    const float* bias = shifts == nullptr ? nullptr : shifts + first;
    if (spec_.run == 1 && quantizer_) {
      encode_elements(x, mean, inverse, scale, bias, per_unit_, grid_,
                      static_cast<uint8_t*>(args.outputs[0]) + r * row, row);
      return;
    }
    float* y = static_cast<float*>(quantizer_ ? args.scratch : args.outputs[0]) + r * row;
    if (spec_.run == 1) {
      scale_elements(x, mean, inverse, scale, bias, y, row);
      return;
    }
    for (int64_t s = 0; s < spec_.segments; ++s) {
      scale_run(x + s * spec_.run, mean, inverse * scale[s], bias == nullptr ? 0.0F : bias[s],
                y + s * spec_.run, spec_.run);
    }
  }

  static void store(const KernelArgs& args, size_t output, int64_t r, float value) {
    if (output < args.outputs.size() && args.outputs[output] != nullptr) {
      static_cast<float*>(args.outputs[output])[r] = value;
    }
  }

  NormalizeSpec spec_;
  std::optional<RowQuantizer> quantizer_;
  float per_unit_ = 1;
  lanes::CodeGrid grid_{};
};

// ---- LRN --------------------------------------------------------------------------------------

QTOOL_SIMD void add_squares(const float* x, float* sums, int64_t count) {
  for (int64_t i = 0; i < count; ++i) sums[i] += x[i] * x[i];
}

/// y = x * (bias + factor * sums)^-beta; y holds the sums.
QTOOL_SIMD void divide_by_power(const float* x, float bias, float factor, float beta, float* y,
                                int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    y[i] = x[i] * elementary::exp(-beta * elementary::log(bias + factor * y[i]));
  }
}

class ResponseKernel final : public Kernel {
 public:
  explicit ResponseKernel(const ResponseSpec& spec) : spec_(spec) {}

  void run(const KernelArgs& args) override {
    const auto* x = static_cast<const float*>(args.inputs[0]);
    auto* y = static_cast<float*>(args.outputs[0]);
    const int64_t work = std::max<int64_t>(1, spec_.inner * std::min(spec_.size, spec_.channels));
    parallel_for(spec_.outer * spec_.channels, std::max<int64_t>(1, kGrain / work),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t row = begin; row < end; ++row) one(x, y, row);
                 });
  }
  std::string description() const override { return "host response"; }

 private:
  void one(const float* x, float* y, int64_t row) const {
    const int64_t channel = row % spec_.channels;
    const int64_t first = std::max<int64_t>(0, channel - (spec_.size - 1) / 2);
    const int64_t last = std::min(spec_.channels - 1, channel + spec_.size / 2);
    float* sums = y + row * spec_.inner;
    std::fill_n(sums, spec_.inner, 0.0F);
    for (int64_t c = first; c <= last; ++c) {
      add_squares(x + (row - channel + c) * spec_.inner, sums, spec_.inner);
    }
    divide_by_power(x + row * spec_.inner, spec_.bias, spec_.alpha / static_cast<float>(spec_.size),
                    spec_.beta, sums, spec_.inner);
  }

  ResponseSpec spec_;
};

}  // namespace

MadeKernel make_normalize(const NormalizeSpec& spec) {
  if (spec.result != nullptr) {
    if (auto why = RowQuantizer::problem(*spec.result); !why.empty()) {
      return MadeKernel::refused(std::move(why));
    }
  }
  return {std::make_unique<NormalizeKernel>(spec)};
}

KernelPtr make_response(const ResponseSpec& spec) { return std::make_unique<ResponseKernel>(spec); }

}  // namespace qtool
