// SPDX-License-Identifier: Apache-2.0
#include "kernels/host/resize.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "support/parallel.h"
#include "support/simd.h"

namespace qtool {

namespace {

constexpr int64_t kParallelElements = int64_t{1} << 15;

int64_t grain(int64_t elements_each) {
  return std::max<int64_t>(1, kParallelElements / std::max<int64_t>(1, elements_each));
}

Shape output_shape(const std::vector<ResizeAxis>& axes) {
  Shape shape;
  for (const ResizeAxis& axis : axes) shape.push_back(axis.output);
  return shape;
}

// ---- nearest ----------------------------------------------------------------------------------

/// y as [rows, columns, block]: a row begins at a place of x, a column at an offset from it.
struct NearestPlan {
  std::vector<int64_t> row_offsets;
  std::vector<int64_t> column_offsets;
  int64_t block_bytes = 1;
};

/// In bytes; axes in storage order. What lies behind the last resized axis is one block.
NearestPlan nearest_plan(const std::vector<const ResizeAxis*>& axes, size_t element_bytes) {
  NearestPlan plan;
  plan.block_bytes = static_cast<int64_t>(element_bytes);
  size_t last = axes.size();
  while (last > 0 && axes[last - 1]->kept()) plan.block_bytes *= axes[--last]->input;
  int64_t stride = plan.block_bytes;
  plan.row_offsets = {0};
  plan.column_offsets = {0};
  for (size_t d = last; d-- > 0;) {
    const ResizeAxis& axis = *axes[d];
    std::vector<int64_t>& offsets = d + 1 == last ? plan.column_offsets : plan.row_offsets;
    std::vector<int64_t> combined;
    combined.reserve(static_cast<size_t>(axis.output) * offsets.size());
    for (int64_t k = 0; k < axis.output; ++k) {
      const int64_t from = axis.kept() ? k : axis.index[static_cast<size_t>(k)];
      for (const int64_t offset : offsets) combined.push_back(from * stride + offset);
    }
    offsets = std::move(combined);
    stride *= axis.input;
  }
  return plan;
}

class NearestKernel final : public Kernel {
 public:
  explicit NearestKernel(NearestPlan plan) : plan_(std::move(plan)) {}

  void run(const KernelArgs& args) override {
    const auto* from = static_cast<const std::byte*>(args.inputs[0]);
    auto* to = static_cast<std::byte*>(args.outputs[0]);
    const auto columns = static_cast<int64_t>(plan_.column_offsets.size());
    const int64_t row_bytes = columns * plan_.block_bytes;
    parallel_for(static_cast<int64_t>(plan_.row_offsets.size()), grain(row_bytes),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t r = begin; r < end; ++r) {
                     const int64_t offset = plan_.row_offsets[static_cast<size_t>(r)];
                     std::byte* row = to + r * row_bytes;
                     if (r > begin && offset == plan_.row_offsets[static_cast<size_t>(r) - 1]) {
                       std::memcpy(row, row - row_bytes, static_cast<size_t>(row_bytes));
                     } else {
                       copy_row(from + offset, row);
                     }
                   }
                 });
  }
  std::string description() const override { return "host resize nearest"; }

 private:
  void copy_row(const std::byte* from, std::byte* to) const {
    switch (plan_.block_bytes) {
      case 1: return copy_blocks<1>(from, to);
      case 2: return copy_blocks<2>(from, to);
      case 4: return copy_blocks<4>(from, to);
      case 8: return copy_blocks<8>(from, to);
      default: break;
    }
    const auto bytes = static_cast<size_t>(plan_.block_bytes);
    for (const int64_t offset : plan_.column_offsets) {
      std::memcpy(to, from + offset, bytes);
      to += bytes;
    }
  }

  template <size_t bytes>
  void copy_blocks(const std::byte* from, std::byte* to) const {
    for (const int64_t offset : plan_.column_offsets) {
      std::memcpy(to, from + offset, bytes);
      to += bytes;
    }
  }

  NearestPlan plan_;
};

// ---- weighted ---------------------------------------------------------------------------------

/// One pass: x [outer, input, inner] to y [outer, output, inner].
struct Pass {
  int64_t outer = 1;
  int64_t input = 1;
  int64_t output = 1;
  int64_t inner = 1;
  int64_t taps = 1;
  std::vector<int64_t> index;
  std::vector<float> weight;
};

/// Whole rows, weighted: y = sum of w_t times row index_t.
QTOOL_SIMD void blend_rows(const float* x, const int64_t* index, const float* weight, int64_t taps,
                           int64_t inner, float* y) {
  const float* first = x + index[0] * inner;
  if (taps == 2) {
    const float* second = x + index[1] * inner;
    const float a = weight[0];
    const float b = weight[1];
    for (int64_t i = 0; i < inner; ++i) y[i] = a * first[i] + b * second[i];
    return;
  }
  for (int64_t i = 0; i < inner; ++i) y[i] = weight[0] * first[i];
  for (int64_t t = 1; t < taps; ++t) {
    const float* row = x + index[t] * inner;
    const float w = weight[t];
    for (int64_t i = 0; i < inner; ++i) y[i] += w * row[i];
  }
}

/// The axis is innermost: each element is a sum of its own.
QTOOL_SIMD void blend_elements(const float* x, const Pass& pass, float* y) {
  const int64_t* index = pass.index.data();
  const float* weight = pass.weight.data();
  if (pass.taps == 2) {
    for (int64_t k = 0; k < pass.output; ++k) {
      y[k] = weight[2 * k] * x[index[2 * k]] + weight[2 * k + 1] * x[index[2 * k + 1]];
    }
    return;
  }
  for (int64_t k = 0; k < pass.output; ++k) {
    float sum = 0;
    for (int64_t t = 0; t < pass.taps; ++t) {
      sum += weight[k * pass.taps + t] * x[index[k * pass.taps + t]];
    }
    y[k] = sum;
  }
}

void run_pass(const Pass& pass, const float* x, float* y) {
  const int64_t lines = pass.inner == 1 ? pass.outer : pass.outer * pass.output;
  parallel_for(lines, grain(pass.inner == 1 ? pass.output : pass.inner),
               [&](int64_t begin, int64_t end) {
                 for (int64_t line = begin; line < end; ++line) {
                   if (pass.inner == 1) {
                     blend_elements(x + line * pass.input, pass, y + line * pass.output);
                     continue;
                   }
                   const int64_t k = line % pass.output;
                   blend_rows(x + line / pass.output * pass.input * pass.inner,
                              pass.index.data() + k * pass.taps, pass.weight.data() + k * pass.taps,
                              pass.taps, pass.inner, y + line * pass.inner);
                 }
               });
}

class WeightedKernel final : public Kernel {
 public:
  explicit WeightedKernel(std::vector<Pass> passes) : passes_(std::move(passes)) {
    for (size_t i = 0; i + 1 < passes_.size(); ++i) {
      const Pass& pass = passes_[i];
      half_ = std::max(half_, (pass.outer * pass.output * pass.inner + 15) / 16 * 16);
    }
  }

  void run(const KernelArgs& args) override {
    const auto* from = static_cast<const float*>(args.inputs[0]);
    auto* scratch = static_cast<float*>(args.scratch);
    for (size_t i = 0; i < passes_.size(); ++i) {
      const bool last = i + 1 == passes_.size();
      float* to = last ? static_cast<float*>(args.outputs[0])
                       : scratch + static_cast<int64_t>(i % 2) * half_;
      run_pass(passes_[i], from, to);
      from = to;
    }
  }
  std::string description() const override { return "host resize"; }
  size_t scratch_bytes() const override {
    return static_cast<size_t>(half_) * sizeof(float) * std::min<size_t>(2, passes_.size() - 1);
  }

 private:
  std::vector<Pass> passes_;
  int64_t half_ = 0;  ///< elements of one intermediate result
};

std::vector<Pass> passes_over(const std::vector<const ResizeAxis*>& axes) {
  // What shrinks goes first, then what grows, so that intermediate results stay small.
  std::vector<size_t> order;
  for (size_t d = 0; d < axes.size(); ++d) {
    if (!axes[d]->kept()) order.push_back(d);
  }
  std::ranges::stable_sort(order, {}, [&](size_t d) {
    return static_cast<double>(axes[d]->output) / static_cast<double>(axes[d]->input);
  });
  std::vector<int64_t> extents;
  for (const ResizeAxis* axis : axes) extents.push_back(axis->input);
  std::vector<Pass> passes;
  for (const size_t d : order) {
    Pass pass;
    for (size_t i = 0; i < d; ++i) pass.outer *= extents[i];
    for (size_t i = d + 1; i < axes.size(); ++i) pass.inner *= extents[i];
    pass.input = axes[d]->input;
    pass.output = extents[d] = axes[d]->output;
    pass.taps = axes[d]->taps;
    pass.index = axes[d]->index;
    pass.weight.assign(axes[d]->weight.begin(), axes[d]->weight.end());
    passes.push_back(std::move(pass));
  }
  return passes;
}

std::vector<const ResizeAxis*> in_storage_order(const std::vector<ResizeAxis>& axes,
                                                Layout layout) {
  std::vector<const ResizeAxis*> ordered;
  for (const int dim : storage_order(output_shape(axes), layout)) {
    ordered.push_back(&axes[static_cast<size_t>(dim)]);
  }
  return ordered;
}

std::string problem(const std::vector<ResizeAxis>& axes) {
  bool any = false;
  for (const ResizeAxis& axis : axes) {
    any = any || !axis.kept();
    if (!axis.outside.empty()) return "places outside of the input";
    if (axis.output == 0 || axis.input == 0) return "nothing to resize";
  }
  return any ? "" : "no axis changes";
}

}  // namespace

MadeKernel make_nearest_resize(const std::vector<ResizeAxis>& axes, size_t element_bytes,
                               Layout layout) {
  if (auto why = problem(axes); !why.empty()) return MadeKernel::refused(std::move(why));
  return KernelPtr(
      std::make_unique<NearestKernel>(nearest_plan(in_storage_order(axes, layout), element_bytes)));
}

MadeKernel make_weighted_resize(const std::vector<ResizeAxis>& axes, Layout layout) {
  if (auto why = problem(axes); !why.empty()) return MadeKernel::refused(std::move(why));
  return KernelPtr(std::make_unique<WeightedKernel>(passes_over(in_storage_order(axes, layout))));
}

}  // namespace qtool
