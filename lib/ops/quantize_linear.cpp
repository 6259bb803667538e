// SPDX-License-Identifier: Apache-2.0
// QuantizeLinear and DequantizeLinear (opsets 10: per tensor, 13: per axis, 19: float8, 21: blocks,
// 16- and 4-bit). Float8 is not computed.
#include <algorithm>

#include "kernels/host/quantize.h"
#include "ops/families.h"
#include "ops/lowering.h"
#include "ops/shapes.h"
#include "support/text.h"

namespace qtool {

namespace {

/// Scales: one; or, along the axis, one a channel; or one a block. Zero points: as many.
void check_scales(const NodeView& node) {
  const auto scale = node.input_type(1).concrete_shape();
  const auto& x = node.input_type(0).shape;
  if (!scale) return;
  const int64_t count = element_count(*scale);
  const auto zero_point = node.input_type(2).concrete_shape();
  if (zero_point && element_count(*zero_point) != count) {
    throw input_error(
        fmt::format("{} scales, but {} zero points", count, element_count(*zero_point)));
  }
  const int64_t block = node.attributes().integer("block_size", 0);
  if (block < 0) throw input_error(fmt::format("block_size is {}", block));
  if (count == 1 && block == 0) return;
  if (!x) return;
  const auto rank = static_cast<int64_t>(x->size());
  const auto axis =
      static_cast<size_t>(normalized_axis(node.attributes().integer("axis", 1), rank));
  bool fits = scale->size() == (block == 0 ? 1 : x->size());
  for (size_t d = 0; fits && d < scale->size(); ++d) {
    const Dim& dim = (*x)[block == 0 ? axis : d];
    if (!dim.value) continue;
    const int64_t wanted = block > 0 && d == axis ? (*dim.value + block - 1) / block : *dim.value;
    fits = (*scale)[d] == wanted;
  }
  if (!fits) {
    throw input_error(fmt::format("{} scales of shape {} do not fit {} along axis {}", count,
                                  to_string(*scale), to_string(node.input_type(0)), axis));
  }
}

void infer_quantize(InferContext& context) {
  const NodeView& node = context.node;
  check_scales(node);
  context.set_output(0, {code_type(node), node.input_type(0).shape});
}

void infer_dequantize(InferContext& context) {
  const NodeView& node = context.node;
  check_scales(node);
  const DType codes = node.input_type(0).dtype;
  const DType zero_point = node.input_type(2).dtype;
  if (codes != DType::undefined && zero_point != DType::undefined && codes != zero_point) {
    throw input_error(
        fmt::format("codes of type {}, but zero points of type {}", name(codes), name(zero_point)));
  }
  context.set_output(0, {node.input_type(1).dtype, node.input_type(0).shape});
}

/// The parameters of a call whose types were checked; its scales may be known only now.
QuantParams params_of_call(const ReferenceCall& call) {
  if (auto params = constant_params(call.node)) return *params;
  const DType codes = code_type(call.node);
  if (!is_integer(codes) || bits(codes) > 16) {
    throw unsupported_error("codes of type " + std::string(name(codes)));
  }
  const Tensor& scale = call.input(1);
  std::vector<int32_t> zero_points(static_cast<size_t>(scale.size()), 0);
  if (call.has(2)) {
    std::ranges::transform(to_int64s(call.input(2)), zero_points.begin(),
                           [](int64_t value) { return static_cast<int32_t>(value); });
  }
  const int64_t block = call.node.attributes().integer("block_size", 0);
  std::optional<int> axis;
  if (scale.size() != 1 || block > 0) {
    axis = static_cast<int>(
        normalized_axis(call.node.attributes().integer("axis", 1), call.input(0).rank()));
  }
  return checked_params({bits(codes), is_signed(codes), false}, to_floats(scale),
                        std::move(zero_points), axis, block);
}

/// Biases: 32-bit codes with zero points of 0, which no grid saturates.
Tensor dequantize_bias(const ReferenceCall& call) {
  const Tensor& codes = call.input(0);
  if (call.node.attributes().integer("block_size", 0) != 0)
    throw unsupported_error("32-bit codes in blocks");
  if (call.has(2)) {
    const auto zero_points = to_int64s(call.input(2));
    if (std::ranges::any_of(zero_points, [](int64_t z) { return z != 0; })) {
      throw unsupported_error("32-bit codes with a zero point");
    }
  }
  const std::vector<float> scales = to_floats(call.input(1));
  int64_t inner = 1;
  if (scales.size() > 1) {
    const auto axis = static_cast<size_t>(
        normalized_axis(call.node.attributes().integer("axis", 1), codes.rank()));
    for (size_t d = axis + 1; d < codes.shape().size(); ++d) inner *= codes.shape()[d];
  }
  Tensor real(DType::float32, codes.shape());
  const auto values = codes.data<int32_t>();
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t s = i / static_cast<size_t>(inner) % scales.size();
    real.data<float>()[i] = static_cast<float>(values[i]) * scales[s];
  }
  return real;
}

std::vector<Tensor> quantize_reference(const ReferenceCall& call) {
  std::vector<Tensor> results;
  const QuantParams params = params_of_call(call);
  const Tensor& x = call.input(0);
  results.push_back(
      quantize(x.dtype() == DType::float32 ? x.clone() : cast(x, DType::float32), params));
  return results;
}

std::vector<Tensor> dequantize_reference(const ReferenceCall& call) {
  std::vector<Tensor> results;
  const Tensor& codes = call.input(0);
  Tensor real = codes.dtype() == DType::int32 ? dequantize_bias(call)
                                              : dequantize(codes, params_of_call(call));
  const DType wanted = call.input(1).dtype();
  results.push_back(wanted == DType::float32 ? std::move(real) : cast(real, wanted));
  return results;
}

Lowering lower_quantize(const LowerContext& context) {
  const auto params = constant_params(context.node);
  if (!params) return Lowering::refuse("scales that are computed at run time");
  if (context.inputs[0].dtype != DType::float32)
    return Lowering::refuse("a source that is not float");
  const Shape& shape = context.inputs[0].shape;
  const Layout from = context.inputs[0].layout;
  const Layout to = shape.size() >= 3 ? context.outputs[0].wanted : Layout::plain;
  Lowering result =
      lowering(make_quantize(shape, *params, from, to), {from, Layout::plain, Layout::plain}, {to});
  result.packed = {1, 2};
  return result;
}

Lowering lower_dequantize(const LowerContext& context) {
  const auto params = constant_params(context.node);
  if (!params) return Lowering::refuse("scales that are computed at run time, or 32-bit codes");
  if (context.outputs[0].dtype != DType::float32)
    return Lowering::refuse("a result that is not float");
  const Layout layout = context.inputs[0].layout;
  Lowering result = lowering(make_dequantize(context.inputs[0].shape, *params),
                             {layout, Layout::plain, Layout::plain}, {layout});
  result.packed = {1, 2};
  return result;
}

}  // namespace

void register_quantize_linear(OpRegistry& ops) {
  ops.add({.key = {"", "QuantizeLinear"},
           .since_version = 10,
           .inputs = {2, 3},
           .outputs = {1, 1},
           .infer = infer_quantize,
           .reference = quantize_reference,
           .tolerance = kExact,
           .taste = LayoutTaste::any,
           .lower = lower_quantize,
           .qdq = QdqRole::quantize});
  ops.add({.key = {"", "DequantizeLinear"},
           .since_version = 10,
           .inputs = {2, 3},
           .outputs = {1, 1},
           .infer = infer_dequantize,
           .reference = dequantize_reference,
           .tolerance = kExact,
           .taste = LayoutTaste::any,
           .lower = lower_dequantize,
           .qdq = QdqRole::dequantize});
}

}  // namespace qtool
