// SPDX-License-Identifier: Apache-2.0
// oneDNN multiplies the codes as they are; what the zero points change is subtracted afterwards:
//   sum (x - p)(w - q) = sum x w  -  p sum w  -  q (sum x - p count),
// with sums over the taps inside of the input.
#include "kernels/onednn/integer.h"

#include <algorithm>
#include <array>

#include "support/parallel.h"

namespace qtool::onednn {

namespace {

constexpr int64_t kGrain = int64_t{1} << 14;

// Sums wrap, as the specification of int32 results has it.
int32_t times(int32_t a, int32_t b) {
  return static_cast<int32_t>(static_cast<uint32_t>(a) * static_cast<uint32_t>(b));
}
int32_t minus(int32_t a, int32_t b) {
  return static_cast<int32_t>(static_cast<uint32_t>(a) - static_cast<uint32_t>(b));
}

/// Scales of 1 and no zero point: codes taken as numbers.
QuantParams plain_codes(DType dtype) {
  return checked_params({8, dtype == DType::int8, false}, {1.0F}, {0});
}

/// Weights as s8, the only ones that oneDNN multiplies, with the zero points that belong to them,
/// one per output channel; none where all are 0.
struct SignedWeights {
  Tensor codes;
  std::vector<int32_t> zeros;
};

SignedWeights signed_weights(const IntegerProductSpec& spec, int64_t channels) {
  SignedWeights result;
  result.zeros.assign(static_cast<size_t>(channels), 0);
  for (size_t c = 0; c < result.zeros.size() && !spec.weight_zeros.empty(); ++c) {
    result.zeros[c] = spec.weight_zeros[spec.weight_zeros.size() == 1 ? 0 : c];
  }
  if (spec.weights->dtype() == DType::uint8) {
    result.codes = Tensor(DType::int8, spec.weights->shape());
    std::ranges::transform(spec.weights->data<uint8_t>(), result.codes.data<int8_t>().begin(),
                           [](uint8_t w) { return static_cast<int8_t>(w - 128); });
    for (int32_t& zero : result.zeros) zero -= 128;
  } else {
    result.codes = spec.weights->clone();
  }
  if (std::ranges::all_of(result.zeros, [](int32_t z) { return z == 0; })) result.zeros.clear();
  return result;
}

int32_t zero_point(const void* zeros, DType dtype, int64_t i) {
  if (zeros == nullptr) return 0;
  return dtype == DType::uint8 ? static_cast<const uint8_t*>(zeros)[i]
                               : static_cast<const int8_t*>(zeros)[i];
}

std::string type_problem(const IntegerProductSpec& spec) {
  const auto eight_bits = [](DType dtype) { return dtype == DType::uint8 || dtype == DType::int8; };
  if (!eight_bits(spec.source) || !eight_bits(spec.weights->dtype())) return "codes of other types";
  return {};
}

// ---- matrices ---------------------------------------------------------------------------------

class IntegerMatmul final : public Kernel {
 public:
  IntegerMatmul(KernelPtr product, const IntegerProductSpec& spec, const SignedWeights& weights,
                int64_t source_zeros)
      : product_(std::move(product)), source_(spec.source), rows_(spec.source_shape[0]),
        inner_(spec.source_shape[1]), columns_(spec.destination_shape[1]),
        source_zeros_(source_zeros), weight_zeros_(weights.zeros) {
    if (!spec.source_zero) return;
    sums_.assign(static_cast<size_t>(columns_), 0);
    const auto codes = weights.codes.data<int8_t>();
    for (size_t i = 0; i < codes.size(); ++i) sums_[i % sums_.size()] += codes[i];
  }

  void run(const KernelArgs& args) override {
    product_->run({args.inputs.first(1), args.outputs, args.scratch});
    if (sums_.empty() && weight_zeros_.empty()) return;
    const void* zeros = args.inputs.size() > 2 ? args.inputs[2] : nullptr;
    auto* out = static_cast<int32_t*>(args.outputs[0]);
    parallel_for(rows_, kGrain / std::max<int64_t>(columns_, 1) + 1, [&](int64_t b, int64_t e) {
      for (int64_t row = b; row < e; ++row) {
        correct(row, zero_point(zeros, source_, row % source_zeros_), args.inputs[0],
                out + row * columns_);
      }
    });
  }
  size_t scratch_bytes() const override { return product_->scratch_bytes(); }
  std::string description() const override { return product_->description(); }

 private:
  void correct(int64_t row, int32_t zero, const void* source, int32_t* out) const {
    const auto count = static_cast<size_t>(columns_);
    if (zero != 0) {
      for (size_t n = 0; n < count; ++n) out[n] = minus(out[n], times(zero, sums_[n]));
    }
    if (weight_zeros_.empty()) return;
    const auto* codes = static_cast<const uint8_t*>(source) + row * inner_;
    int32_t sum = 0;
    for (int64_t k = 0; k < inner_; ++k) {
      sum += source_ == DType::uint8 ? codes[k] : static_cast<int8_t>(codes[k]);
    }
    const int32_t centred = minus(sum, times(zero, static_cast<int32_t>(inner_)));
    for (size_t n = 0; n < count; ++n) out[n] = minus(out[n], times(weight_zeros_[n], centred));
  }

  KernelPtr product_;
  DType source_;
  int64_t rows_;
  int64_t inner_;
  int64_t columns_;
  int64_t source_zeros_;
  std::vector<int32_t> sums_;          ///< of the weights, by column
  std::vector<int32_t> weight_zeros_;  ///< by column, or none
};

// ---- convolutions -----------------------------------------------------------------------------

/// Codes x weights as they are, for a batch of `images`.
MadeKernel plain_convolution(const IntegerProductSpec& spec, const IntegerWindow& window,
                             const Tensor& weights, int64_t images) {
  const QuantParams source = plain_codes(spec.source);
  const QuantParams weight = plain_codes(DType::int8);
  Shape x = spec.source_shape;
  Shape y = spec.destination_shape;
  x[0] = images;
  y[0] = images;
  y[1] = weights.shape()[0];
  ConvolutionSpec plain;
  plain.source = {spec.source, x, Layout::channels_last, &source};
  plain.destination = {DType::int32, y, Layout::channels_last, nullptr};
  plain.weights = &weights;
  plain.weight_params = &weight;
  plain.groups = window.groups;
  plain.strides = window.strides;
  plain.pads = window.pads;
  plain.dilations = window.dilations;
  return make_convolution(plain);
}

/// What a kernel gives for one image of ones.
std::vector<int32_t> of_ones(Kernel& kernel, const Shape& source, int64_t results) {
  Tensor ones(DType::uint8, {element_count(source) / std::max<int64_t>(source[0], 1)});
  std::ranges::fill(ones.data<uint8_t>(), uint8_t{1});
  Tensor scratch(DType::uint8, {static_cast<int64_t>(kernel.scratch_bytes())});
  std::vector<int32_t> sums(static_cast<size_t>(results));
  const std::array<const void*, 1> inputs{ones.raw()};
  const std::array<void*, 1> outputs{sums.data()};
  kernel.run({inputs, outputs, scratch.raw()});
  return sums;
}

/// Weights of ones, one filter a group: their sums are those of the source under each window.
Tensor ones_like(const Tensor& weights, int64_t groups) {
  Shape shape = weights.shape();
  shape[0] = groups;
  Tensor ones(DType::int8, shape);
  std::ranges::fill(ones.data<int8_t>(), int8_t{1});
  return ones;
}

/// What the zero points need beyond the plain product.
struct Corrections {
  std::vector<int32_t> weight_sums;   ///< [positions, channels]; none: no zero point of the source
  std::vector<int32_t> weight_zeros;  ///< by channel; none: all 0
  KernelPtr source_sums;              ///< [images, positions, groups]
  std::vector<int32_t> counts;        ///< [positions, groups]
};

class IntegerConvolution final : public Kernel {
 public:
  IntegerConvolution(KernelPtr product, Corrections corrections, const IntegerProductSpec& spec,
                     int64_t groups)
      : product_(std::move(product)), corrections_(std::move(corrections)), source_(spec.source),
        channels_(spec.destination_shape[1]), groups_(groups),
        rows_(element_count(spec.destination_shape) / channels_),
        positions_(rows_ / spec.destination_shape[0]) {}

  void run(const KernelArgs& args) override {
    product_->run({args.inputs.first(1), args.outputs, args.scratch});
    const auto* sums = static_cast<const int32_t*>(args.scratch);
    if (corrections_.source_sums != nullptr) {
      const std::array<void*, 1> to{args.scratch};
      corrections_.source_sums->run(
          {args.inputs.first(1), to, static_cast<std::byte*>(args.scratch) + sums_bytes()});
    }
    const void* zeros = args.inputs.size() > 2 ? args.inputs[2] : nullptr;
    const int32_t zero = zero_point(zeros, source_, 0);
    if (zero == 0 && corrections_.source_sums == nullptr) return;
    auto* out = static_cast<int32_t*>(args.outputs[0]);
    parallel_for(rows_, kGrain / channels_ + 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) correct(row, zero, sums, out + row * channels_);
    });
  }
  size_t scratch_bytes() const override {
    const size_t more = corrections_.source_sums == nullptr
                            ? 0
                            : sums_bytes() + corrections_.source_sums->scratch_bytes();
    return std::max(product_->scratch_bytes(), more);
  }
  std::string description() const override { return product_->description(); }

 private:
  size_t sums_bytes() const {
    const size_t bytes = static_cast<size_t>(rows_ * groups_) * sizeof(int32_t);
    return (bytes + 63) / 64 * 64;
  }

  void correct(int64_t row, int32_t zero, const int32_t* sums, int32_t* out) const {
    const int64_t position = row % positions_;
    if (zero != 0) {
      const int32_t* weights = corrections_.weight_sums.data() + position * channels_;
      for (int64_t m = 0; m < channels_; ++m) out[m] = minus(out[m], times(zero, weights[m]));
    }
    if (corrections_.source_sums == nullptr) return;
    const int64_t width = channels_ / groups_;
    for (int64_t g = 0; g < groups_; ++g) {
      const int32_t count = corrections_.counts[static_cast<size_t>(position * groups_ + g)];
      const int32_t centred = minus(sums[row * groups_ + g], times(zero, count));
      for (int64_t m = g * width; m < (g + 1) * width; ++m) {
        const int32_t weight_zero = corrections_.weight_zeros[static_cast<size_t>(m)];
        out[m] = minus(out[m], times(weight_zero, centred));
      }
    }
  }

  KernelPtr product_;
  Corrections corrections_;
  DType source_;
  int64_t channels_;
  int64_t groups_;
  int64_t rows_;
  int64_t positions_;
};

}  // namespace

MadeKernel make_integer_matmul(const IntegerProductSpec& spec, int64_t source_zeros) {
  if (auto why = type_problem(spec); !why.empty()) return MadeKernel::refused(std::move(why));
  const SignedWeights weights = signed_weights(spec, spec.destination_shape[1]);
  const QuantParams source = plain_codes(spec.source);
  const QuantParams weight = plain_codes(DType::int8);
  MatmulSpec plain;
  plain.source = {spec.source, spec.source_shape, Layout::plain, &source};
  plain.destination = {DType::int32, spec.destination_shape, Layout::plain, nullptr};
  plain.weights = {DType::int8, weights.codes.shape(), Layout::plain, &weight};
  plain.constant_weights = &weights.codes;
  MadeKernel product = make_matmul(plain);
  if (product.kernel == nullptr) return product;
  return {std::make_unique<IntegerMatmul>(std::move(product.kernel), spec, weights, source_zeros)};
}

MadeKernel make_integer_convolution(const IntegerProductSpec& spec, const IntegerWindow& window) {
  if (auto why = type_problem(spec); !why.empty()) return MadeKernel::refused(std::move(why));
  if (element_count(spec.destination_shape) == 0) return MadeKernel::refused("an empty tensor");
  const int64_t channels = spec.destination_shape[1];
  const int64_t images = spec.destination_shape[0];
  const int64_t positions = element_count(spec.destination_shape) / channels / images;
  SignedWeights weights = signed_weights(spec, channels);
  MadeKernel product = plain_convolution(spec, window, weights.codes, images);
  if (product.kernel == nullptr) return product;
  Corrections corrections;
  if (spec.source_zero) {
    MadeKernel one = plain_convolution(spec, window, weights.codes, 1);
    if (one.kernel == nullptr) return one;
    corrections.weight_sums = of_ones(*one.kernel, spec.source_shape, positions * channels);
  }
  if (!weights.zeros.empty()) {
    const Tensor ones = ones_like(weights.codes, window.groups);
    MadeKernel sums = plain_convolution(spec, window, ones, images);
    MadeKernel one = plain_convolution(spec, window, ones, 1);
    if (sums.kernel == nullptr) return sums;
    if (one.kernel == nullptr) return one;
    corrections.counts = of_ones(*one.kernel, spec.source_shape, positions * window.groups);
    corrections.source_sums = std::move(sums.kernel);
    corrections.weight_zeros = std::move(weights.zeros);
  }
  return {std::make_unique<IntegerConvolution>(std::move(product.kernel), std::move(corrections),
                                               spec, window.groups)};
}

}  // namespace qtool::onednn
