// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "kernels/host/broadcast.h"
#include "support/simd.h"

namespace qtool {

namespace {

/// One row of two operands and the result; strides of 0 and 1 are what the compiler vectorises.
template <class A, class R>
struct Row {
  const A* a;
  int64_t a_step;
  const A* b;
  int64_t b_step;
  R* y;
  int64_t count;
};

/// y may be a or b where their step is 1.
template <class A, class R, class F>
[[gnu::always_inline]] inline void each(const Row<A, R>& row, F f) {
  const A* a = row.a;
  const A* b = row.b;
  R* y = row.y;
  if (row.a_step == 1 && row.b_step == 1) {
    QTOOL_INDEPENDENT
    for (int64_t i = 0; i < row.count; ++i) y[i] = f(a[i], b[i]);
  } else if (row.a_step == 1 && row.b_step == 0) {
    const A constant = *b;
    QTOOL_INDEPENDENT
    for (int64_t i = 0; i < row.count; ++i) y[i] = f(a[i], constant);
  } else if (row.a_step == 0 && row.b_step == 1) {
    const A constant = *a;
    QTOOL_INDEPENDENT
    for (int64_t i = 0; i < row.count; ++i) y[i] = f(constant, b[i]);
  } else {
    for (int64_t i = 0; i < row.count; ++i) y[i] = f(a[i * row.a_step], b[i * row.b_step]);
  }
}

/// Most powers in models are squares and roots.
[[gnu::always_inline]] inline void power_row(const Row<float, float>& row) {
  if (row.b_step == 0 && *row.b == 2) {
    each(row, [](float p, float) { return p * p; });
  } else if (row.b_step == 0 && *row.b == 0.5F) {
    constexpr float kInf = std::numeric_limits<float>::infinity();
    each(row, [](float p, float) { return p == -kInf ? kInf : std::sqrt(p + 0.0F); });
  } else {
    each(row, [](float p, float q) { return std::pow(p, q); });
  }
}

QTOOL_SIMD void binary_row(BinaryOp op, const Row<float, float>& row) {
  switch (op) {
    case BinaryOp::add: return each(row, [](float p, float q) { return p + q; });
    case BinaryOp::subtract: return each(row, [](float p, float q) { return p - q; });
    case BinaryOp::multiply: return each(row, [](float p, float q) { return p * q; });
    case BinaryOp::divide: return each(row, [](float p, float q) { return p / q; });
    case BinaryOp::maximum:
      return each(row, [](float p, float q) {
        const float larger = p > q ? p : q;
        return p == p ? larger : p;
      });
    case BinaryOp::minimum:
      return each(row, [](float p, float q) {
        const float smaller = p < q ? p : q;
        return p == p ? smaller : p;
      });
    case BinaryOp::power: return power_row(row);
    case BinaryOp::remainder: return each(row, [](float p, float q) { return std::fmod(p, q); });
    case BinaryOp::prelu: return each(row, [](float p, float q) { return p < 0 ? p * q : p; });
  }
}

template <class T>
[[gnu::always_inline]] inline void compare_any(CompareOp op, const Row<T, bool>& row) {
  switch (op) {
    case CompareOp::equal: return each(row, [](T p, T q) { return p == q; });
    case CompareOp::greater: return each(row, [](T p, T q) { return p > q; });
    case CompareOp::greater_or_equal: return each(row, [](T p, T q) { return p >= q; });
    case CompareOp::less: return each(row, [](T p, T q) { return p < q; });
    case CompareOp::less_or_equal: return each(row, [](T p, T q) { return p <= q; });
  }
}

QTOOL_SIMD void compare_row(CompareOp op, const Row<float, bool>& row) { compare_any(op, row); }
QTOOL_SIMD void compare_row(CompareOp op, const Row<int32_t, bool>& row) { compare_any(op, row); }
QTOOL_SIMD void compare_row(CompareOp op, const Row<int64_t, bool>& row) { compare_any(op, row); }

template <class A, class R>
Row<A, R> row_at(const KernelArgs& args, const BroadcastLoop<2>& loop,
                 const std::array<int64_t, 2>& offsets, int64_t out, int64_t count) {
  return {static_cast<const A*>(args.inputs[0]) + offsets[0],
          loop.inner()[0],
          static_cast<const A*>(args.inputs[1]) + offsets[1],
          loop.inner()[1],
          static_cast<R*>(args.outputs[0]) + out,
          count};
}

class BinaryKernel final : public Kernel {
 public:
  BinaryKernel(BinaryOp op, BroadcastLoop<2> loop, std::span<const PostOp> post_ops)
      : op_(op), loop_(std::move(loop)), post_ops_(post_ops.begin(), post_ops.end()) {}

  void run(const KernelArgs& args) override {
    loop_.for_rows([&](const std::array<int64_t, 2>& offsets, int64_t out, int64_t count) {
      const auto row = row_at<float, float>(args, loop_, offsets, out, count);
      binary_row(op_, row);
      for (const PostOp& op : post_ops_) apply(op, row.y, row.y, count);
    });
  }
  std::string description() const override { return "host elementwise"; }

 private:
  BinaryOp op_;
  BroadcastLoop<2> loop_;
  std::vector<PostOp> post_ops_;
};

/// The result of one step is the first operand of the next.
class FoldKernel final : public Kernel {
 public:
  explicit FoldKernel(std::vector<BinaryKernel> steps) : steps_(std::move(steps)) {}

  void run(const KernelArgs& args) override {
    const void* so_far = args.inputs[0];
    for (size_t i = 0; i < steps_.size(); ++i) {
      const std::array<const void*, 2> operands{so_far, args.inputs[i + 1]};
      steps_[i].run({operands, args.outputs, nullptr});
      so_far = args.outputs[0];
    }
  }
  std::string description() const override { return "host elementwise"; }

 private:
  std::vector<BinaryKernel> steps_;
};

template <class T>
class CompareKernel final : public Kernel {
 public:
  CompareKernel(CompareOp op, BroadcastLoop<2> loop) : op_(op), loop_(std::move(loop)) {}

  void run(const KernelArgs& args) override {
    loop_.for_rows([&](const std::array<int64_t, 2>& offsets, int64_t out, int64_t count) {
      compare_row(op_, row_at<T, bool>(args, loop_, offsets, out, count));
    });
  }
  std::string description() const override { return "host comparison"; }

 private:
  CompareOp op_;
  BroadcastLoop<2> loop_;
};

/// Elements as bits of their size.
template <class T>
class SelectKernel final : public Kernel {
 public:
  explicit SelectKernel(BroadcastLoop<3> loop) : loop_(std::move(loop)) {}

  void run(const KernelArgs& args) override {
    loop_.for_rows([&](const std::array<int64_t, 3>& offsets, int64_t out, int64_t count) {
      const bool* condition = static_cast<const bool*>(args.inputs[0]) + offsets[0];
      const T* x = static_cast<const T*>(args.inputs[1]) + offsets[1];
      const T* y = static_cast<const T*>(args.inputs[2]) + offsets[2];
      T* to = static_cast<T*>(args.outputs[0]) + out;
      const auto [c_step, x_step, y_step] = loop_.inner();
      if (c_step == 1 && x_step == 1 && y_step == 1) {
        for (int64_t i = 0; i < count; ++i) to[i] = condition[i] ? x[i] : y[i];
      } else if (c_step == 1 && x_step == 0 && y_step == 1) {
        for (int64_t i = 0; i < count; ++i) to[i] = condition[i] ? *x : y[i];
      } else {
        for (int64_t i = 0; i < count; ++i)
          to[i] = condition[i * c_step] ? x[i * x_step] : y[i * y_step];
      }
    });
  }
  std::string description() const override { return "host selection"; }

 private:
  BroadcastLoop<3> loop_;
};

}  // namespace

MadeKernel make_binary(BinaryOp op, const Shape& extents, const ElementwiseOperand& a,
                       const ElementwiseOperand& b, std::span<const PostOp> post_ops) {
  if (a.params != nullptr || b.params != nullptr) return MadeKernel::refused("quantized operands");
  if (!all_unary(post_ops)) return MadeKernel::refused("an addition behind it");
  return {std::make_unique<BinaryKernel>(op, BroadcastLoop<2>(extents, {&a.strides, &b.strides}),
                                         post_ops)};
}

MadeKernel make_fold(BinaryOp op, const Shape& extents,
                     std::span<const std::vector<int64_t>> operands,
                     std::span<const PostOp> post_ops) {
  if (!all_unary(post_ops)) return MadeKernel::refused("an addition behind it");
  if (operands.size() == 1) {
    std::vector<PostOp> chain{{PostOp::Kind::linear, 1, 0}};
    chain.insert(chain.end(), post_ops.begin(), post_ops.end());
    return make_unary(element_count(extents), chain);
  }
  const std::vector<int64_t> dense = row_major_strides(extents);
  std::vector<BinaryKernel> steps;
  for (size_t i = 1; i < operands.size(); ++i) {
    const bool last = i + 1 == operands.size();
    steps.emplace_back(op,
                       BroadcastLoop<2>(extents, {i == 1 ? operands.data() : &dense, &operands[i]}),
                       last ? post_ops : std::span<const PostOp>());
  }
  return {std::make_unique<FoldKernel>(std::move(steps))};
}

MadeKernel make_compare(CompareOp op, DType dtype, const Shape& extents,
                        const std::vector<int64_t>& a, const std::vector<int64_t>& b) {
  BroadcastLoop<2> loop(extents, {&a, &b});
  switch (dtype) {
    case DType::float32: return {std::make_unique<CompareKernel<float>>(op, std::move(loop))};
    case DType::int32: return {std::make_unique<CompareKernel<int32_t>>(op, std::move(loop))};
    case DType::int64: return {std::make_unique<CompareKernel<int64_t>>(op, std::move(loop))};
    default: return MadeKernel::refused("elements of type " + std::string(name(dtype)));
  }
}

MadeKernel make_select(size_t element_bytes, const Shape& extents,
                       const std::vector<int64_t>& condition, const std::vector<int64_t>& x,
                       const std::vector<int64_t>& y) {
  BroadcastLoop<3> loop(extents, {&condition, &x, &y});
  switch (element_bytes) {
    case 1: return {std::make_unique<SelectKernel<uint8_t>>(std::move(loop))};
    case 2: return {std::make_unique<SelectKernel<uint16_t>>(std::move(loop))};
    case 4: return {std::make_unique<SelectKernel<uint32_t>>(std::move(loop))};
    case 8: return {std::make_unique<SelectKernel<uint64_t>>(std::move(loop))};
    default: return MadeKernel::refused("elements of another size than 1, 2, 4 or 8 bytes");
  }
}

}  // namespace qtool
