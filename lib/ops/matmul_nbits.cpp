// SPDX-License-Identifier: Apache-2.0
// com.microsoft.MatMulNBits (ONNX Runtime, docs/ContribOperators.md). Weights become numbers once,
// when a session is made; without g_idx, which reorders columns.
#include "ops/matmul_nbits.h"

#include <fmt/format.h>

#include "kernels/onednn/primitives.h"
#include "ops/families.h"
#include "ops/lowering.h"
#include "ops/reals.h"
#include "ops/shapes.h"

namespace qtool {

namespace {

constexpr size_t kScales = 2;
constexpr size_t kZeros = 3;
constexpr size_t kOrder = 4;
constexpr size_t kBias = 5;

NBitsLayout layout_of(const NodeView& node) {
  const Attributes& attributes = node.attributes();
  NBitsLayout layout{attributes.integer("N", 0), attributes.integer("K", 0),
                     attributes.integer("bits", 4), attributes.integer("block_size", 0)};
  constexpr int64_t kMost = int64_t{1} << 31;
  if (layout.rows <= 0 || layout.columns <= 0 || layout.rows >= kMost || layout.columns >= kMost)
    throw input_error("the attributes K and N are the extents of the weights, from 1 on");
  if (layout.bits != 2 && layout.bits != 4 && layout.bits != 8)
    throw unsupported_error(fmt::format("{} bits: it has 2, 4 or 8", layout.bits));
  const bool power = layout.block >= 16 && (layout.block & (layout.block - 1)) == 0;
  if (!power || layout.block > (int64_t{1} << 20)) {
    throw input_error(fmt::format("blocks of {}: they are powers of two from 16 on", layout.block));
  }
  return layout;
}

void infer_matmul_nbits(InferContext& context) {
  const NodeView& node = context.node;
  const NBitsLayout layout = layout_of(node);
  if (node.has_input(kOrder)) throw unsupported_error("g_idx, which reorders columns");
  const TensorType& a = node.input_type(0);
  TensorType y{a.dtype, std::nullopt};
  if (a.shape) {
    if (a.shape->empty()) throw input_error("it takes no scalars");
    const Dim& inner = a.shape->back();
    if (inner.value && *inner.value != layout.columns)
      throw input_error(
          fmt::format("the source has rows of {}, K is {}", *inner.value, layout.columns));
    y.shape = a.shape;
    y.shape->back() = Dim{layout.rows, {}};
  }
  context.set_output(0, std::move(y));
}

int32_t code_at(std::span<const uint8_t> bytes, int64_t i, int64_t bits) {
  const int64_t per_byte = 8 / bits;
  const auto byte = static_cast<uint32_t>(bytes[static_cast<size_t>(i / per_byte)]);
  return static_cast<int32_t>((byte >> (i % per_byte * bits)) & ((1U << bits) - 1));
}

void set_code(std::span<uint8_t> bytes, int64_t i, int64_t bits, int32_t code) {
  const int64_t per_byte = 8 / bits;
  uint8_t& byte = bytes[static_cast<size_t>(i / per_byte)];
  byte = static_cast<uint8_t>(byte | static_cast<uint32_t>(code) << (i % per_byte * bits));
}

void check_size(const Tensor& tensor, int64_t wanted, const char* what) {
  if (tensor.size() == wanted) return;
  throw input_error(
      fmt::format("{} {}, {} for these K, N and blocks", tensor.size(), what, wanted));
}

std::vector<Tensor> matmul_nbits_reference(const ReferenceCall& call) {
  const NBitsLayout layout = layout_of(call.node);
  const Tensor weights = dequantize_nbits(layout, call.input(1), call.input(kScales),
                                          call.has(kZeros) ? &call.input(kZeros) : nullptr);
  const std::vector<double> a = to_doubles(call.input(0));
  const std::vector<double> w = to_doubles(weights);
  std::vector<double> bias(static_cast<size_t>(layout.rows), 0);
  if (call.has(kBias)) {
    check_size(call.input(kBias), layout.rows, "elements of the bias");
    bias = to_doubles(call.input(kBias));
  }
  Shape shape = call.input(0).shape();
  shape.back() = layout.rows;
  const auto k = static_cast<size_t>(layout.columns);
  const auto n = static_cast<size_t>(layout.rows);
  std::vector<double> y;
  for (size_t row = 0; row < a.size() / k; ++row) {
    for (size_t j = 0; j < n; ++j) {
      double sum = bias[j];
      for (size_t i = 0; i < k; ++i) sum += a[row * k + i] * w[i * n + j];
      y.push_back(sum);
    }
  }
  return one_result(real_tensor(call.input(0).dtype(), shape, y));
}

Lowering lower_matmul_nbits(const LowerContext& context) {
  const NBitsLayout layout = layout_of(context.node);
  for (size_t i = 1; i < context.inputs.size(); ++i) {
    if (context.has(i) && context.inputs[i].constant == nullptr)
      return Lowering::refuse("weights that are computed at run time");
  }
  if (context.inputs[0].dtype != DType::float32 || context.quantized())
    return Lowering::refuse("a source that is not float");
  const auto input = [&](size_t i) { return context.inputs[i].constant.get(); };
  const Tensor weights = dequantize_nbits(layout, *input(1), *input(kScales),
                                          context.has(kZeros) ? input(kZeros) : nullptr);
  onednn::MatmulSpec spec;
  const int64_t rows = element_count(context.inputs[0].shape) / layout.columns;
  spec.source = {DType::float32, {rows, layout.columns}};
  spec.destination = {DType::float32, {rows, layout.rows}};
  spec.weights = {DType::float32, weights.shape()};
  spec.constant_weights = &weights;
  if (context.has(kBias)) {
    check_size(*input(kBias), layout.rows, "elements of the bias");
    spec.bias = input(kBias);
  }
  Lowering result = lowering(onednn::make_matmul(spec),
                             std::vector<Layout>(context.inputs.size(), Layout::plain));
  for (size_t i = 1; i < context.inputs.size(); ++i) {
    if (context.has(i)) result.packed.push_back(static_cast<int>(i));
  }
  return result;
}

uint64_t matmul_nbits_macs(const NodeView& node) {
  const auto y = node.output_type(0).concrete_shape();
  return y ? static_cast<uint64_t>(element_count(*y)) *
                 static_cast<uint64_t>(std::max<int64_t>(0, node.attributes().integer("K", 0)))
           : 0;
}

}  // namespace

Tensor dequantize_nbits(const NBitsLayout& layout, const Tensor& codes, const Tensor& scales,
                        const Tensor* zeros) {
  const int64_t blocks = layout.blocks();
  if (codes.dtype() != DType::uint8) throw input_error("packed codes are uint8");
  check_size(codes, layout.rows * layout.row_bytes(), "bytes of codes");
  check_size(scales, layout.rows * blocks, "scales");
  const std::vector<float> scale = to_floats(scales);
  std::vector<float> zero(scale.size(), static_cast<float>(1 << (layout.bits - 1)));
  if (zeros != nullptr && zeros->dtype() == DType::uint8) {
    check_size(*zeros, layout.rows * layout.zero_bytes(), "bytes of zero points");
    for (int64_t n = 0; n < layout.rows; ++n) {
      const auto row = zeros->data<uint8_t>().subspan(static_cast<size_t>(n * layout.zero_bytes()),
                                                      static_cast<size_t>(layout.zero_bytes()));
      for (int64_t b = 0; b < blocks; ++b)
        zero[static_cast<size_t>(n * blocks + b)] =
            static_cast<float>(code_at(row, b, layout.bits));
    }
  } else if (zeros != nullptr) {
    check_size(*zeros, layout.rows * blocks, "zero points");
    zero = to_floats(*zeros);
  }
  Tensor weights(DType::float32, {layout.columns, layout.rows});
  const auto to = weights.data<float>();
  for (int64_t n = 0; n < layout.rows; ++n) {
    const auto row = codes.data<uint8_t>().subspan(static_cast<size_t>(n * layout.row_bytes()),
                                                   static_cast<size_t>(layout.row_bytes()));
    for (int64_t k = 0; k < layout.columns; ++k) {
      const auto slice = static_cast<size_t>(n * blocks + k / layout.block);
      to[static_cast<size_t>(k * layout.rows + n)] =
          (static_cast<float>(code_at(row, k, layout.bits)) - zero[slice]) * scale[slice];
    }
  }
  return weights;
}

Tensor pack_nbits(const NBitsLayout& layout, std::span<const int32_t> codes) {
  QTOOL_CHECK(static_cast<int64_t>(codes.size()) == layout.rows * layout.columns, "element count");
  Tensor packed(DType::uint8, {layout.rows, layout.blocks(), layout.block * layout.bits / 8});
  for (int64_t n = 0; n < layout.rows; ++n) {
    const auto row = packed.data<uint8_t>().subspan(static_cast<size_t>(n * layout.row_bytes()),
                                                    static_cast<size_t>(layout.row_bytes()));
    for (int64_t k = 0; k < layout.columns; ++k)
      set_code(row, k, layout.bits, codes[static_cast<size_t>(n * layout.columns + k)]);
  }
  return packed;
}

Tensor pack_zeros(const NBitsLayout& layout, std::span<const int32_t> zeros) {
  const int64_t blocks = layout.blocks();
  QTOOL_CHECK(static_cast<int64_t>(zeros.size()) == layout.rows * blocks, "element count");
  Tensor packed(DType::uint8, {layout.rows * layout.zero_bytes()});
  for (int64_t n = 0; n < layout.rows; ++n) {
    const auto row = packed.data<uint8_t>().subspan(static_cast<size_t>(n * layout.zero_bytes()),
                                                    static_cast<size_t>(layout.zero_bytes()));
    for (int64_t b = 0; b < blocks; ++b)
      set_code(row, b, layout.bits, zeros[static_cast<size_t>(n * blocks + b)]);
  }
  return packed;
}

void register_matmul_nbits(OpRegistry& ops) {
  ops.add({.key = {"com.microsoft", "MatMulNBits"},
           .since_version = 1,
           .inputs = {3, 6},
           .outputs = {1, 1},
           .infer = infer_matmul_nbits,
           .reference = matmul_nbits_reference,
           .tolerance = kAccumulated,
           .lower = lower_matmul_nbits,
           .macs = matmul_nbits_macs});
}

}  // namespace qtool
