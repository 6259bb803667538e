// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "kernels/host/elementary.h"
#include "kernels/host/gradient.h"
#include "support/parallel.h"
#include "support/simd.h"

namespace qtool {

namespace {

using Kind = PostOp::Kind;

double logistic(double x) { return 1 / (1 + std::exp(-x)); }

double mish_derivative(double x) {
  const double t = std::tanh(std::log1p(std::exp(x)));
  return t + x * (1 - t * t) * logistic(x);
}

double gelu_derivative(double x) {
  const double density = std::exp(-x * x / 2) / std::sqrt(2 * M_PI);
  return 0.5 * (1 + std::erf(x / std::sqrt(2.0))) + x * density;
}

double gelu_tanh_derivative(double x) {
  const double k = std::sqrt(2 / M_PI);
  const double t = std::tanh(k * (x + 0.044715 * x * x * x));
  return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * k * (1 + 3 * 0.044715 * x * x);
}

std::optional<double> smooth_derivative(Kind kind, double x) {
  switch (kind) {
    case Kind::sigmoid: return logistic(x) * (1 - logistic(x));
    case Kind::tanh: return 1 - std::tanh(x) * std::tanh(x);
    case Kind::negate: return -1.0;
    case Kind::reciprocal: return -1 / (x * x);
    case Kind::sqrt: return 0.5 / std::sqrt(x);
    case Kind::exp: return std::exp(x);
    case Kind::log: return 1 / x;
    case Kind::erf: return 2 / std::sqrt(M_PI) * std::exp(-x * x);
    case Kind::sin: return std::cos(x);
    case Kind::cos: return -std::sin(x);
    case Kind::tan: return 1 + std::tan(x) * std::tan(x);
    case Kind::asin: return 1 / std::sqrt(1 - x * x);
    case Kind::acos: return -1 / std::sqrt(1 - x * x);
    case Kind::atan: return 1 / (1 + x * x);
    case Kind::sinh: return std::cosh(x);
    case Kind::cosh: return std::sinh(x);
    case Kind::asinh: return 1 / std::sqrt(x * x + 1);
    case Kind::acosh: return 1 / std::sqrt(x * x - 1);
    case Kind::atanh: return 1 / (1 - x * x);
    case Kind::softplus: return logistic(x);
    case Kind::softsign: return 1 / ((1 + std::fabs(x)) * (1 + std::fabs(x)));
    case Kind::mish: return mish_derivative(x);
    case Kind::gelu: return gelu_derivative(x);
    case Kind::gelu_tanh: return gelu_tanh_derivative(x);
    default: return std::nullopt;
  }
}

}  // namespace

std::optional<double> derivative(const PostOp& op, double x) {
  const auto a = static_cast<double>(op.alpha);
  const auto b = static_cast<double>(op.beta);
  switch (op.kind) {
    case Kind::relu: return x > 0 ? 1 : 0;
    case Kind::leaky_relu: return x > 0 ? 1 : a;
    case Kind::clip: return x > a && x < b ? 1 : 0;
    case Kind::hard_swish: return x <= -3 ? 0 : x >= 3 ? 1 : x / 3 + 0.5;
    case Kind::hard_sigmoid: return a * x + b > 0 && a * x + b < 1 ? a : 0;
    case Kind::linear: return a;
    case Kind::abs: return x > 0 ? 1 : x < 0 ? -1 : 0;
    case Kind::elu: return x > 0 ? 1 : a * std::exp(x);
    case Kind::selu: return x > 0 ? b : b * a * std::exp(x);
    case Kind::celu: return x > 0 ? 1 : std::exp(x / a);
    case Kind::thresholded_relu: return x > a ? 1 : 0;
    case Kind::shrink: return x < -a || x > a ? 1 : 0;
    case Kind::floor:
    case Kind::ceil:
    case Kind::round:
    case Kind::sign: return 0;
    default: return smooth_derivative(op.kind, x);
  }
}

namespace {

constexpr int64_t kGrain = int64_t{1} << 15;

template <class F>
[[gnu::always_inline]] inline void each(const float* gy, const float* x, float* gx, int64_t count,
                                        F f) {
  QTOOL_INDEPENDENT
  for (int64_t i = 0; i < count; ++i) gx[i] = gy[i] * f(x[i]);
}

/// Whether it was one of those that are worth a loop of their own.
QTOOL_SIMD bool fast_range(const PostOp& op, const float* gy, const float* x, float* gx,
                           int64_t n) {
  const float a = op.alpha;
  const float b = op.beta;
  switch (op.kind) {
    case Kind::relu: each(gy, x, gx, n, [](float v) { return v > 0 ? 1.0F : 0.0F; }); return true;
    case Kind::leaky_relu:
      each(gy, x, gx, n, [a](float v) { return v > 0 ? 1.0F : a; });
      return true;
    case Kind::clip:
      each(gy, x, gx, n, [a, b](float v) {
        const float above = v > a ? 1.0F : 0.0F;
        return v < b ? above : 0.0F;
      });
      return true;
    case Kind::hard_swish:
      each(gy, x, gx, n, [](float v) {
        const float slope = v / 3 + 0.5F;
        const float low = v <= -3 ? 0.0F : slope;
        return v >= 3 ? 1.0F : low;
      });
      return true;
    case Kind::sigmoid:
      each(gy, x, gx, n, [](float v) {
        const float small = elementary::exp(v < 0 ? v : -v);
        return small / ((1 + small) * (1 + small));
      });
      return true;
    case Kind::tanh:
      each(gy, x, gx, n, [](float v) {
        const float small = elementary::exp(v < 0 ? 2 * v : -2 * v);
        return 4 * small / ((1 + small) * (1 + small));
      });
      return true;
    case Kind::elu:
      each(gy, x, gx, n, [a](float v) {
        const float below = a * elementary::exp(v < 0 ? v : 0.0F);
        return v > 0 ? 1.0F : below;
      });
      return true;
    case Kind::exp: each(gy, x, gx, n, [](float v) { return elementary::exp(v); }); return true;
    default: return false;
  }
}

class UnaryGradientKernel final : public Kernel {
 public:
  UnaryGradientKernel(int64_t count, const PostOp& op) : count_(count), op_(op) {}
  void run(const KernelArgs& args) override {
    const auto* gy = static_cast<const float*>(args.inputs[0]);
    const auto* x = static_cast<const float*>(args.inputs[1]);
    auto* gx = static_cast<float*>(args.outputs[0]);
    parallel_for(count_, kGrain, [&](int64_t begin, int64_t end) {
      if (fast_range(op_, gy + begin, x + begin, gx + begin, end - begin)) return;
      for (int64_t i = begin; i < end; ++i) {
        const double slope = *derivative(op_, static_cast<double>(x[i]));
        gx[i] = static_cast<float>(static_cast<double>(gy[i]) * slope);
      }
    });
  }
  std::string description() const override { return "host gradient"; }

 private:
  int64_t count_;
  PostOp op_;
};

}  // namespace

KernelPtr make_unary_gradient(int64_t count, const PostOp& op) {
  QTOOL_CHECK(derivative(op, 1).has_value(), "a post-op without a derivative");
  return std::make_unique<UnaryGradientKernel>(count, op);
}

}  // namespace qtool
