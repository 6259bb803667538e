// SPDX-License-Identifier: Apache-2.0
#include "kernels/host/reduce.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "kernels/host/elementary.h"
#include "kernels/host/elementwise.h"
#include "support/parallel.h"
#include "support/simd.h"

namespace qtool {

namespace {

constexpr int64_t kLanes = 16;
constexpr int64_t kBlock = 512;  ///< results that are accumulated together
constexpr double kInf = std::numeric_limits<double>::infinity();

/// What happens to the sum so far at each element.
enum class Step { add, add_magnitude, add_square, multiply, largest, smallest, add_exponential };

Step step_of(ReduceOp op) {
  switch (op) {
    case ReduceOp::sum:
    case ReduceOp::mean:
    case ReduceOp::log_sum: return Step::add;
    case ReduceOp::max: return Step::largest;
    case ReduceOp::min: return Step::smallest;
    case ReduceOp::product: return Step::multiply;
    case ReduceOp::l1: return Step::add_magnitude;
    case ReduceOp::l2:
    case ReduceOp::sum_square: return Step::add_square;
    case ReduceOp::log_sum_exp: return Step::add_exponential;
  }
  return Step::add;
}

double start_of(Step step) {
  switch (step) {
    case Step::multiply: return 1;
    case Step::largest: return -kInf;
    case Step::smallest: return kInf;
    default: return 0;
  }
}

/// body(f), f(sum so far, element, shift) being what the step does; shifts are for exponentials.
template <class Body>
[[gnu::always_inline]] inline void with_step(Step step, Body body) {
  switch (step) {
    case Step::add: return body([](double s, float v, float) { return s + v; });
    case Step::add_magnitude:
      return body([](double s, float v, float) { return s + std::fabs(v); });
    case Step::add_square:
      return body([](double s, float v, float) {
        const auto wide = static_cast<double>(v);
        return s + wide * wide;
      });
    case Step::multiply: return body([](double s, float v, float) { return s * v; });
    case Step::largest:
      return body([](double s, float v, float) {
        const auto wide = static_cast<double>(v);
        return ((wide > s) | (wide != wide)) ? wide : s;
      });
    case Step::smallest:
      return body([](double s, float v, float) {
        const auto wide = static_cast<double>(v);
        return ((wide < s) | (wide != wide)) ? wide : s;
      });
    case Step::add_exponential:
      return body([](double s, float v, float shift) { return s + elementary::exp(v - shift); });
  }
}

/// sums[i] takes in x[i].
QTOOL_SIMD void accumulate_columns(Step step, const float* x, double* sums, const float* shifts,
                                   int64_t count) {
  with_step(
      step, [=](auto f) __attribute__((always_inline)) {
        QTOOL_INDEPENDENT
        for (int64_t i = 0; i < count; ++i) sums[i] = f(sums[i], x[i], shifts[i]);
      });
}

/// lanes[i % kLanes] takes in x[i].
QTOOL_SIMD void accumulate_row(Step step, const float* x, double* lanes, float shift,
                               int64_t count) {
  with_step(
      step, [=](auto f) __attribute__((always_inline)) {
        const int64_t whole = count - count % kLanes;
        if (whole > 0) {
          double sums[kLanes];  // not lanes themselves, so that they stay in registers
          for (int64_t l = 0; l < kLanes; ++l) sums[l] = lanes[l];
          for (int64_t i = 0; i < whole; i += kLanes) {
            for (int64_t l = 0; l < kLanes; ++l) sums[l] = f(sums[l], x[i + l], shift);
          }
          for (int64_t l = 0; l < kLanes; ++l) lanes[l] = sums[l];
        }
        for (int64_t i = whole; i < count; ++i) lanes[i - whole] = f(lanes[i - whole], x[i], shift);
      });
}

double combined(Step step, double a, double b) {
  switch (step) {
    case Step::multiply: return a * b;
    case Step::largest: return b > a || b != b ? b : a;
    case Step::smallest: return b < a || b != b ? b : a;
    default: return a + b;
  }
}

/// Subtracting it keeps exponentials finite; infinities and NaN speak for themselves.
float shift_for(double largest) {
  return std::isfinite(largest) ? static_cast<float>(largest) : 0.0F;
}

double finished(ReduceOp op, double sum, int64_t count) {
  switch (op) {
    case ReduceOp::mean: return sum / static_cast<double>(count);
    case ReduceOp::l2: return std::sqrt(sum);
    case ReduceOp::log_sum:
    case ReduceOp::log_sum_exp: return std::log(sum);
    default: return sum;
  }
}

/// Dimensions to step through, outermost first.
struct Walk {
  std::vector<int64_t> extents;
  std::vector<int64_t> strides;

  int64_t count() const {
    int64_t product = 1;
    for (const int64_t extent : extents) product *= extent;
    return product;
  }
  int64_t offset(int64_t index) const {
    int64_t result = 0;
    for (size_t d = extents.size(); d-- > 0;) {
      result += index % extents[d] * strides[d];
      index /= extents[d];
    }
    return result;
  }
};

class ReduceKernel final : public Kernel {
 public:
  ReduceKernel(ReduceOp op, const Shape& extents, const std::vector<bool>& reduced,
               std::span<const PostOp> post_ops)
      : op_(op), step_(step_of(op)), post_ops_(post_ops.begin(), post_ops.end()) {
    int64_t stride = 1;
    std::vector<bool> walk_reduced;
    for (size_t d = extents.size(); d-- > 0;) {
      if (extents[d] != 1) {
        if (!walk_reduced.empty() && walk_reduced.back() == reduced[d]) {
          (reduced[d] ? removed_ : kept_).extents.front() *= extents[d];
        } else {
          Walk& walk = reduced[d] ? removed_ : kept_;
          walk.extents.insert(walk.extents.begin(), extents[d]);
          walk.strides.insert(walk.strides.begin(), stride);
          walk_reduced.push_back(reduced[d]);
        }
      }
      stride *= extents[d];
    }
    removed_count_ = removed_.count();
    columns_ = !walk_reduced.empty() && !walk_reduced.front();
    // The innermost dimension is what the vector loops run over.
    Walk& inner = columns_ ? kept_ : removed_;
    if (!inner.extents.empty()) {
      inner_ = inner.extents.back();
      inner.extents.pop_back();
      inner.strides.pop_back();
    }
    kept_count_ = kept_.count();
    rows_ = removed_.count();
  }

  void run(const KernelArgs& args) override {
    const auto* x = static_cast<const float*>(args.inputs[0]);
    auto* y = static_cast<float*>(args.outputs[0]);
    const int64_t blocks = columns_ ? (inner_ + kBlock - 1) / kBlock : 1;
    const int64_t work = std::max<int64_t>(1, removed_count_ * (columns_ ? kBlock : 1));
    parallel_for(kept_count_ * blocks, std::max<int64_t>(1, (int64_t{1} << 15) / work),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i) {
                     const float* from = x + kept_.offset(i / blocks);
                     if (columns_) {
                       const int64_t at = i % blocks * kBlock;
                       reduce_columns(from + at, y + i / blocks * inner_ + at,
                                      std::min(kBlock, inner_ - at));
                     } else {
                       y[i] = reduce_row(from);
                     }
                   }
                   if (!columns_) post(y + begin, end - begin);
                 });
  }
  std::string description() const override { return "host reduction"; }

 private:
  void post(float* y, int64_t count) const {
    for (const PostOp& op : post_ops_) apply(op, y, y, count);
  }

  double row_sum(Step step, const float* x, float shift) const {
    std::array<double, kLanes> lanes;
    lanes.fill(start_of(step));
    for (int64_t r = 0; r < rows_; ++r) {
      accumulate_row(step, x + removed_.offset(r), lanes.data(), shift, inner_);
    }
    double sum = lanes[0];
    for (size_t l = 1; l < static_cast<size_t>(std::min(kLanes, inner_)); ++l) {
      sum = combined(step, sum, lanes[l]);
    }
    return sum;
  }

  float reduce_row(const float* x) const {
    if (step_ != Step::add_exponential) {
      return static_cast<float>(finished(op_, row_sum(step_, x, 0), removed_count_));
    }
    const float shift = shift_for(row_sum(Step::largest, x, 0));
    return static_cast<float>(finished(op_, row_sum(step_, x, shift), removed_count_) + shift);
  }

  void column_sums(Step step, const float* x, double* sums, const float* shifts,
                   int64_t count) const {
    std::fill(sums, sums + count, start_of(step));
    for (int64_t r = 0; r < rows_; ++r)
      accumulate_columns(step, x + removed_.offset(r), sums, shifts, count);
  }

  void reduce_columns(const float* x, float* y, int64_t count) const {
    std::array<double, kBlock> sums;
    std::array<float, kBlock> shifts;
    shifts.fill(0);
    if (step_ == Step::add_exponential) {
      column_sums(Step::largest, x, sums.data(), shifts.data(), count);
      for (size_t i = 0; i < static_cast<size_t>(count); ++i) shifts[i] = shift_for(sums[i]);
    }
    column_sums(step_, x, sums.data(), shifts.data(), count);
    for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
      y[i] = static_cast<float>(finished(op_, sums[i], removed_count_) + shifts[i]);
    }
    post(y, count);
  }

  ReduceOp op_;
  Step step_;
  std::vector<PostOp> post_ops_;
  Walk kept_;     ///< of results, but for the innermost dimension where it is kept
  Walk removed_;  ///< likewise
  int64_t inner_ = 1;
  bool columns_ = false;  ///< the innermost dimension is kept
  int64_t removed_count_ = 1;
  int64_t kept_count_ = 1;
  int64_t rows_ = 1;
};

}  // namespace

MadeKernel make_reduce(ReduceOp op, const Shape& extents, const std::vector<bool>& reduced,
                       std::span<const PostOp> post_ops) {
  if (!all_unary(post_ops)) return MadeKernel::refused("an addition behind it");
  return {std::make_unique<ReduceKernel>(op, extents, reduced, post_ops)};
}

}  // namespace qtool
