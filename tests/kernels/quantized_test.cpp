// SPDX-License-Identifier: Apache-2.0
// Integer element-wise kernels against ONNX's float steps (to the bit) and against exact arithmetic
// (to the nearest code, except where float cannot tell which one is nearest).
#include <cmath>
#include <iostream>
#include <numeric>

#include "catch.h"
#include "kernels/host/elementwise.h"
#include "kernels/run.h"
#include "support/rng.h"

using namespace qtool;

namespace {

QuantParams params(bool is_signed, float scale, int32_t zero_point) {
  return checked_params({8, is_signed, false}, {scale}, {zero_point});
}

int32_t code_of(uint8_t byte, const QuantParams& p) {
  return p.type.is_signed ? static_cast<int8_t>(byte) : byte;
}

int32_t saturated(long double code, const QuantParams& p) {
  const long double low = p.type.lowest();
  const long double high = p.type.highest();
  return static_cast<int32_t>(std::min(std::max(code, low), high));
}

/// The nearest code to an exact real value, and how far that value is from a tie, in codes.
struct Nearest {
  int32_t code;
  long double from_tie;
};
Nearest nearest(long double real, const QuantParams& y) {
  const long double position = real / static_cast<long double>(y.scale[0]);
  const long double below = std::floor(position);
  return {saturated(std::nearbyint(position) + y.zero_point[0], y),
          std::abs(position - below - 0.5L)};
}

/// Codes hold 8 bits, floats 24: what is this close to a tie may round either way.
constexpr long double kFloatDoubt = 1e-4L;

/// What an activation keeps.
struct Bounds {
  float low = -1e30F;
  float high = 1e30F;
};

void check_add(const QuantParams& a, const QuantParams& b, const QuantParams& y,
               const std::vector<PostOp>& posts, Bounds bounds = {}) {
  // All pairs of codes.
  std::vector<uint8_t> left(65536);
  std::vector<uint8_t> right(65536);
  for (size_t i = 0; i < left.size(); ++i) {
    left[i] = static_cast<uint8_t>(i / 256);
    right[i] = static_cast<uint8_t>(i % 256);
  }
  std::vector<uint8_t> sum(left.size());
  MadeKernel made = make_quantized_add(65536, a, b, y, posts);
  REQUIRE(made.kernel != nullptr);
  test::run(*made.kernel, {left.data(), right.data()}, {sum.data()});
  for (size_t i = 0; i < left.size(); ++i) {
    const int32_t p = code_of(left[i], a) - a.zero_point[0];
    const int32_t q = code_of(right[i], b) - b.zero_point[0];
    const float by_steps = static_cast<float>(p) * a.scale[0] + static_cast<float>(q) * b.scale[0];
    const float kept = std::min(std::max(by_steps, bounds.low), bounds.high);
    const int32_t wanted =
        quantize_value(kept, y.scale[0], y.zero_point[0], y.type.lowest(), y.type.highest());
    const long double exact = static_cast<long double>(p) * static_cast<long double>(a.scale[0]) +
                              static_cast<long double>(q) * static_cast<long double>(b.scale[0]);
    const Nearest best =
        nearest(std::min<long double>(std::max<long double>(exact, bounds.low), bounds.high), y);
    const int32_t got = code_of(sum[i], y);
    const bool allowed =
        got == best.code || (best.from_tie < kFloatDoubt && std::abs(got - best.code) <= 1);
    if (got != wanted || !allowed) {
      CAPTURE(p, q, a.scale[0], b.scale[0], y.scale[0], got, wanted, best.code);
      REQUIRE(got == wanted);
      REQUIRE(allowed);
    }
  }
}

}  // namespace

TEST_CASE("Adding codes equals dequantize, add, activate, quantize for all pairs of codes") {
  for (const bool s : {false, true}) {
    const QuantParams a = params(s, 0.02F, s ? -3 : 120);
    const QuantParams b = params(s, 0.05F, s ? 0 : 7);
    check_add(a, b, params(s, 0.06F, s ? 5 : 128), {});
    check_add(a, b, params(s, 0.03F, s ? -128 : 0), {{PostOp::Kind::relu}}, {0});
    check_add(a, b, params(s, 0.025F, 0), {{PostOp::Kind::clip, 0, 6}}, {0, 6});
    check_add(a, b, params(s, 0.025F, 0), {{PostOp::Kind::relu}, {PostOp::Kind::clip, -1, 6}},
              {0, 6});
    // Scales that are powers of two make every sum exact and many of them ties.
    check_add(params(s, 0.25F, 0), params(s, 0.5F, 1), params(s, 1, 2), {});
  }
}

TEST_CASE("Adding codes is refused where it would be something else") {
  const QuantParams u = params(false, 1, 0);
  const QuantParams s = params(true, 1, 0);
  const QuantParams wide = checked_params({16, true, false}, {1}, {0});
  CHECK(make_quantized_add(1, u, s, u, {}).refusal == "signed and unsigned codes mixed");
  CHECK(make_quantized_add(1, u, u, s, {}).kernel == nullptr);
  CHECK(make_quantized_add(1, wide, wide, wide, {}).refusal ==
        "only 8-bit per-tensor codes are added as integers");
  const std::vector<PostOp> tanh{{PostOp::Kind::tanh}};
  CHECK(make_quantized_add(1, u, u, u, tanh).refusal == "an activation behind it that is no clamp");
}

TEST_CASE("The average of codes is the nearest code to the exact mean") {
  constexpr uint64_t kSeed = 5;
  Rng rng(kSeed);
  int not_nearest = 0;
  int count = 0;
  for (int round = 0; round < 400; ++round) {
    const int64_t outer = 1 + rng.below(3);
    const int64_t positions = 1 + rng.below(round % 10 == 0 ? 4000 : 60);
    const int64_t channels = 1 + rng.below(40);
    const bool innermost = rng.below(2) == 0;
    const QuantParams x =
        params(rng.below(2) == 0, 0.01F + rng.uniform(), static_cast<int32_t>(rng.below(100)));
    const QuantParams y = params(rng.below(2) == 0, x.scale[0] * (0.3F + rng.uniform()),
                                 static_cast<int32_t>(rng.below(100)));
    std::vector<uint8_t> codes(static_cast<size_t>(outer * positions * channels));
    for (uint8_t& code : codes) code = static_cast<uint8_t>(rng.below(256));
    std::vector<uint8_t> means(static_cast<size_t>(outer * channels));
    MadeKernel made = make_quantized_average(outer, positions, channels, innermost, x, y);
    REQUIRE(made.kernel != nullptr);
    test::run(*made.kernel, {codes.data()}, {means.data()});
    for (int64_t o = 0; o < outer; ++o) {
      for (int64_t c = 0; c < channels; ++c) {
        int64_t sum = 0;
        for (int64_t p = 0; p < positions; ++p) {
          const int64_t at =
              innermost ? (o * positions + p) * channels + c : (o * channels + c) * positions + p;
          sum += code_of(codes[static_cast<size_t>(at)], x) - x.zero_point[0];
        }
        const long double mean = static_cast<long double>(sum) *
                                 static_cast<long double>(x.scale[0]) /
                                 static_cast<long double>(positions);
        const Nearest best = nearest(mean, y);
        const int32_t got = code_of(means[static_cast<size_t>(o * channels + c)], y);
        ++count;
        if (got != best.code) ++not_nearest;
        if (got != best.code && (best.from_tie > kFloatDoubt || std::abs(got - best.code) > 1)) {
          CAPTURE(kSeed, round, outer, positions, channels, innermost, sum, got);
          REQUIRE(got == best.code);
        }
      }
    }
  }
  std::cout << "average of codes: " << not_nearest << " of " << count
            << " are off by one, all at ties\n";
}

TEST_CASE("The longest sums of codes do not overflow") {
  const int64_t positions = int64_t{1} << 23;
  const QuantParams p = params(false, 1, 0);
  const std::vector<uint8_t> codes(static_cast<size_t>(positions), 255);
  uint8_t mean = 0;
  MadeKernel made = make_quantized_average(1, positions, 1, true, p, p);
  REQUIRE(made.kernel != nullptr);
  test::run(*made.kernel, {codes.data()}, {&mean});
  CHECK(mean == 255);
  CHECK(make_quantized_average(1, positions + 1, 1, true, p, p).refusal ==
        "too many positions for 32-bit sums");
}
