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
using lanes::Ints;
using lanes::Reals;
static_assert(kPanel == lanes::kCount);

/// What a pass over a tile reads: the sums and by column what makes numbers of them. All three are
/// there for whole panels, whatever the tile's width.
struct Source {
  const int32_t* sums;
  const float* scale;
  const float* bias;
};

/// Calls f(numbers, offset) for each panel of each row, with the real numbers, or those in units of
/// the result, and where in the tile (offset = row * stride + column) they belong; f_part for the
/// last columns where they fill no panel, with their count.
template <class F, class P>
[[gnu::always_inline]] inline void each_panel(Source source, CodeFinish::Place place, F f,
                                              P f_part) {
  const auto real = [&](Reals& x, int64_t at) {
    Ints sums;
    Reals scale;
    Reals bias;
    lanes::load(sums, source.sums + at);
    lanes::load(scale, source.scale + at % kWidth);
    lanes::load(bias, source.bias + at % kWidth);
    x = (__builtin_convertvector(sums, Reals) + bias) * scale;
  };
  const int64_t whole = place.width - place.width % kPanel;
  Reals x;
  for (int64_t r = 0; r < place.rows; ++r) {
    for (int64_t c = 0; c < whole; c += kPanel) {
      real(x, r * kWidth + c);
      f(x, r * place.stride + c);
    }
    if (whole == place.width) continue;
    real(x, r * kWidth + whole);
    f_part(x, r * place.stride + whole, static_cast<size_t>(place.width - whole));
  }
}

QTOOL_SIMD void store_real(const Source& source, const CodeFinish::Place& place, float* to) {
  each_panel(
      source, place, [&](const Reals& x, int64_t at) { lanes::store(to + at, x); },
      [&](const Reals& x, int64_t at, size_t count) {
        std::memcpy(to + at, &x, count * sizeof(float));
      });
}

QTOOL_SIMD void store_sum(const Source& source, const CodeFinish::Place& place, const float* addend,
                          float* to) {
  each_panel(
      source, place,
      [&](const Reals& x, int64_t at) {
        Reals more;
        lanes::load(more, addend + at);
        lanes::store(to + at, x + more);
      },
      [&](const Reals& x, int64_t at, size_t count) {
        Reals more = {};
        std::memcpy(&more, addend + at, count * sizeof(float));
        more += x;
        std::memcpy(to + at, &more, count * sizeof(float));
      });
}

/// Of numbers in units of the codes.
template <class Curve>
[[gnu::always_inline]] inline void store_codes(const Source& source, const CodeFinish::Place& place,
                                               const lanes::CodeGrid& grid, uint8_t* to,
                                               Curve curve) {
  lanes::Coder coder;
  lanes::hold(coder, grid);
  const auto coded = [&](lanes::Bytes& codes, Reals& x) {
    curve(x);
    lanes::encode(coder, x, codes);
  };
  lanes::Bytes codes;
  each_panel(
      source, place,
      [&](Reals& x, int64_t at) {
        coded(codes, x);
        lanes::store(to + at, codes);
      },
      [&](Reals& x, int64_t at, size_t count) {
        coded(codes, x);
        std::memcpy(to + at, &codes, count);
      });
}

QTOOL_SIMD void store_plain_codes(const Source& source, const CodeFinish::Place& place,
                                  const lanes::CodeGrid& grid, uint8_t* to) {
  store_codes(source, place, grid, to, [](Reals&) {});
}
QTOOL_SIMD void store_curved_codes(const Source& source, const CodeFinish::Place& place,
                                   const lanes::CodeGrid& grid, const CodeCurve& curve,
                                   uint8_t* to) {
  CodeCurve::Held held;
  curve.hold(held);
  store_codes(source, place, grid, to, [&](Reals& x) { CodeCurve::apply(held, x); });
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

/// What right behind the sums only changes their scale: exact to a float's rounding.
bool scales_only(const PostOp& op) { return op.kind == PostOp::Kind::linear && op.beta == 0; }

/// Bounds of the clamps in front of a grid, in its units.
void clamp_grid(const PostOp& op, float unit, lanes::CodeGrid& grid) {
  const bool relu = op.kind == PostOp::Kind::relu;
  const float least = relu ? 0.0F : op.alpha / unit;
  const float most = relu ? std::numeric_limits<float>::infinity() : op.beta / unit;
  grid.low = std::clamp(grid.low, least, most);
  grid.high = std::clamp(grid.high, least, most);
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
  for (const onednn::PostOpSpec& post : spec.post_ops) finish.posts_.push_back(post.op);
  float factor = 1;
  if (!finish.posts_.empty() && scales_only(finish.posts_[0])) {
    factor = finish.posts_[0].alpha;
    finish.posts_.erase(finish.posts_.begin());
  }
  const QuantParams* codes = spec.destination.params;
  if (codes != nullptr) {
    finish.set_codes(*codes);
  } else {
    const bool sum = finish.posts_.size() == 1 && finish.posts_[0].kind == PostOp::Kind::add;
    finish.result_ = finish.posts_.empty() || sum ? Result::real : Result::stepped_real;
  }
  const float unit = finish.result_ == Result::codes ? codes->scale[0] : 1.0F;
  const int64_t columns = spec.destination.shape.back();
  const auto padded = static_cast<size_t>((columns + kPanel - 1) / kPanel * kPanel);
  for (size_t c = 0; c < static_cast<size_t>(columns); ++c) {
    const QuantParams& weights = *spec.weights.params;
    // In floats and in this order, as ONNX Runtime has it.
    finish.scale_.push_back(spec.source.params->scale[0] *
                            weights.scale[weights.per_tensor() ? 0 : c] * factor / unit);
  }
  Units bias = bias_units(spec);
  finish.bias_ = std::move(bias.any);
  made.whole_bias = std::move(bias.whole);
  finish.scale_.resize(padded);
  finish.bias_.resize(padded);
  return made;
}

void CodeFinish::set_codes(const QuantParams& codes) {
  const float unit = codes.scale[0];
  grid_ = lanes::CodeGrid::of(codes);
  if (std::ranges::all_of(posts_, is_clamp)) {
    result_ = Result::codes;
    for (const PostOp& op : posts_) clamp_grid(op, unit, grid_);
    return;
  }
  if (posts_.size() == 1) curve_ = CodeCurve::of(posts_[0], unit);
  result_ = curve_ ? Result::curved_codes : Result::stepped_codes;
  if (!curve_) quantizer_.emplace(codes);
}

void CodeFinish::run(const KernelArgs& args, const int32_t* sums, const Place& place) const {
  const Source source{sums, scale_.data() + place.column, bias_.data() + place.column};
  void* const to = args.outputs[0];
  switch (result_) {
    case Result::sums:
      for (int64_t r = 0; r < place.rows; ++r) {
        std::copy_n(sums + r * kWidth, place.width,
                    static_cast<int32_t*>(to) + place.offset + r * place.stride);
      }
      return;
    case Result::codes:
      return store_plain_codes(source, place, grid_, static_cast<uint8_t*>(to) + place.offset);
    case Result::curved_codes:
      return store_curved_codes(source, place, grid_, *curve_,
                                static_cast<uint8_t*>(to) + place.offset);
    case Result::real:
      if (posts_.empty()) return store_real(source, place, static_cast<float*>(to) + place.offset);
      return store_sum(source, place,
                       static_cast<const float*>(args.inputs[addend_]) + place.offset,
                       static_cast<float*>(to) + place.offset);
    case Result::stepped_codes:
    case Result::stepped_real: run_steps(args, sums, place);
  }
}

void CodeFinish::run_steps(const KernelArgs& args, const int32_t* sums, const Place& place) const {
  alignas(64) float real[kRows * kWidth];
  Place local = place;
  local.stride = kWidth;
  store_real({sums, scale_.data() + place.column, bias_.data() + place.column}, local, real);
  for (int64_t r = 0; r < place.rows; ++r) {
    float* row = real + r * kWidth;
    const int64_t at = place.offset + r * place.stride;
    for (const PostOp& op : posts_) {
      if (op.kind == PostOp::Kind::add) {
        const float* addend = static_cast<const float*>(args.inputs[addend_]) + at;
        for (int64_t c = 0; c < place.width; ++c) row[c] += addend[c];
      } else {
        apply(op, row, row, place.width);
      }
    }
    if (quantizer_) {
      (*quantizer_)(row, static_cast<uint8_t*>(args.outputs[0]) + at, place.width);
    } else {
      std::copy_n(row, place.width, static_cast<float*>(args.outputs[0]) + at);
    }
  }
}

}  // namespace qtool
