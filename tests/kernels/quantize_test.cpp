// SPDX-License-Identifier: Apache-2.0
#include "kernels/host/quantize.h"

#include <limits>

#include "catch.h"
#include "kernels/run.h"
#include "support/rng.h"

using namespace qtool;

namespace {

QuantParams params(bool is_signed, float scale, int32_t zero_point) {
  return checked_params({8, is_signed, false}, {scale}, {zero_point});
}

/// Every tie and every integer in code units far beyond both ends, their neighbours in float, and
/// what is not a number or finite.
std::vector<float> hard_values(float scale) {
  std::vector<float> values;
  for (int halves = -1100; halves <= 1100; ++halves) {
    const float tie = static_cast<float>(halves) / 2 * scale;
    values.push_back(tie);
    values.push_back(std::nextafter(tie, 1e9F));
    values.push_back(std::nextafter(tie, -1e9F));
  }
  constexpr float kInf = std::numeric_limits<float>::infinity();
  for (const float value :
       {kInf, -kInf, std::numeric_limits<float>::quiet_NaN(), -0.0F, 1e38F, -1e38F, 1e-40F}) {
    values.push_back(value);
  }
  return values;
}

/// ONNX's rule with the standard library's rounding: divide, round half to even, shift, saturate.
int32_t by_the_book(float x, const QuantParams& p) {
  const float quotient = x / p.scale[0];
  if (std::isnan(quotient)) return p.zero_point[0];
  const double code = static_cast<double>(std::nearbyint(quotient)) + p.zero_point[0];
  return static_cast<int32_t>(
      std::min<double>(std::max<double>(code, p.type.lowest()), p.type.highest()));
}

template <class T>
std::vector<int32_t> quantized(const std::vector<float>& x, const Shape& shape,
                               const QuantParams& p, Layout from, Layout to) {
  std::vector<T> codes(x.size());
  MadeKernel made = make_quantize(shape, p, from, to);
  REQUIRE(made.kernel != nullptr);
  test::run(*made.kernel, {x.data()}, {codes.data()});
  return {codes.begin(), codes.end()};
}

}  // namespace

TEST_CASE("Quantize kernels follow ONNX on every tie and beyond both ends") {
  for (const float scale : {1.0F, 0.5F, 0.1F, 3.0F, 0.0078431377F, 1e-30F}) {
    const std::vector<float> x = hard_values(scale);
    const Shape shape{static_cast<int64_t>(x.size())};
    for (const bool is_signed : {false, true}) {
      for (const int32_t zero_point : {0, 1, 100, is_signed ? -128 : 128, is_signed ? 127 : 255}) {
        const QuantParams p = params(is_signed, scale, zero_point);
        const auto codes = is_signed
                               ? quantized<int8_t>(x, shape, p, Layout::plain, Layout::plain)
                               : quantized<uint8_t>(x, shape, p, Layout::plain, Layout::plain);
        for (size_t i = 0; i < x.size(); ++i) {
          const int32_t scalar =
              quantize_value(x[i], scale, zero_point, p.type.lowest(), p.type.highest());
          if (codes[i] == scalar && codes[i] == by_the_book(x[i], p)) continue;
          CAPTURE(x[i], scale, zero_point, is_signed, scalar);
          REQUIRE(codes[i] == by_the_book(x[i], p));
        }
      }
    }
  }
}

TEST_CASE("Quantizing into another layout is quantizing and moving") {
  Rng rng(4);
  for (int round = 0; round < 100; ++round) {
    const Shape shape{1 + rng.below(3), 1 + rng.below(20), 1 + rng.below(9), 1 + rng.below(9)};
    const QuantParams p = params(round % 2 == 0, 0.05F, 3);
    std::vector<float> x(static_cast<size_t>(element_count(shape)));
    for (float& value : x) value = rng.normal() * 5;
    for (const Layout from : {Layout::plain, Layout::channels_last}) {
      for (const Layout to : {Layout::plain, Layout::channels_last}) {
        const auto codes = p.type.is_signed ? quantized<int8_t>(x, shape, p, from, to)
                                            : quantized<uint8_t>(x, shape, p, from, to);
        const auto a = strides(shape, from);
        const auto b = strides(shape, to);
        for (int64_t i = 0; i < element_count(shape); ++i) {
          int64_t rest = i;
          int64_t source = 0;
          int64_t target = 0;
          for (size_t d = 4; d-- > 0;) {
            source += rest % shape[d] * a[d];
            target += rest % shape[d] * b[d];
            rest /= shape[d];
          }
          const int32_t wanted = by_the_book(x[static_cast<size_t>(source)], p);
          if (codes[static_cast<size_t>(target)] != wanted) {
            CAPTURE(to_string(shape), name(from), name(to), i);
            REQUIRE(codes[static_cast<size_t>(target)] == wanted);
          }
        }
      }
    }
  }
}

TEST_CASE("Dequantize kernels give (code - zero_point) * scale for every code") {
  for (const float scale : {1.0F, 0.1F, 3e-20F}) {
    for (const bool is_signed : {false, true}) {
      for (const int32_t zero_point : {0, 17, is_signed ? -128 : 255}) {
        std::vector<uint8_t> codes(256);
        for (int i = 0; i < 256; ++i) codes[static_cast<size_t>(i)] = static_cast<uint8_t>(i);
        std::vector<float> x(256);
        MadeKernel made = make_dequantize({256}, params(is_signed, scale, zero_point));
        REQUIRE(made.kernel != nullptr);
        test::run(*made.kernel, {codes.data()}, {x.data()});
        for (int i = 0; i < 256; ++i) {
          const int code = is_signed ? static_cast<int8_t>(codes[static_cast<size_t>(i)]) : i;
          REQUIRE(x[static_cast<size_t>(i)] == static_cast<float>(code - zero_point) * scale);
        }
      }
    }
  }
}

TEST_CASE("Quantize kernels refuse what they cannot do, with a reason") {
  const QuantParams channels = checked_params({8, true, false}, {1, 2}, {0, 0}, 0);
  const QuantParams wide = checked_params({16, true, false}, {1}, {0});
  CHECK(make_quantize({2}, channels, Layout::plain, Layout::plain).refusal ==
        "per-channel activations");
  CHECK(make_dequantize({2}, channels).refusal == "per-channel activations");
  CHECK(make_quantize({2}, wide, Layout::plain, Layout::plain).refusal == "codes of int16");
  CHECK(make_dequantize({2}, wide).kernel == nullptr);
}
