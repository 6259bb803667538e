// SPDX-License-Identifier: Apache-2.0
// How accumulators become codes, to the bit, by ONNX Runtime's steps: an integer bias is added to
// the accumulator, the sum times the float32 (x·w)/y is rounded half to even, then the zero point.
#include <algorithm>
#include <cmath>

#include "catch.h"
#include "kernels/onednn/primitives.h"
#include "kernels/run.h"
#include "numerics/affine.h"
#include "support/rng.h"
#include "support/text.h"

using namespace qtool;

namespace {

struct Scales {
  float source;
  float weights;
  float destination;
};

int requantized(int64_t accumulator, const Scales& scales, int zero_point) {
  const float scale = scales.source * scales.weights / scales.destination;
  const float code = std::nearbyint(static_cast<float>(accumulator) * scale);
  return static_cast<int>(std::clamp(code + static_cast<float>(zero_point), 0.0F, 255.0F));
}

Tensor random_bytes(Rng& rng, DType dtype, Shape shape, uint32_t below) {
  Tensor tensor(dtype, std::move(shape));
  auto* bytes = reinterpret_cast<uint8_t*>(tensor.raw());
  const auto half = static_cast<uint8_t>(dtype == DType::int8 ? below / 2 : 0);
  for (size_t i = 0; i < tensor.bytes(); ++i)
    bytes[i] = static_cast<uint8_t>(rng.below(below) - half);
  return tensor;
}

/// A 3×3 convolution with padding: dense [6, C, 3, 3] or depthwise [C, 1, 3, 3].
struct Case {
  int64_t channels = 5;
  bool depthwise = false;
  int source_zero = 0;
  int destination_zero = 0;
  Scales scales{};
  bool dequantized_bias = false;  ///< float32, as it comes from a folded DequantizeLinear

  std::string line() const {
    return fmt::format("{} channels{}, zero points {} -> {}, scales {} {} {}, {} bias", channels,
                       depthwise ? " depthwise" : "", source_zero, destination_zero, scales.source,
                       scales.weights, scales.destination, dequantized_bias ? "float" : "int32");
  }
};

int64_t accumulated(const Case& test, const Tensor& x, const Tensor& w, int64_t m, int64_t i,
                    int64_t j) {
  const int64_t extent = x.shape()[2];
  const int64_t inputs = w.shape()[1];
  int64_t sum = 0;
  for (int64_t c = 0; c < inputs; ++c) {
    const int64_t from = test.depthwise ? m : c;
    for (int64_t r = -1; r <= 1; ++r) {
      for (int64_t s = -1; s <= 1; ++s) {
        if (i + r < 0 || i + r >= extent || j + s < 0 || j + s >= extent) continue;
        const auto at = static_cast<size_t>((i + r + from * extent) * extent + j + s);
        const auto tap = static_cast<size_t>(((m * inputs + c) * 3 + r + 1) * 3 + s + 1);
        sum += (x.data<uint8_t>()[at] - test.source_zero) * w.data<int8_t>()[tap];
      }
    }
  }
  return sum;
}

/// "", or the first code that differs.
std::string check(const Case& test, Rng& rng) {
  constexpr int64_t kExtent = 7;
  const int64_t filters = test.depthwise ? test.channels : 6;
  const Tensor x = random_bytes(rng, DType::uint8, {1, test.channels, kExtent, kExtent}, 256);
  // Of seven bits, which any CPU multiplies exactly.
  const Tensor w =
      random_bytes(rng, DType::int8, {filters, test.depthwise ? 1 : test.channels, 3, 3}, 128);
  Tensor codes(DType::int32, {filters});
  for (int32_t& code : codes.data<int32_t>()) code = static_cast<int32_t>(rng.below(80001)) - 40000;
  Tensor floats(DType::float32, {filters});
  const float unit = test.scales.source * test.scales.weights;
  for (size_t m = 0; m < static_cast<size_t>(filters); ++m)
    floats.data<float>()[m] =
        static_cast<float>(codes.data<int32_t>()[static_cast<size_t>(m)]) * unit;

  const QuantParams source =
      checked_params({8, false, false}, {test.scales.source}, {test.source_zero});
  const QuantParams weights = checked_params({8, true, false}, {test.scales.weights}, {0});
  const QuantParams destination =
      checked_params({8, false, false}, {test.scales.destination}, {test.destination_zero});
  QuantParams bias = weights;
  bias.scale = {unit};
  onednn::ConvolutionSpec spec;
  spec.source = {DType::uint8, x.shape(), Layout::plain, &source};
  spec.destination = {DType::uint8, {1, filters, kExtent, kExtent}, Layout::plain, &destination};
  spec.weights = &w;
  spec.weight_params = &weights;
  spec.bias = test.dequantized_bias ? &floats : &codes;
  spec.bias_params = test.dequantized_bias ? nullptr : &bias;
  spec.groups = test.depthwise ? test.channels : 1;
  spec.strides = {1, 1};
  spec.pads = {1, 1, 1, 1};
  spec.dilations = {1, 1};
  MadeKernel made = onednn::make_convolution(spec);
  if (made.kernel == nullptr) return "refused: " + made.refusal;
  Tensor y(DType::uint8, spec.destination.shape);
  test::run(*made.kernel, {x.raw(), nullptr, nullptr}, {y.raw()});
  for (int64_t at = 0; at < y.size(); ++at) {
    const int64_t m = at / (kExtent * kExtent);
    const int64_t sum =
        accumulated(test, x, w, m, at / kExtent % kExtent, at % kExtent) + codes.data<int32_t>()[m];
    const int wanted = requantized(sum, test.scales, test.destination_zero);
    const int got = y.data<uint8_t>()[static_cast<size_t>(at)];
    if (got != wanted)
      return fmt::format("code {} is {} instead of {} (accumulator {}) by {}: {}", at, got, wanted,
                         sum, made.kernel->description(), test.line());
  }
  return "";
}

}  // namespace

TEST_CASE("Requantized codes are ONNX Runtime's to the bit, ties and integer biases included") {
  Rng rng(7);
  for (int round = 0; round < 400; ++round) {
    Case test;
    test.depthwise = rng.below(2) == 0;
    test.channels = test.depthwise ? 16 + rng.below(20) : 1 + rng.below(40);
    test.source_zero = rng.below(2) == 0 ? 0 : 127;
    test.destination_zero = rng.below(2) == 0 ? 0 : 113;  // odd: moves ties to the other side
    test.dequantized_bias = rng.below(2) == 0;
    // Half of the rounds: a ratio of exactly 2^-9, so that one accumulator in 512 is a tie, which a
    // bias that is not quite a whole number would turn.
    test.scales = {0.01F + rng.uniform() / 100, 0.002F + rng.uniform() / 100,
                   0.02F + rng.uniform() / 50};
    if (rng.below(2) == 0) test.scales.destination = test.scales.source * test.scales.weights * 512;
    CHECK_THAT(check(test, rng), Catch::Equals(""));
  }
}
