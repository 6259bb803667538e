// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "kernels/host/elementary.h"
#include "kernels/host/elementwise.h"
#include "support/parallel.h"
#include "support/simd.h"

namespace qtool {

namespace {

constexpr int64_t kGrain = int64_t{1} << 15;

/// x and y are one place or two apart.
template <class F>
[[gnu::always_inline]] inline void each(const float* x, float* y, int64_t count, F f) {
  QTOOL_INDEPENDENT
  for (int64_t i = 0; i < count; ++i) y[i] = f(x[i]);
}

using Kind = PostOp::Kind;

/// What the C library computes one at a time.
void library_range(Kind kind, const float* x, float* y, int64_t n) {
  switch (kind) {
    case Kind::sin: return each(x, y, n, [](float v) { return std::sin(v); });
    case Kind::cos: return each(x, y, n, [](float v) { return std::cos(v); });
    case Kind::tan: return each(x, y, n, [](float v) { return std::tan(v); });
    case Kind::asin: return each(x, y, n, [](float v) { return std::asin(v); });
    case Kind::acos: return each(x, y, n, [](float v) { return std::acos(v); });
    case Kind::atan: return each(x, y, n, [](float v) { return std::atan(v); });
    case Kind::sinh: return each(x, y, n, [](float v) { return std::sinh(v); });
    case Kind::cosh: return each(x, y, n, [](float v) { return std::cosh(v); });
    case Kind::asinh: return each(x, y, n, [](float v) { return std::asinh(v); });
    case Kind::acosh: return each(x, y, n, [](float v) { return std::acosh(v); });
    case Kind::atanh: return each(x, y, n, [](float v) { return std::atanh(v); });
    default: QTOOL_CHECK(false, "not a function of one number");
  }
}

QTOOL_SIMD void simple_range(const PostOp& op, const float* x, float* y, int64_t n) {
  const float a = op.alpha;
  const float b = op.beta;
  switch (op.kind) {
    case Kind::relu: return each(x, y, n, [](float v) { return v < 0 ? 0.0F : v; });
    case Kind::leaky_relu: return each(x, y, n, [a](float v) { return v < 0 ? a * v : v; });
    case Kind::clip: return each(x, y, n, [a, b](float v) { return v < a ? a : v > b ? b : v; });
    case Kind::linear: return each(x, y, n, [a, b](float v) { return a * v + b; });
    case Kind::hard_swish:
      return each(x, y, n, [](float v) {
        const float gate = v / 6 + 0.5F;
        return v * (gate < 0 ? 0.0F : gate > 1 ? 1.0F : gate);
      });
    case Kind::hard_sigmoid:
      return each(x, y, n, [a, b](float v) {
        const float line = a * v + b;
        return line < 0 ? 0.0F : line > 1 ? 1.0F : line;
      });
    case Kind::thresholded_relu: return each(x, y, n, [a](float v) { return v <= a ? 0.0F : v; });
    case Kind::shrink:
      return each(x, y, n, [a, b](float v) {
        const float inner = v > a ? v - b : 0.0F;
        const float result = v < -a ? v + b : inner;
        return v == v ? result : v;
      });
    case Kind::softsign: return each(x, y, n, [](float v) { return v / (1 + std::fabs(v)); });
    case Kind::abs: return each(x, y, n, [](float v) { return std::fabs(v); });
    case Kind::negate: return each(x, y, n, [](float v) { return -v; });
    case Kind::reciprocal: return each(x, y, n, [](float v) { return 1 / v; });
    case Kind::sqrt: return each(x, y, n, [](float v) { return std::sqrt(v); });
    case Kind::floor: return each(x, y, n, [](float v) { return std::floor(v); });
    case Kind::ceil: return each(x, y, n, [](float v) { return std::ceil(v); });
    case Kind::round: return each(x, y, n, [](float v) { return std::nearbyint(v); });
    case Kind::sign: return each(x, y, n, [](float v) { return v > 0 ? 1.0F : v < 0 ? -1.0F : v; });
    default: return library_range(op.kind, x, y, n);
  }
}

QTOOL_SIMD void elementary_range(const PostOp& op, const float* x, float* y, int64_t n) {
  const float a = op.alpha;
  const float b = op.beta;
  switch (op.kind) {
    case Kind::exp: return each(x, y, n, [](float v) { return elementary::exp(v); });
    case Kind::log: return each(x, y, n, [](float v) { return elementary::log(v); });
    case Kind::erf: return each(x, y, n, [](float v) { return elementary::erf(v); });
    case Kind::sigmoid: return each(x, y, n, [](float v) { return elementary::sigmoid(v); });
    case Kind::tanh: return each(x, y, n, [](float v) { return elementary::tanh(v); });
    case Kind::softplus: return each(x, y, n, [](float v) { return elementary::softplus(v); });
    case Kind::mish: return each(x, y, n, [](float v) { return elementary::mish(v); });
    case Kind::gelu: return each(x, y, n, [](float v) { return elementary::gelu(v); });
    case Kind::gelu_tanh: return each(x, y, n, [](float v) { return elementary::gelu_tanh(v); });
    case Kind::elu:
      return each(x, y, n, [a](float v) {
        const float below = a * elementary::expm1_negative(v);
        return v < 0 ? below : v;
      });
    case Kind::selu:
      return each(x, y, n, [a, b](float v) {
        const float below = a * elementary::expm1_negative(v);
        return b * (v < 0 ? below : v);
      });
    case Kind::celu:
      return each(x, y, n, [a](float v) {
        const float below = a * elementary::expm1_negative(v / a);
        return v < 0 ? below : v;
      });
    default: return simple_range(op, x, y, n);
  }
}

bool is_unary(const PostOp& op) { return op.kind != PostOp::Kind::add; }

class UnaryKernel final : public Kernel {
 public:
  UnaryKernel(int64_t count, std::span<const PostOp> ops)
      : count_(count), ops_(ops.begin(), ops.end()) {}
  void run(const KernelArgs& args) override {
    auto* to = static_cast<float*>(args.outputs[0]);
    parallel_for(count_, kGrain, [&](int64_t begin, int64_t end) {
      const float* from = static_cast<const float*>(args.inputs[0]) + begin;
      for (const PostOp& op : ops_) {
        apply(op, from, to + begin, end - begin);
        from = to + begin;
      }
    });
  }
  std::string description() const override { return "host elementwise"; }

 private:
  int64_t count_;
  std::vector<PostOp> ops_;
};

}  // namespace

void apply(const PostOp& op, const float* x, float* y, int64_t count) {
  elementary_range(op, x, y, count);
}

float apply(const PostOp& op, float y) {
  float result = 0;
  elementary_range(op, &y, &result, 1);
  return result;
}

bool all_unary(std::span<const PostOp> ops) { return std::ranges::all_of(ops, is_unary); }

MadeKernel make_unary(int64_t count, std::span<const PostOp> post_ops) {
  if (!all_unary(post_ops)) return MadeKernel::refused("an addition behind it");
  return {std::make_unique<UnaryKernel>(count, post_ops)};
}

}  // namespace qtool
