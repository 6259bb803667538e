// SPDX-License-Identifier: Apache-2.0
// With codes a, b, zero points p, q and n products in each sum:
//   sum (a - p)(b - q) = sum a b  -  p sum b  -  q sum a  +  n p q.
// What depends on the column only, and the bias, is what a sum starts from; so is what depends on
// the row.
#include "kernels/host/code_product.h"

#include <algorithm>
#include <cmath>

#include "kernels/host/code_finish.h"
#include "kernels/host/code_tile.h"
#include "support/parallel.h"

namespace qtool {

namespace {

using code_tile::kPanel;
using code_tile::kPanels;
using code_tile::kRows;
using code_tile::kWidth;
using onednn::MatmulSpec;
using onednn::PostOpSpec;

constexpr int64_t kWorthAThread = int64_t{1} << 20;  ///< products
constexpr size_t kAlignment = 64;

int64_t up(int64_t count, int64_t unit) { return (count + unit - 1) / unit; }
size_t aligned(int64_t bytes) { return static_cast<size_t>(up(bytes, kAlignment)) * kAlignment; }

int32_t wrapped(int64_t value) { return static_cast<int32_t>(static_cast<uint32_t>(value)); }

/// An operand as it lies in memory.
struct Side {
  bool flip;           ///< codes of the other signedness
  int32_t zero_point;  ///< after flipping
  int64_t outer_stride;
  int64_t inner_stride;
  std::vector<int64_t> offsets;  ///< of its matrices
  std::vector<int64_t> which;    ///< by matrix of the result: which of its matrices
};

struct Extents {
  int64_t matrices;
  int64_t rows;
  int64_t inner;
  int64_t columns;
  int64_t quads() const { return up(inner, 4); }
  int64_t panels() const { return up(columns, kPanel); }
  int64_t blocks() const { return up(rows, kRows); }
};

/// How many matrices a shape of at least two dimensions holds.
int64_t matrix_count(const Shape& shape) { return element_count({shape.begin(), shape.end() - 2}); }

/// The operand's matrices, one after the other, and which of them each of the result's takes.
void place_matrices(Side& side, const Shape& shape, const std::vector<int64_t>& strides,
                    const Shape& result) {
  const size_t leading = result.size() - 2;
  const int64_t own = matrix_count(shape);
  for (int64_t i = 0; i < own; ++i) {
    int64_t rest = i;
    int64_t offset = 0;
    for (size_t d = leading; d-- > 0;) {
      offset += rest % shape[d] * strides[d];
      rest /= shape[d];
    }
    side.offsets.push_back(offset);
  }
  const int64_t all = matrix_count(result);
  for (int64_t i = 0; i < all; ++i) {
    int64_t rest = i;
    int64_t index = 0;
    int64_t step = 1;
    for (size_t d = leading; d-- > 0;) {
      if (shape[d] != 1) index += rest % result[d] * step;
      rest /= result[d];
      step *= shape[d];
    }
    side.which.push_back(index);
  }
}

class CodeProduct final : public Kernel {
 public:
  CodeProduct(Extents extents, Side left, Side right, CodeFinish finish, bool zeros_at_run)
      : e_(extents), left_(std::move(left)), right_(std::move(right)), finish_(std::move(finish)),
        zeros_at_run_(zeros_at_run),
        packs_left_(left_.flip || left_.inner_stride != 1 || e_.inner % 4 != 0),
        start_(static_cast<size_t>(e_.panels() * kPanel), 0) {}

  /// What each column's sum starts from besides the zero points: a bias in its units.
  void start_from(const std::vector<int32_t>& bias) { std::ranges::copy(bias, start_.begin()); }

  /// Weights known now: packed once. They need no zero point from the run.
  void pack_constant(const uint8_t* codes) {
    packed_.resize(right_bytes() + kAlignment);
    sums_.resize(static_cast<size_t>(matrices_right() * e_.panels() * kPanel));
    pack_right(codes, constant_panels(), sums_.data());
    if (zeros_at_run_) return;
    adds_.resize(sums_.size());
    fill_column_adds(sums_.data(), left_.zero_point, right_.zero_point, adds_.data());
  }

  void run(const KernelArgs& args) override {
    Run run{args, left_.zero_point, right_.zero_point, constant_panels(), adds_.data(), {}, {}};
    if (zeros_at_run_) read_zeros(run);
    lay_out(run);
    const int64_t block_products = kRows * e_.columns * e_.inner;
    parallel_for(
        e_.matrices * e_.blocks(), kWorthAThread / std::max<int64_t>(block_products, 1) + 1,
        [&](int64_t begin, int64_t end) {
          while (begin < end) {
            const int64_t matrix = begin / e_.blocks();
            const int64_t last = std::min(end, (matrix + 1) * e_.blocks());
            multiply(run, matrix, begin - matrix * e_.blocks(), last - matrix * e_.blocks());
            begin = last;
          }
        });
  }

  size_t scratch_bytes() const override {
    return (packed_.empty() ? right_bytes() + sums_bytes() : 0) +
           (adds_.empty() ? sums_bytes() : 0) + row_adds_bytes() + (packs_left_ ? left_bytes() : 0);
  }
  std::string description() const override {
    return code_tile::has_vnni() ? "host int8 product (VNNI)" : "host int8 product";
  }

 private:
  struct Run {
    const KernelArgs& args;
    int32_t left_zero;
    int32_t right_zero;
    int8_t* panels;
    const int32_t* column_adds;
    int32_t* row_adds;
    uint8_t* left;
  };

  int64_t matrices_right() const { return static_cast<int64_t>(right_.offsets.size()); }
  int64_t panel_bytes() const { return e_.quads() * kPanel * 4; }
  int64_t row_bytes() const { return e_.quads() * 4; }
  size_t right_bytes() const { return aligned(matrices_right() * e_.panels() * panel_bytes()); }
  size_t sums_bytes() const { return aligned(matrices_right() * e_.panels() * kPanel * 4); }
  size_t row_adds_bytes() const { return aligned(e_.matrices * e_.blocks() * kRows * 4); }
  size_t left_bytes() const { return aligned(e_.matrices * e_.rows * row_bytes()); }

  int8_t* constant_panels() {
    if (packed_.empty()) return nullptr;
    const auto at = reinterpret_cast<uintptr_t>(packed_.data());
    return packed_.data() + (kAlignment - at % kAlignment) % kAlignment;
  }

  /// Divides the scratch memory and makes the right operand ready.
  void lay_out(Run& run) const {
    auto* next = static_cast<std::byte*>(run.args.scratch);
    const auto take = [&next](size_t bytes) {
      std::byte* const start = next;
      next += bytes;
      return start;
    };
    const int32_t* sums = sums_.data();
    if (packed_.empty()) {
      run.panels = reinterpret_cast<int8_t*>(take(right_bytes()));
      auto* own = reinterpret_cast<int32_t*>(take(sums_bytes()));
      pack_right(static_cast<const uint8_t*>(run.args.inputs[1]), run.panels, own);
      sums = own;
    }
    if (adds_.empty()) {
      auto* adds = reinterpret_cast<int32_t*>(take(sums_bytes()));
      fill_column_adds(sums, run.left_zero, run.right_zero, adds);
      run.column_adds = adds;
    }
    run.row_adds = reinterpret_cast<int32_t*>(take(row_adds_bytes()));
    run.left = reinterpret_cast<uint8_t*>(next);
  }

  void read_zeros(Run& run) const {
    const auto read = [&](size_t input, bool flip, bool left) {
      const bool present = input < run.args.inputs.size() && run.args.inputs[input] != nullptr;
      const auto code =
          static_cast<uint8_t>(present ? *static_cast<const uint8_t*>(run.args.inputs[input]) : 0);
      // Absent: 0 in the codes' own type, which flipping moves as it moves the codes.
      const auto moved = static_cast<uint8_t>(code ^ (flip ? 0x80 : 0));
      return left ? int32_t{moved} : int32_t{static_cast<int8_t>(moved)};
    };
    run.left_zero = read(2, left_.flip, true);
    run.right_zero = read(3, right_.flip, false);
  }

  void pack_right(const uint8_t* codes, int8_t* panels, int32_t* sums) const {
    const int64_t count = e_.panels();
    parallel_for(matrices_right() * count,
                 kWorthAThread / 16 / std::max<int64_t>(panel_bytes(), 1) + 1,
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i) {
                     const int64_t offset = right_.offsets[static_cast<size_t>(i / count)];
                     const code_tile::Matrix matrix{codes + offset, right_.outer_stride,
                                                    right_.inner_stride, right_.flip};
                     int8_t* to = panels + i * panel_bytes();
                     code_tile::pack_panel(matrix, e_.inner, i % count * kPanel, e_.columns, to);
                     code_tile::panel_sums(to, e_.quads(), sums + i * kPanel);
                   }
                 });
  }

  void fill_column_adds(const int32_t* sums, int32_t left_zero, int32_t right_zero,
                        int32_t* adds) const {
    const auto both = static_cast<uint32_t>(wrapped(e_.inner * left_zero * right_zero));
    const int64_t columns = e_.panels() * kPanel;
    for (int64_t m = 0; m < matrices_right(); ++m, sums += columns, adds += columns) {
      for (int64_t c = 0; c < columns; ++c) {
        const auto sum = static_cast<uint32_t>(sums[c]) * static_cast<uint32_t>(left_zero);
        const auto start = static_cast<uint32_t>(start_[static_cast<size_t>(c)]);
        adds[c] = static_cast<int32_t>(start + both - sum);
      }
    }
  }

  /// Blocks of rows of one matrix: the rows are made ready, then for each few panels, which stay in
  /// cache, all blocks are multiplied.
  void multiply(const Run& run, int64_t matrix, int64_t first, int64_t last) const {
    const auto m = static_cast<size_t>(matrix);
    const int64_t row_begin = first * kRows;
    const int64_t row_end = std::min(e_.rows, last * kRows);
    const auto* codes = static_cast<const uint8_t*>(run.args.inputs[0]);
    const code_tile::Matrix left{codes + left_.offsets[static_cast<size_t>(left_.which[m])],
                                 left_.outer_stride, left_.inner_stride, left_.flip};
    uint8_t* const packed = run.left + matrix * e_.rows * row_bytes();
    code_tile::Tile tile{};
    tile.left_stride = packs_left_ ? row_bytes() : left.outer_stride;
    tile.quads = e_.quads();
    const uint8_t* const rows = packs_left_ ? packed : left.codes;
    int32_t* const row_adds = run.row_adds + matrix * e_.blocks() * kRows;
    for (int64_t row = row_begin; row < row_end; ++row) {
      if (packs_left_) code_tile::pack_row(left, e_.inner, row, packed + row * row_bytes());
      const int64_t sum =
          run.right_zero == 0 ? 0 : code_tile::row_sum(rows + row * tile.left_stride, tile.quads);
      row_adds[row] = wrapped(-sum * run.right_zero);
    }
    const int64_t which = right_.which[m];
    alignas(64) int32_t sums[kRows * kWidth];
    for (int64_t panel = 0; panel < e_.panels(); panel += kPanels) {
      const int64_t at = which * e_.panels() + panel;
      tile.right = run.panels + at * panel_bytes();
      tile.column_add = run.column_adds + at * kPanel;
      tile.panels = std::min(kPanels, e_.panels() - panel);
      const int64_t width = std::min(kWidth, e_.columns - panel * kPanel);
      for (int64_t row = row_begin; row < row_end; row += kRows) {
        tile.rows = std::min(kRows, row_end - row);
        tile.left = rows + row * tile.left_stride;
        tile.row_add = row_adds + row;
        code_tile::multiply(tile, sums);
        finish_.run(run.args, sums,
                    {(matrix * e_.rows + row) * e_.columns + panel * kPanel, e_.columns,
                     panel * kPanel, tile.rows, width});
      }
    }
  }

  Extents e_;
  Side left_;
  Side right_;
  CodeFinish finish_;
  bool zeros_at_run_;
  bool packs_left_;
  std::vector<int32_t> start_;  ///< by column
  std::vector<int8_t> packed_;  ///< constant weights
  std::vector<int32_t> sums_;   ///< of their columns
  std::vector<int32_t> adds_;   ///< what their columns' sums start from
};

bool eight_bits(const onednn::Operand& operand) {
  return operand.dtype == DType::uint8 || operand.dtype == DType::int8;
}

std::string problem(const MatmulSpec& spec) {
  const size_t rank = spec.destination.shape.size();
  if (spec.source.shape.size() != rank || spec.weights.shape.size() != rank || rank < 2)
    return "operands of unlike rank";
  if (!eight_bits(spec.source) || !eight_bits(spec.weights)) return "operands that are no codes";
  for (const Shape* shape : {&spec.source.shape, &spec.weights.shape, &spec.destination.shape}) {
    if (element_count(*shape) == 0) return "an empty tensor";
  }
  if (spec.source.params != nullptr && !spec.source.params->per_tensor())
    return "integer kernels need a per-tensor source";
  if (spec.weights.params != nullptr) {
    const auto& zeros = spec.weights.params->zero_point;
    if (std::ranges::any_of(zeros, [&](int32_t zero) { return zero != zeros[0]; }))
      return "weights with several zero points";
  }
  return spec.bias_at_run ? "a bias that is computed at run time" : "";
}

std::vector<int64_t> strides_of(const Shape& shape, const std::vector<int64_t>& given,
                                bool transposed) {
  if (!given.empty()) return given;
  std::vector<int64_t> strides = row_major_strides(shape);
  if (transposed) {
    const size_t rank = shape.size();
    strides[rank - 2] = 1;
    strides[rank - 1] = shape[rank - 2];
  }
  return strides;
}

MadeKernel make(const MatmulSpec& spec, const ProductStrides& strides, size_t addend,
                bool zeros_at_run) {
  if (auto why = problem(spec); !why.empty()) return MadeKernel::refused(std::move(why));
  CodeFinish::Made finish = CodeFinish::make(spec, addend);
  if (!finish.refusal.empty()) return MadeKernel::refused(std::move(finish.refusal));
  const size_t rank = spec.destination.shape.size();
  const Extents extents{matrix_count(spec.destination.shape), spec.destination.shape[rank - 2],
                        spec.source.shape[rank - 1], spec.destination.shape[rank - 1]};
  const auto zero = [](const onednn::Operand& operand) {
    return operand.params != nullptr ? operand.params->zero_point[0] : 0;
  };
  const auto x = strides_of(spec.source.shape, strides.source, spec.transposed_source);
  const auto w = strides_of(spec.weights.shape, strides.weights, spec.transposed_weights);
  const bool source_flips = spec.source.dtype == DType::int8;
  const bool weights_flip = spec.weights.dtype == DType::uint8;
  Side left{
      source_flips, zero(spec.source) + (source_flips ? 128 : 0), x[rank - 2], x[rank - 1], {}, {}};
  Side right{weights_flip, zero(spec.weights) - (weights_flip ? 128 : 0),
             w[rank - 1],  w[rank - 2],
             {},           {}};
  place_matrices(left, spec.source.shape, x, spec.destination.shape);
  place_matrices(right, spec.weights.shape, w, spec.destination.shape);
  auto kernel = std::make_unique<CodeProduct>(extents, std::move(left), std::move(right),
                                              std::move(finish.finish), zeros_at_run);
  kernel->start_from(finish.whole_bias);
  if (spec.constant_weights != nullptr) {
    kernel->pack_constant(reinterpret_cast<const uint8_t*>(spec.constant_weights->raw()));
  }
  return {std::move(kernel)};
}

}  // namespace

MadeKernel make_code_product(const MatmulSpec& spec, const ProductStrides& strides, size_t addend) {
  if (spec.source.params == nullptr || spec.weights.params == nullptr)
    return MadeKernel::refused("operands that are no codes");
  return make(spec, strides, addend, false);
}

MadeKernel make_code_sums(const MatmulSpec& spec) { return make(spec, {}, 2, true); }

bool prefers_code_product(const MatmulSpec& spec) {
  (void)spec;
  return code_tile::has_vnni();
}

}  // namespace qtool
