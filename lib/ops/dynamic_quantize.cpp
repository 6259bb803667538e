// SPDX-License-Identifier: Apache-2.0
// DynamicQuantizeLinear (opset 11): uint8 codes on the grid that the tensor's own range gives. A
// tensor of zeros gets scale 1, as in ONNX Runtime; the specification divides zero by zero.
#include <algorithm>

#include "kernels/host/quantize.h"
#include "ops/families.h"
#include "ops/lowering.h"
#include "ops/shapes.h"

namespace qtool {

namespace {

void infer_dynamic(InferContext& context) {
  const TensorType& x = context.node.input_type(0);
  if (x.dtype != DType::undefined && x.dtype != DType::float32)
    throw input_error("DynamicQuantizeLinear takes float32, not " + std::string(name(x.dtype)));
  context.set_output(0, {DType::uint8, x.shape});
  context.set_output(1, {DType::float32, Shape{}});
  context.set_output(2, {DType::uint8, Shape{}});
}

std::vector<Tensor> dynamic_reference(const ReferenceCall& call) {
  const Tensor& x = float_input(call, 0);
  float low = 0;
  float high = 0;
  for (const float value : x.data<float>()) {
    low = value < low ? value : low;
    high = value > high ? value : high;
  }
  const float scale = high == low ? 1.0F : (high - low) / 255;
  const int32_t zero = quantize_value(-low, scale, 0, 0, 255);
  Tensor codes(DType::uint8, x.shape());
  std::ranges::transform(x.data<float>(), codes.data<uint8_t>().begin(), [&](float value) {
    return static_cast<uint8_t>(quantize_value(value, scale, zero, 0, 255));
  });
  std::vector<Tensor> results;
  results.push_back(std::move(codes));
  results.push_back(Tensor::scalar(scale));
  results.push_back(Tensor::scalar(static_cast<uint8_t>(zero)));
  return results;
}

Lowering lower_dynamic(const LowerContext& context) {
  if (!std::ranges::all_of(context.outputs, &LowerOutput::present) || context.outputs.size() < 3)
    return Lowering::refuse("a result that nobody wants");
  const Layout layout = context.inputs[0].layout;
  return lowering(make_dynamic_quantize(context.inputs[0].shape), {layout}, {layout});
}

}  // namespace

void register_dynamic_quantize(OpRegistry& ops) {
  ops.add({.key = {"", "DynamicQuantizeLinear"},
           .since_version = 11,
           .inputs = {1, 1},
           .outputs = {3, 3},
           .infer = infer_dynamic,
           .reference = dynamic_reference,
           .tolerance = kExact,
           .taste = LayoutTaste::any,
           .lower = lower_dynamic});
}

}  // namespace qtool
