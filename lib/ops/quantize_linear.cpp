// SPDX-License-Identifier: Apache-2.0
// QuantizeLinear and DequantizeLinear (opsets 10: per tensor, 13: per axis, 19: float8, 21: blocks,
// 16- and 4-bit). Float8 is not computed.
#include "kernels/host/quantize.h"
#include "ops/families.h"
#include "ops/lowering.h"
#include "ops/shapes.h"

namespace qtool {

namespace {

void infer_quantize(InferContext& context) {
  const NodeView& node = context.node;
  DType codes = node.input_type(2).dtype;
  if (!node.has_input(2)) {
    const int64_t wanted = node.attributes().integer("output_dtype", 0);
    codes = is_known(static_cast<int>(wanted)) ? static_cast<DType>(wanted) : DType::uint8;
  }
  context.set_output(0, {codes, node.input_type(0).shape});
}

void infer_dequantize(InferContext& context) {
  const NodeView& node = context.node;
  context.set_output(0, {node.input_type(1).dtype, node.input_type(0).shape});
}

QuantParams params_of_call(const ReferenceCall& call) {
  auto params = constant_params(call.node);
  if (params) return *params;
  // Scales that are computed at run time: the tensors at hand say what the constants would have.
  const Tensor& scale = call.input(1);
  const bool has_zero_point = call.has(2);
  DType codes = has_zero_point ? call.input(2).dtype() : call.input(0).dtype();
  if (!is_integer(codes)) codes = DType::uint8;
  std::vector<int32_t> zero_points(static_cast<size_t>(scale.size()), 0);
  if (has_zero_point) {
    const auto values = to_int64s(call.input(2));
    for (size_t i = 0; i < values.size(); ++i) zero_points.at(i) = static_cast<int32_t>(values[i]);
  }
  std::optional<int> axis;
  if (scale.size() != 1) {
    axis = static_cast<int>(
        normalized_axis(call.node.attributes().integer("axis", 1), call.input(0).rank()));
  }
  return checked_params({bits(codes), is_signed(codes), false}, to_floats(scale),
                        std::move(zero_points), axis,
                        call.node.attributes().integer("block_size", 0));
}

std::vector<Tensor> quantize_reference(const ReferenceCall& call) {
  std::vector<Tensor> results;
  const QuantParams params = params_of_call(call);
  const Tensor& x = call.input(0);
  results.push_back(quantize(x.dtype() == DType::float32 ? x.clone() : cast(x, DType::float32), params));
  return results;
}

std::vector<Tensor> dequantize_reference(const ReferenceCall& call) {
  std::vector<Tensor> results;
  const Tensor& codes = call.input(0);
  if (codes.dtype() == DType::int32) {
    // Biases: 32-bit codes, no grid to saturate to, zero point 0 or absent.
    const std::vector<float> scales = to_floats(call.input(1));
    const auto values = codes.data<int32_t>();
    Tensor real(DType::float32, codes.shape());
    int64_t inner = 1;
    if (scales.size() > 1) {
      const auto axis = static_cast<size_t>(
          normalized_axis(call.node.attributes().integer("axis", 1), codes.rank()));
      for (size_t d = axis + 1; d < codes.shape().size(); ++d) inner *= codes.shape()[d];
    }
    for (size_t i = 0; i < values.size(); ++i) {
      const size_t s = i / static_cast<size_t>(inner) % scales.size();
      real.data<float>()[i] = static_cast<float>(values[i]) * scales[s];
    }
    results.push_back(std::move(real));
    return results;
  }
  Tensor real = dequantize(codes, params_of_call(call));
  const DType wanted = call.input(1).dtype();
  results.push_back(wanted == DType::float32 ? std::move(real) : cast(real, wanted));
  return results;
}

Lowering lower_quantize(const LowerContext& context) {
  const auto params = constant_params(context.node);
  if (!params) return Lowering::refuse("scales that are computed at run time");
  if (context.inputs[0].dtype != DType::float32) return Lowering::refuse("a source that is not float");
  const Shape& shape = context.inputs[0].shape;
  const Layout from = context.inputs[0].layout;
  const Layout to = shape.size() >= 3 ? context.outputs[0].wanted : Layout::plain;
  Lowering result = lowering(make_quantize(shape, *params, from, to),
                             {from, Layout::plain, Layout::plain}, {to});
  result.packed = {1, 2};
  return result;
}

Lowering lower_dequantize(const LowerContext& context) {
  const auto params = constant_params(context.node);
  if (!params) return Lowering::refuse("scales that are computed at run time, or 32-bit codes");
  if (context.outputs[0].dtype != DType::float32) return Lowering::refuse("a result that is not float");
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
