// SPDX-License-Identifier: Apache-2.0
// Products of codes, both operands known only at run time or one packed, against sums written out.
#include <array>
#include <cmath>

#include "catch.h"
#include "kernels/host/code_product.h"
#include "kernels/product_check.h"
#include "kernels/run.h"
#include "support/text.h"

using namespace qtool;
using namespace qtool::test;

namespace {

struct Coded {
  Tensor codes;  ///< row-major
  QuantParams params;
  int32_t at(int64_t i) const {
    const auto k = static_cast<size_t>(i);
    const int32_t code = codes.dtype() == DType::uint8 ? int32_t{codes.data<uint8_t>()[k]}
                                                       : int32_t{codes.data<int8_t>()[k]};
    return code - params.zero_point[0];
  }
};

Coded random_codes(Rng& rng, const Shape& shape, float scale) {
  const bool is_signed = rng.below(2) == 0;
  const int32_t low = is_signed ? -128 : 0;
  Coded result;
  result.codes = Tensor(is_signed ? DType::int8 : DType::uint8, shape);
  for (std::byte& code : std::span(result.codes.raw(), result.codes.bytes())) {
    // Extremes often: they are what saturating instructions get wrong.
    const uint32_t kind = rng.below(4);
    code = static_cast<std::byte>(kind == 0 ? 0x80 : kind == 1 ? 0x7F : rng.below(256));
  }
  result.params =
      checked_params({8, is_signed, false}, {scale}, {low + static_cast<int32_t>(rng.below(256))});
  return result;
}

struct Case {
  Shape source;
  Shape weights;
  Shape destination;
};

Case random_case(Rng& rng) {
  Case c;
  for (uint32_t d = rng.below(3); d > 0; --d) {
    const int64_t extent = 1 + rng.below(3);
    const uint32_t which = rng.below(3);
    c.source.push_back(which == 0 ? 1 : extent);
    c.weights.push_back(which == 1 ? 1 : extent);
    c.destination.push_back(extent);
  }
  const int64_t m = 1 + rng.below(20);
  const int64_t k = 1 + rng.below(80);
  const int64_t n = 1 + rng.below(150);
  for (const int64_t e : {m, k}) c.source.push_back(e);
  for (const int64_t e : {k, n}) c.weights.push_back(e);
  for (const int64_t e : {m, n}) c.destination.push_back(e);
  return c;
}

/// The element of an operand whose leading dimensions broadcast.
int64_t matrix_offset(const Shape& operand, const Shape& destination, int64_t matrix) {
  int64_t index = 0;
  int64_t step = operand[operand.size() - 1] * operand[operand.size() - 2];
  for (size_t d = destination.size() - 2; d-- > 0;) {
    if (operand[d] != 1) index += matrix % destination[d] * step;
    matrix /= destination[d];
    step *= operand[d];
  }
  return index;
}

std::vector<int64_t> exact(const Case& c, const Coded& x, const Coded& w) {
  const size_t rank = c.source.size();
  const int64_t m = c.source[rank - 2];
  const int64_t k = c.source[rank - 1];
  const int64_t n = c.weights[rank - 1];
  std::vector<int64_t> sums;
  for (int64_t matrix = 0; matrix < element_count(c.destination) / (m * n); ++matrix) {
    const int64_t left = matrix_offset(c.source, c.destination, matrix);
    const int64_t right = matrix_offset(c.weights, c.destination, matrix);
    for (int64_t i = 0; i < m * n; ++i) {
      int64_t sum = 0;
      for (int64_t t = 0; t < k; ++t) {
        sum += int64_t{x.at(left + i / n * k + t)} * w.at(right + t * n + i % n);
      }
      sums.push_back(sum);
    }
  }
  return sums;
}

/// The same elements with the last two dimensions stored the other way round, and the strides
/// that find them there.
Tensor turned(const Tensor& x, std::vector<int64_t>& strides) {
  const size_t rank = x.shape().size();
  const int64_t rows = x.shape()[rank - 2];
  const int64_t columns = x.shape()[rank - 1];
  Tensor result(x.dtype(), x.shape());
  for (int64_t i = 0; i < x.size(); ++i) {
    const int64_t at = i % (rows * columns);
    result.raw()[i - at + at % columns * rows + at / columns] = x.raw()[i];
  }
  strides = row_major_strides(x.shape());
  strides[rank - 2] = 1;
  strides[rank - 1] = rows;
  return result;
}

onednn::MatmulSpec spec_of(const Case& c, const Coded& x, const Coded& w) {
  onednn::MatmulSpec spec;
  spec.source = {x.codes.dtype(), c.source, Layout::plain, &x.params};
  spec.weights = {w.codes.dtype(), c.weights, Layout::plain, &w.params};
  return spec;
}

void check_sums(Rng& rng, const Case& c, const Coded& x, const Coded& w,
                const std::vector<int64_t>& wanted) {
  onednn::MatmulSpec spec = spec_of(c, x, w);
  spec.destination = {DType::int32, c.destination, Layout::plain, nullptr};
  if (rng.below(2) == 0) spec.constant_weights = &w.codes;
  MadeKernel made = make_code_sums(spec);
  REQUIRE(made.kernel != nullptr);
  Tensor y(DType::int32, c.destination);
  const std::array zeros{static_cast<int8_t>(x.params.zero_point[0]),
                         static_cast<int8_t>(w.params.zero_point[0])};
  test::run(*made.kernel, {x.codes.raw(), w.codes.raw(), &zeros[0], &zeros[1]}, {y.raw()});
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (y.data<int32_t>()[i] != wanted[i]) {
      FAIL("sum " << i << " is " << y.data<int32_t>()[i] << " instead of " << wanted[i]);
    }
  }
}

struct Curve {
  PostOp op;
  float unit;
  double (*value)(double);
};
constexpr Curve kCurves[] = {
    {{PostOp::Kind::clip, -9, 40}, 0.5F, [](double x) { return std::clamp(x, -9.0, 40.0); }},
    {{PostOp::Kind::tanh}, 0.01F, [](double x) { return std::tanh(x); }},
    {{PostOp::Kind::gelu},
     0.01F,
     [](double x) { return 0.5 * x * (1 + std::erf(x * std::sqrt(0.5))); }},
    {{PostOp::Kind::gelu_tanh},
     0.01F,
     [](double x) {
       return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
     }},
};

/// Results in float32 with a residual, at random strides, and as codes behind a Clip.
void check_results(Rng& rng, const Case& c, const Coded& x, const Coded& w,
                   const std::vector<int64_t>& wanted) {
  onednn::MatmulSpec spec = spec_of(c, x, w);
  ProductStrides strides;
  const Tensor source = rng.below(2) == 0 ? turned(x.codes, strides.source) : x.codes.clone();
  const Tensor weights = rng.below(2) == 0 ? turned(w.codes, strides.weights) : w.codes.clone();
  const bool packed = rng.below(2) == 0;
  if (packed) spec.constant_weights = &weights;
  const auto columns = static_cast<size_t>(c.destination.back());
  Tensor bias(DType::float32, {c.destination.back()});
  for (float& b : bias.data<float>()) b = 6 * rng.uniform() - 3;
  const bool biased = rng.below(2) == 0;
  if (biased) spec.bias = &bias;
  Tensor residual(DType::float32, c.destination);
  for (float& r : residual.data<float>()) r = 6 * rng.uniform() - 3;
  const auto unit = static_cast<double>(x.params.scale[0]) * static_cast<double>(w.params.scale[0]);
  const auto real = [&](size_t i) {
    return unit * static_cast<double>(wanted[i]) +
           (biased ? static_cast<double>(bias.data<float>()[i % columns]) : 0.0);
  };
  const std::vector<const void*> inputs{source.raw(), packed ? nullptr : weights.raw(),
                                        residual.raw()};
  spec.destination = {DType::float32, c.destination, Layout::plain, nullptr};
  spec.post_ops = {{{PostOp::Kind::add}, spec.destination}, {{PostOp::Kind::tanh}, {}}};
  Tensor y(DType::float32, c.destination);
  MadeKernel floats = make_code_product(spec, strides);
  REQUIRE(floats.kernel != nullptr);
  test::run(*floats.kernel, inputs, {y.raw()});
  for (size_t i = 0; i < wanted.size(); ++i) {
    const double right = std::tanh(real(i) + static_cast<double>(residual.data<float>()[i]));
    if (!(std::abs(static_cast<double>(y.data<float>()[i]) - right) < 2e-4)) {
      FAIL("result " << i << " is " << y.data<float>()[i] << " instead of " << right);
    }
  }

  const Curve& curve = kCurves[rng.below(4)];
  const QuantParams codes = checked_params({8, true, false}, {curve.unit}, {-7});
  spec.post_ops = {{curve.op, {}}};
  const bool scaled = rng.below(2) == 0;
  if (scaled) {
    spec.post_ops.insert(spec.post_ops.begin(),
                         onednn::PostOpSpec{{PostOp::Kind::linear, 0.25F, 0}, {}});
  }
  spec.destination = {DType::int8, c.destination, Layout::plain, &codes};
  Tensor q(DType::int8, c.destination);
  MadeKernel coded = make_code_product(spec, strides);
  REQUIRE(coded.kernel != nullptr);
  test::run(*coded.kernel, inputs, {q.raw()});
  for (size_t i = 0; i < wanted.size(); ++i) {
    const double bounded = curve.value((scaled ? 0.25 : 1.0) * real(i));
    const double exact_code =
        std::clamp(bounded / static_cast<double>(codes.scale[0]) - 7, -128.0, 127.0);
    // A GELU that becomes codes is computed to 1e-4, which is 1 % of its least unit.
    if (!(std::abs(q.data<int8_t>()[i] - exact_code) <= 0.512)) {
      FAIL("code " << i << " is " << int{q.data<int8_t>()[i]} << " instead of " << exact_code);
    }
  }
}

}  // namespace

TEST_CASE("Matrix products of two activations as codes are exact") {
  for (const uint64_t seed : seeds(31000000, 400)) {
    Rng rng(seed);
    const Case c = random_case(rng);
    const Coded x = random_codes(rng, c.source, 0.01F);
    const Coded w = random_codes(rng, c.weights, 0.003F);
    const std::vector<int64_t> wanted = exact(c, x, w);
    INFO("seed " << seed << ": " << to_string(c.source) << " x " << to_string(c.weights));
    check_sums(rng, c, x, w, wanted);
    check_results(rng, c, x, w, wanted);
  }
}

TEST_CASE("Matrix products of codes worked by hand") {
  // [1 2; 3 4] [5 6; 7 8] = [19 22; 43 50]; codes are the numbers plus their zero points 10 and
  // -3; in units of 0.5 * 2, with a bias of 1 and 2.
  const Tensor x = Tensor::of<uint8_t>({2, 2}, {11, 12, 13, 14});
  const Tensor w = Tensor::of<int8_t>({2, 2}, {2, 3, 4, 5});
  const QuantParams sx = checked_params({8, false, false}, {0.5F}, {10});
  const QuantParams sw = checked_params({8, true, false}, {2.0F}, {-3});
  const Tensor bias = Tensor::of<float>({2}, {1, 2});
  onednn::MatmulSpec spec;
  spec.source = {DType::uint8, {2, 2}, Layout::plain, &sx};
  spec.weights = {DType::int8, {2, 2}, Layout::plain, &sw};
  spec.destination = {DType::float32, {2, 2}, Layout::plain, nullptr};
  spec.bias = &bias;
  Tensor y(DType::float32, {2, 2});
  MadeKernel made = make_code_product(spec);
  REQUIRE(made.kernel != nullptr);
  test::run(*made.kernel, {x.raw(), w.raw()}, {y.raw()});
  CHECK(to_floats(y) == std::vector<float>{20, 24, 44, 52});
}

TEST_CASE("Matrix products of codes refuse what they cannot compute") {
  const QuantParams one = checked_params({8, false, false}, {1.0F}, {0});
  const QuantParams several = checked_params({8, true, false}, {1, 1}, {0, 5}, 1);
  onednn::MatmulSpec spec;
  spec.source = {DType::uint8, {2, 2}, Layout::plain, &one};
  spec.weights = {DType::int8, {2, 2}, Layout::plain, &several};
  spec.destination = {DType::float32, {2, 2}, Layout::plain, nullptr};
  CHECK(make_code_product(spec).refusal == "weights with several zero points");
  spec.source.params = nullptr;
  CHECK(make_code_product(spec).refusal == "operands that are no codes");
  spec.source = {DType::uint8, {0, 2}, Layout::plain, &one};
  spec.destination.shape = {0, 2};
  CHECK(make_code_product(spec).refusal == "an empty tensor");
}
