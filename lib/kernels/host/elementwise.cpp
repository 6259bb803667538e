// SPDX-License-Identifier: Apache-2.0
#include "kernels/host/elementwise.h"

#include <algorithm>
#include <cmath>

#include "kernels/host/simd.h"
#include "support/parallel.h"

namespace qtool {

float apply(const PostOp& op, float y) {
  switch (op.kind) {
    case PostOp::Kind::relu: return y < 0 ? 0.0F : y;
    case PostOp::Kind::leaky_relu: return y < 0 ? op.alpha * y : y;
    case PostOp::Kind::clip: return y < op.alpha ? op.alpha : y > op.beta ? op.beta : y;
    case PostOp::Kind::sigmoid:
      return y >= 0 ? 1 / (1 + std::exp(-y)) : std::exp(y) / (1 + std::exp(y));
    case PostOp::Kind::tanh: return std::tanh(y);
    case PostOp::Kind::hard_swish: return y * std::clamp(y / 6 + 0.5F, 0.0F, 1.0F);
    case PostOp::Kind::add: break;
  }
  return y;
}

namespace {

constexpr int64_t kGrain = int64_t{1} << 15;

QTOOL_SIMD void relu_loop(const float* x, float* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = x[i] < 0 ? 0.0F : x[i];
}
QTOOL_SIMD void leaky_loop(const float* x, float* y, int64_t count, float alpha) {
  for (int64_t i = 0; i < count; ++i) y[i] = x[i] < 0 ? alpha * x[i] : x[i];
}
QTOOL_SIMD void clip_loop(const float* x, float* y, int64_t count, float low, float high) {
  for (int64_t i = 0; i < count; ++i) y[i] = x[i] < low ? low : x[i] > high ? high : x[i];
}

void unary_range(const PostOp& op, const float* x, float* y, int64_t count) {
  switch (op.kind) {
    case PostOp::Kind::relu: return relu_loop(x, y, count);
    case PostOp::Kind::leaky_relu: return leaky_loop(x, y, count, op.alpha);
    case PostOp::Kind::clip: return clip_loop(x, y, count, op.alpha, op.beta);
    default:
      for (int64_t i = 0; i < count; ++i) y[i] = apply(op, x[i]);
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
        unary_range(op, from, to + begin, end - begin);
        from = to + begin;
      }
    });
  }
  std::string description() const override { return "host elementwise"; }

 private:
  int64_t count_;
  std::vector<PostOp> ops_;
};

template <class F>
void binary_row(const float* a, int64_t sa, const float* b, int64_t sb, float* y, int64_t count,
                F f) {
  if (sa == 1 && sb == 1) {
    for (int64_t i = 0; i < count; ++i) y[i] = f(a[i], b[i]);
  } else if (sa == 1 && sb == 0) {
    const float constant = *b;
    for (int64_t i = 0; i < count; ++i) y[i] = f(a[i], constant);
  } else {
    for (int64_t i = 0; i < count; ++i) y[i] = f(a[i * sa], b[i * sb]);
  }
}

QTOOL_SIMD void add_row(const float* a, int64_t sa, const float* b, int64_t sb, float* y,
                        int64_t n) {
  binary_row(a, sa, b, sb, y, n, [](float p, float q) { return p + q; });
}
QTOOL_SIMD void sub_row(const float* a, int64_t sa, const float* b, int64_t sb, float* y,
                        int64_t n) {
  binary_row(a, sa, b, sb, y, n, [](float p, float q) { return p - q; });
}
QTOOL_SIMD void mul_row(const float* a, int64_t sa, const float* b, int64_t sb, float* y,
                        int64_t n) {
  binary_row(a, sa, b, sb, y, n, [](float p, float q) { return p * q; });
}
QTOOL_SIMD void div_row(const float* a, int64_t sa, const float* b, int64_t sb, float* y,
                        int64_t n) {
  binary_row(a, sa, b, sb, y, n, [](float p, float q) { return p / q; });
}

/// Merges neighbouring dimensions that both operands step through alike.
struct BinaryLoop {
  std::vector<int64_t> extents;
  std::vector<int64_t> a;
  std::vector<int64_t> b;
};

BinaryLoop merged_loop(const Shape& extents, const std::vector<int64_t>& a,
                       const std::vector<int64_t>& b) {
  BinaryLoop loop;
  for (size_t i = 0; i < extents.size(); ++i) {
    if (extents[i] == 1) continue;
    if (!loop.extents.empty() && loop.a.back() == a[i] * extents[i] &&
        loop.b.back() == b[i] * extents[i]) {
      loop.extents.back() *= extents[i];
      loop.a.back() = a[i];
      loop.b.back() = b[i];
    } else {
      loop.extents.push_back(extents[i]);
      loop.a.push_back(a[i]);
      loop.b.push_back(b[i]);
    }
  }
  if (loop.extents.empty()) loop = {{1}, {1}, {1}};
  return loop;
}

class BinaryKernel final : public Kernel {
 public:
  BinaryKernel(BinaryOp op, BinaryLoop loop, std::span<const PostOp> post_ops)
      : op_(op), loop_(std::move(loop)), post_ops_(post_ops.begin(), post_ops.end()) {}

  void run(const KernelArgs& args) override {
    const size_t outer_rank = loop_.extents.size() - 1;
    const int64_t inner = loop_.extents.back();
    int64_t rows = 1;
    for (size_t d = 0; d < outer_rank; ++d) rows *= loop_.extents[d];
    if (rows == 1) {
      parallel_for(inner, kGrain, [&](int64_t begin, int64_t end) {
        row(static_cast<const float*>(args.inputs[0]) + begin * loop_.a.back(),
            static_cast<const float*>(args.inputs[1]) + begin * loop_.b.back(),
            static_cast<float*>(args.outputs[0]) + begin, end - begin);
      });
      return;
    }
    parallel_for(rows, std::max<int64_t>(1, kGrain / std::max<int64_t>(inner, 1)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t r = begin; r < end; ++r) {
                     const auto* a = static_cast<const float*>(args.inputs[0]);
                     const auto* b = static_cast<const float*>(args.inputs[1]);
                     int64_t rest = r;
                     for (size_t d = outer_rank; d-- > 0;) {
                       a += rest % loop_.extents[d] * loop_.a[d];
                       b += rest % loop_.extents[d] * loop_.b[d];
                       rest /= loop_.extents[d];
                     }
                     row(a, b, static_cast<float*>(args.outputs[0]) + r * inner, inner);
                   }
                 });
  }
  std::string description() const override { return "host elementwise"; }

 private:
  void row(const float* a, const float* b, float* y, int64_t count) const {
    const int64_t sa = loop_.a.back();
    const int64_t sb = loop_.b.back();
    switch (op_) {
      case BinaryOp::add: add_row(a, sa, b, sb, y, count); break;
      case BinaryOp::subtract: sub_row(a, sa, b, sb, y, count); break;
      case BinaryOp::multiply: mul_row(a, sa, b, sb, y, count); break;
      case BinaryOp::divide: div_row(a, sa, b, sb, y, count); break;
    }
    for (const PostOp& op : post_ops_) unary_range(op, y, y, count);
  }

  BinaryOp op_;
  BinaryLoop loop_;
  std::vector<PostOp> post_ops_;
};

class ChannelAffineKernel final : public Kernel {
 public:
  ChannelAffineKernel(int64_t outer, int64_t channels, int64_t inner, std::vector<float> scale,
                      std::vector<float> shift)
      : outer_(outer), channels_(channels), inner_(inner), scale_(std::move(scale)),
        shift_(std::move(shift)) {}
  void run(const KernelArgs& args) override {
    const auto* x = static_cast<const float*>(args.inputs[0]);
    auto* y = static_cast<float*>(args.outputs[0]);
    const int64_t row = channels_ * inner_;
    parallel_for(outer_, std::max<int64_t>(1, kGrain / std::max<int64_t>(row, 1)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t o = begin; o < end; ++o) affine(x + o * row, y + o * row);
                 });
  }
  std::string description() const override { return "host channel affine"; }

 private:
  void affine(const float* x, float* y) const {
    for (int64_t c = 0; c < channels_; ++c) {
      const float scale = scale_[static_cast<size_t>(c)];
      const float shift = shift_[static_cast<size_t>(c)];
      for (int64_t i = 0; i < inner_; ++i) y[c * inner_ + i] = x[c * inner_ + i] * scale + shift;
    }
  }
  int64_t outer_;
  int64_t channels_;
  int64_t inner_;
  std::vector<float> scale_;
  std::vector<float> shift_;
};

}  // namespace

MadeKernel make_unary(int64_t count, std::span<const PostOp> post_ops) {
  if (!std::ranges::all_of(post_ops, is_unary)) return MadeKernel::refused("an addition behind it");
  return {std::make_unique<UnaryKernel>(count, post_ops)};
}

MadeKernel make_binary(BinaryOp op, const Shape& extents, const ElementwiseOperand& a,
                       const ElementwiseOperand& b, std::span<const PostOp> post_ops) {
  if (a.params != nullptr || b.params != nullptr) return MadeKernel::refused("quantized operands");
  if (!std::ranges::all_of(post_ops, is_unary)) return MadeKernel::refused("an addition behind it");
  return {std::make_unique<BinaryKernel>(op, merged_loop(extents, a.strides, b.strides), post_ops)};
}

KernelPtr make_channel_affine(int64_t outer, int64_t channels, int64_t inner,
                              std::vector<float> scale, std::vector<float> shift) {
  return std::make_unique<ChannelAffineKernel>(outer, channels, inner, std::move(scale),
                                               std::move(shift));
}

}  // namespace qtool
