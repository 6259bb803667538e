// SPDX-License-Identifier: Apache-2.0
#include "kernels/host/code_finish.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/host/code_tile.h"
#include "kernels/host/elementwise.h"
#include "support/simd.h"

namespace qtool {

namespace {

using code_tile::kPanel;
using code_tile::kRows;
using code_tile::kWidth;

/// Calls f(row, first, count) for pieces of each row, with counts that the compiler knows but for
/// the last one.
template <class F>
[[gnu::always_inline]] inline void each_row(const CodeFinish::Place& place, F f) {
  for (int64_t r = 0; r < place.rows; ++r) {
    if (place.width == kWidth) {
      f(r, 0, kWidth);
      continue;
    }
    const int64_t whole = place.width - place.width % kPanel;
    for (int64_t c = 0; c < whole; c += kPanel) f(r, c, kPanel);
    f(r, whole, place.width - whole);
  }
}

struct Grid {
  float low;
  float high;
  int32_t zero_point;
};

template <class T>
[[gnu::always_inline]] inline T to_code(float value, const Grid& grid) {
  const float low = value < grid.low ? grid.low : value;
  const float bounded = low > grid.high ? grid.high : low;
  constexpr float kUnitSpacing = 0x1.8p23F;  // as quantize_value rounds
  return static_cast<T>(static_cast<int32_t>((bounded + kUnitSpacing) - kUnitSpacing) +
                        grid.zero_point);
}

template <class T>
[[gnu::always_inline]] inline void store_codes(const int32_t* sums, const float* scale,
                                               const float* bias, T* to, const Grid& grid,
                                               const CodeFinish::Place& place) {
  each_row(place, [&](int64_t r, int64_t first, int64_t count) {
    const int32_t* from = sums + r * kWidth + first;
    const float* factor = scale + first;
    T* row = to + r * place.stride + first;
    if (bias == nullptr) {
      QTOOL_INDEPENDENT
      for (int64_t c = 0; c < count; ++c) {
        row[c] = to_code<T>(static_cast<float>(from[c]) * factor[c], grid);
      }
    } else {
      const float* more = bias + first;
      QTOOL_INDEPENDENT
      for (int64_t c = 0; c < count; ++c) {
        row[c] = to_code<T>((static_cast<float>(from[c]) + more[c]) * factor[c], grid);
      }
    }
  });
}

QTOOL_SIMD void store_u8(const int32_t* sums, const float* scale, const float* bias, uint8_t* to,
                         Grid grid, const CodeFinish::Place& place) {
  store_codes(sums, scale, bias, to, grid, place);
}
QTOOL_SIMD void store_s8(const int32_t* sums, const float* scale, const float* bias, int8_t* to,
                         Grid grid, const CodeFinish::Place& place) {
  store_codes(sums, scale, bias, to, grid, place);
}

QTOOL_SIMD void store_real(const int32_t* sums, const float* scale, const float* bias, float* to,
                           int64_t to_stride, const CodeFinish::Place& place) {
  each_row(place, [&](int64_t r, int64_t first, int64_t count) {
    const int32_t* from = sums + r * kWidth + first;
    const float* factor = scale + first;
    float* row = to + r * to_stride + first;
    if (bias == nullptr) {
      QTOOL_INDEPENDENT
      for (int64_t c = 0; c < count; ++c) row[c] = static_cast<float>(from[c]) * factor[c];
    } else {
      const float* more = bias + first;
      QTOOL_INDEPENDENT
      for (int64_t c = 0; c < count; ++c) {
        row[c] = (static_cast<float>(from[c]) + more[c]) * factor[c];
      }
    }
  });
}

QTOOL_SIMD void add_rows(float* to, int64_t to_stride, const float* from,
                         const CodeFinish::Place& place) {
  each_row(place, [&](int64_t r, int64_t first, int64_t count) {
    const float* row = from + r * place.stride + first;
    float* sum = to + r * to_stride + first;
    QTOOL_INDEPENDENT
    for (int64_t c = 0; c < count; ++c) sum[c] += row[c];
  });
}

template <class T>
[[gnu::always_inline]] inline void quantize_rows(const float* from, T* to, float unit,
                                                 int32_t zero_point,
                                                 const CodeFinish::Place& place) {
  constexpr int32_t kLowest = std::numeric_limits<T>::lowest();
  constexpr int32_t kHighest = std::numeric_limits<T>::max();
  each_row(place, [&](int64_t r, int64_t first, int64_t count) {
    const float* row = from + r * kWidth + first;
    T* codes = to + r * place.stride + first;
    QTOOL_INDEPENDENT
    for (int64_t c = 0; c < count; ++c) {
      codes[c] = static_cast<T>(quantize_value(row[c], unit, zero_point, kLowest, kHighest));
    }
  });
}
QTOOL_SIMD void quantize_rows_u8(const float* from, uint8_t* to, float unit, int32_t zero_point,
                                 const CodeFinish::Place& place) {
  quantize_rows(from, to, unit, zero_point, place);
}
QTOOL_SIMD void quantize_rows_s8(const float* from, int8_t* to, float unit, int32_t zero_point,
                                 const CodeFinish::Place& place) {
  quantize_rows(from, to, unit, zero_point, place);
}

/// GELU to 1e-4, which codes with steps of a hundred times that do not tell from the exact one:
/// x (1 + x p(x²)) / 2 with p of degree 9 through the Chebyshev nodes of |x| <= 4.5.
[[gnu::always_inline]] inline void rough_gelu(const float (&p)[10], float* x, int64_t count) {
  constexpr float kLimit = 4.5F;
  for (int64_t i = 0; i < count; ++i) {
    const float below = x[i] < -kLimit ? -kLimit : x[i];
    const float near = below > kLimit ? kLimit : below;
    const float t = near * near * (1 / (kLimit * kLimit));
    float sum = p[9];
    for (int k = 8; k >= 0; --k) sum = sum * t + p[k];
    x[i] = 0.5F * x[i] * (1 + near * sum);
  }
}
QTOOL_SIMD void rough_gelu_erf(float* x, int64_t count) {
  constexpr float kP[] = {0.797878911F, -2.69172416F, 8.1410102F,   -19.1985086F, 35.1447435F,
                          -48.7192025F, 48.7129659F,  -32.6507893F, 12.9842071F,  -2.2983629F};
  rough_gelu(kP, x, count);
}
QTOOL_SIMD void rough_gelu_tanh(float* x, int64_t count) {
  constexpr float kP[] = {0.797879828F, -2.70525638F, 8.3382432F,   -20.3566893F, 38.9060072F,
                          -56.2193626F, 58.1524457F,  -39.9749833F, 16.1853509F,  -2.90141681F};
  rough_gelu(kP, x, count);
}

bool is_clamp(const PostOp& op) {
  return op.kind == PostOp::Kind::relu || op.kind == PostOp::Kind::clip;
}

/// The bias in units of the sums: whole, where each column's is within a float32's rounding of a
/// whole number (what was an int32 code comes dequantized), or as it is.
struct Units {
  std::vector<int32_t> whole;
  std::vector<float> any;
};

Units bias_units(const onednn::MatmulSpec& spec) {
  Units units;
  if (spec.bias == nullptr) return units;
  const std::vector<double> values = to_doubles(*spec.bias);
  const auto at = [](const QuantParams& params, size_t c) {
    return static_cast<double>(params.scale[params.per_tensor() ? 0 : c]);
  };
  bool all_whole = true;
  for (size_t c = 0; c < values.size(); ++c) {
    double real = values[c];
    if (spec.bias_params != nullptr) {
      const size_t s = spec.bias_params->per_tensor() ? 0 : c;
      real = (real - spec.bias_params->zero_point[s]) * at(*spec.bias_params, c);
    }
    const double unit = real / (at(*spec.source.params, 0) * at(*spec.weights.params, c));
    const double whole = std::nearbyint(unit);
    const bool near =
        std::abs(unit - whole) <= 0x1p-22 * std::abs(whole) && std::abs(whole) < 0x1p30;
    all_whole = all_whole && near;
    units.any.push_back(static_cast<float>(near ? whole : unit));
    units.whole.push_back(near ? static_cast<int32_t>(whole) : 0);
  }
  (all_whole ? units.any.clear() : units.whole.clear());
  return units;
}

std::string post_op_problem(const onednn::MatmulSpec& spec) {
  int additions = 0;
  for (const onednn::PostOpSpec& post : spec.post_ops) {
    if (post.op.kind != PostOp::Kind::add) continue;
    if (post.operand->params != nullptr || post.operand->dtype != DType::float32)
      return "a residual of codes is added by a kernel of its own";
    if (element_count(post.operand->shape) != element_count(spec.destination.shape))
      return "a residual of another shape";
    if (++additions > 1) return "two additions";
  }
  return {};
}

}  // namespace

CodeFinish::Made CodeFinish::make(const onednn::MatmulSpec& spec, size_t addend) {
  Made made;
  CodeFinish& finish = made.finish;
  finish.addend_ = addend;
  if (spec.destination.dtype == DType::int32) {
    if (!spec.post_ops.empty() || spec.bias != nullptr) made.refusal = "post-ops behind the sums";
    return made;
  }
  made.refusal = post_op_problem(spec);
  if (!made.refusal.empty()) return made;
  Units bias = bias_units(spec);
  finish.bias_ = std::move(bias.any);
  made.whole_bias = std::move(bias.whole);
  for (const onednn::PostOpSpec& post : spec.post_ops) finish.posts_.push_back(post.op);
  const QuantParams* codes = spec.destination.params;
  const bool clamps_only = codes != nullptr && std::ranges::all_of(finish.posts_, is_clamp);
  finish.result_ = codes == nullptr ? Result::real
                   : clamps_only    ? Result::codes
                                    : Result::real_codes;
  const float unit = clamps_only ? codes->scale[0] : 1.0F;
  const auto columns = static_cast<size_t>(spec.destination.shape.back());
  for (size_t c = 0; c < columns; ++c) {
    const QuantParams& weights = *spec.weights.params;
    // In floats and in this order, as ONNX Runtime has it.
    finish.scale_.push_back(spec.source.params->scale[0] *
                            weights.scale[weights.per_tensor() ? 0 : c] / unit);
  }
  if (codes == nullptr) return made;
  finish.is_signed_ = codes->type.is_signed;
  finish.unit_ = codes->scale[0];
  finish.zero_point_ = codes->zero_point[0];
  finish.low_ = static_cast<float>(codes->type.lowest() - finish.zero_point_);
  finish.high_ = static_cast<float>(codes->type.highest() - finish.zero_point_);
  if (!clamps_only) return made;
  for (const PostOp& op : finish.posts_) {
    const float low = op.kind == PostOp::Kind::relu ? 0.0F : op.alpha / unit;
    const float high =
        op.kind == PostOp::Kind::relu ? std::numeric_limits<float>::infinity() : op.beta / unit;
    finish.low_ = std::clamp(finish.low_, low, high);
    finish.high_ = std::clamp(finish.high_, low, high);
  }
  return made;
}

void CodeFinish::run(const KernelArgs& args, const int32_t* sums, const Place& place) const {
  const float* scale = scale_.data() + place.column;
  const float* bias = bias_.empty() ? nullptr : bias_.data() + place.column;
  switch (result_) {
    case Result::sums:
      for (int64_t r = 0; r < place.rows; ++r) {
        std::copy_n(sums + r * kWidth, place.width,
                    static_cast<int32_t*>(args.outputs[0]) + place.offset + r * place.stride);
      }
      return;
    case Result::codes:
      if (is_signed_) {
        store_s8(sums, scale, bias, static_cast<int8_t*>(args.outputs[0]) + place.offset,
                 {low_, high_, zero_point_}, place);
      } else {
        store_u8(sums, scale, bias, static_cast<uint8_t*>(args.outputs[0]) + place.offset,
                 {low_, high_, zero_point_}, place);
      }
      return;
    case Result::real:
      if (posts_.empty()) {
        store_real(sums, scale, bias, static_cast<float*>(args.outputs[0]) + place.offset,
                   place.stride, place);
        return;
      }
      [[fallthrough]];
    case Result::real_codes: run_real(args, sums, place);
  }
}

void CodeFinish::apply_one(const PostOp& op, float* x, int64_t count) const {
  const bool rough = result_ == Result::real_codes && unit_ >= 0.01F;
  if (rough && op.kind == PostOp::Kind::gelu) return rough_gelu_erf(x, count);
  if (rough && op.kind == PostOp::Kind::gelu_tanh) return rough_gelu_tanh(x, count);
  apply(op, x, x, count);
}

void CodeFinish::run_real(const KernelArgs& args, const int32_t* sums, const Place& place) const {
  alignas(64) float real[kRows * kWidth];
  store_real(sums, scale_.data() + place.column,
             bias_.empty() ? nullptr : bias_.data() + place.column, real, kWidth, place);
  for (const PostOp& op : posts_) {
    if (op.kind == PostOp::Kind::add) {
      add_rows(real, kWidth, static_cast<const float*>(args.inputs[addend_]) + place.offset, place);
    } else if (place.width == kWidth) {
      apply_one(op, real, place.rows * kWidth);
    } else {
      for (int64_t r = 0; r < place.rows; ++r) apply_one(op, real + r * kWidth, place.width);
    }
  }
  if (result_ == Result::real) {
    for (int64_t r = 0; r < place.rows; ++r) {
      std::copy_n(real + r * kWidth, place.width,
                  static_cast<float*>(args.outputs[0]) + place.offset + r * place.stride);
    }
  } else if (is_signed_) {
    quantize_rows_s8(real, static_cast<int8_t*>(args.outputs[0]) + place.offset, unit_, zero_point_,
                     place);
  } else {
    quantize_rows_u8(real, static_cast<uint8_t*>(args.outputs[0]) + place.offset, unit_,
                     zero_point_, place);
  }
}

}  // namespace qtool
