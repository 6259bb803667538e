// SPDX-License-Identifier: Apache-2.0
// The vector loops (compiled for several CPU levels) against plain arithmetic in this file, which
// is compiled for the oldest one: the results are the same bits.
#include "kernels/host/elementwise.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

#include "catch.h"
#include "kernels/run.h"
#include "support/parallel.h"
#include "support/rng.h"

using namespace qtool;

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

/// Ordinary values and all that is special, enough for several threads.
std::vector<float> values(size_t count, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> list{0.0F, -0.0F, kInf, -kInf, kNan, 1e-40F, -1e-40F, 3e38F, -3e38F};
  list.resize(count);
  for (size_t i = 9; i < count; ++i) list[i] = rng.normal() * 3;
  return list;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  for (size_t i = 0; i < a.size(); ++i) {
    const bool nans = std::isnan(a[i]) && std::isnan(b[i]);
    if (!nans && std::bit_cast<uint32_t>(a[i]) != std::bit_cast<uint32_t>(b[i])) return false;
  }
  return a.size() == b.size();
}

float scalar(const PostOp& op, float x) {
  switch (op.kind) {
    case PostOp::Kind::relu: return x < 0 ? 0.0F : x;
    case PostOp::Kind::leaky_relu: return x < 0 ? op.alpha * x : x;
    case PostOp::Kind::clip: return x < op.alpha ? op.alpha : x > op.beta ? op.beta : x;
    default: return apply(op, x);
  }
}

}  // namespace

TEST_CASE("Unary kernels give the bits of plain arithmetic, also in place and chained") {
  const std::vector<float> x = values(100003, 6);
  const std::vector<std::vector<PostOp>> chains{
      {{PostOp::Kind::relu}},
      {{PostOp::Kind::leaky_relu, 0.1F}},
      {{PostOp::Kind::clip, -1, 2.5F}},
      {{PostOp::Kind::sigmoid}},
      {{PostOp::Kind::tanh}},
      {{PostOp::Kind::hard_swish}},
      {{PostOp::Kind::leaky_relu, 0.5F}, {PostOp::Kind::clip, -1, 6}, {PostOp::Kind::relu}},
  };
  for (const auto& chain : chains) {
    std::vector<float> wanted = x;
    for (const PostOp& op : chain) {
      for (float& value : wanted) value = scalar(op, value);
    }
    for (const int threads : {1, 2}) {
      set_thread_count(threads);
      std::vector<float> y(x.size());
      std::vector<float> in_place = x;
      MadeKernel made = make_unary(static_cast<int64_t>(x.size()), chain);
      REQUIRE(made.kernel != nullptr);
      test::run(*made.kernel, {x.data()}, {y.data()});
      test::run(*made.kernel, {in_place.data()}, {in_place.data()});
      CAPTURE(static_cast<int>(chain[0].kind), threads);
      CHECK(same_bits(y, wanted));
      CHECK(same_bits(in_place, wanted));
    }
    set_thread_count(0);
  }
}

TEST_CASE("Activations at points that were worked by hand") {
  CHECK(apply({PostOp::Kind::sigmoid}, 0) == 0.5F);
  CHECK(apply({PostOp::Kind::sigmoid}, std::log(3.0F)) == Approx(0.75));
  CHECK(apply({PostOp::Kind::sigmoid}, -std::log(3.0F)) == Approx(0.25));
  CHECK(apply({PostOp::Kind::sigmoid}, -1000) == 0);
  CHECK(apply({PostOp::Kind::sigmoid}, 1000) == 1);
  CHECK(apply({PostOp::Kind::hard_swish}, -3) == 0);
  CHECK(apply({PostOp::Kind::hard_swish}, 1) == Approx(2.0 / 3));
  CHECK(apply({PostOp::Kind::hard_swish}, 9) == 9);
  CHECK(apply({PostOp::Kind::clip, -1, 1}, 7) == 1);
  CHECK(std::isnan(apply({PostOp::Kind::relu}, kNan)));
}

TEST_CASE("Binary kernels with operands broadcast in any direction") {
  const std::vector<std::function<float(float, float)>> functions{
      [](float a, float b) { return a + b; },
      [](float a, float b) { return a - b; },
      [](float a, float b) { return a * b; },
      [](float a, float b) { return a / b; },
      [](float a, float b) { return std::isnan(a) || a > b ? a : b; },
      [](float a, float b) { return std::isnan(a) || a < b ? a : b; },
      [](float a, float b) { return std::pow(a, b); },
      [](float a, float b) { return std::fmod(a, b); },
      [](float a, float b) { return a < 0 ? a * b : a; }};
  Rng rng(7);
  for (int round = 0; round < 600; ++round) {
    Shape extents;
    const uint32_t rank = rng.below(5);
    for (uint32_t d = 0; d < rank; ++d) {
      extents.push_back(rng.below(30) == 0 ? 0
                                           : 1 + rng.below(round % 20 == 0 && rank < 3 ? 400 : 9));
    }
    const auto strides_with_gaps = [&](int64_t& elements) {
      std::vector<int64_t> strides(extents.size(), 0);
      elements = 1;
      for (size_t d = extents.size(); d-- > 0;) {
        if (rng.below(3) == 0) continue;  // broadcast
        strides[d] = elements;
        elements *= std::max<int64_t>(extents[d], 1);
      }
      return strides;
    };
    int64_t a_count = 0;
    int64_t b_count = 0;
    const auto a_strides = strides_with_gaps(a_count);
    const auto b_strides = strides_with_gaps(b_count);
    const std::vector<float> a =
        values(static_cast<size_t>(a_count + 9), static_cast<uint64_t>(round));
    const std::vector<float> b =
        values(static_cast<size_t>(b_count + 9), static_cast<uint64_t>(round) + 1000);
    const auto op = rng.below(static_cast<uint32_t>(functions.size()));
    const int64_t count = element_count(extents);
    std::vector<float> wanted(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i) {
      int64_t rest = i;
      int64_t p = 0;
      int64_t q = 0;
      for (size_t d = extents.size(); d-- > 0;) {
        p += rest % extents[d] * a_strides[d];
        q += rest % extents[d] * b_strides[d];
        rest /= extents[d];
      }
      const float y = functions[op](a[static_cast<size_t>(p)], b[static_cast<size_t>(q)]);
      wanted[static_cast<size_t>(i)] = y < 0 ? 0.0F : y;
    }
    const std::vector<PostOp> relu{{PostOp::Kind::relu}};
    MadeKernel made =
        make_binary(static_cast<BinaryOp>(op), extents, {a_strides}, {b_strides}, relu);
    REQUIRE(made.kernel != nullptr);
    std::vector<float> y(wanted.size());
    test::run(*made.kernel, {a.data(), b.data()}, {y.data()});
    CAPTURE(round, op, to_string(extents), to_string(a_strides), to_string(b_strides));
    REQUIRE(same_bits(y, wanted));
  }
}

TEST_CASE("Scale and shift a channel, channels innermost or not") {
  Rng rng(8);
  for (int round = 0; round < 100; ++round) {
    const int64_t outer = rng.below(5);
    const int64_t channels = 1 + rng.below(70);
    const int64_t inner = round % 2 == 0 ? 1 : 1 + rng.below(300);
    std::vector<float> scale(static_cast<size_t>(channels));
    std::vector<float> shift(static_cast<size_t>(channels));
    for (float& value : scale) value = rng.normal();
    for (float& value : shift) value = rng.normal();
    const std::vector<float> x = values(static_cast<size_t>(outer * channels * inner) + 9, 3);
    std::vector<float> y(static_cast<size_t>(outer * channels * inner));
    test::run(*make_channel_affine(outer, channels, inner, scale, shift), {x.data()}, {y.data()});
    std::vector<float> wanted(y.size());
    for (size_t i = 0; i < y.size(); ++i) {
      const size_t c = i / static_cast<size_t>(inner) % static_cast<size_t>(channels);
      wanted[i] = x[i] * scale[c] + shift[c];
    }
    CAPTURE(outer, channels, inner);
    REQUIRE(same_bits(y, wanted));
  }
}

TEST_CASE("Element-wise kernels refuse what they cannot do") {
  const std::vector<PostOp> add{{PostOp::Kind::add}};
  CHECK(make_unary(1, add).refusal == "an addition behind it");
  CHECK(make_binary(BinaryOp::add, {1}, {{1}}, {{1}}, add).refusal == "an addition behind it");
  const QuantParams p = checked_params({8, true, false}, {1}, {0});
  CHECK(make_binary(BinaryOp::add, {1}, {{1}, &p}, {{1}}, {}).refusal == "quantized operands");
}
