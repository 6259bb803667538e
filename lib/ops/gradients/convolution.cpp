// SPDX-License-Identifier: Apache-2.0
// Conv's gradients: ConvInputGradient (gy, w, x) → gx, ConvWeightGradient (x, gy, w) → gw, gb;
// attributes are Conv's.
#include "kernels/onednn/training.h"
#include "ops/gradients/gradients.h"
#include "ops/lowering.h"
#include "ops/reals.h"
#include "ops/shapes.h"

namespace qtool {

namespace {

onednn::TrainedConvolution geometry(const NodeView& node, const Shape& x, const Shape& w,
                                    const Shape& y) {
  const Window window = read_window(node, {w.begin() + 2, w.end()}, x);
  return {x,
          w,
          y,
          node.attributes().integer("group", 1),
          window.strides,
          window.pads,
          window.dilations};
}

/// visit(index in x, index in w, index in y) for every product that a convolution sums.
template <class F>
void for_products(const onednn::TrainedConvolution& conv, F&& visit) {
  const size_t rank = conv.strides.size();
  const int64_t filters = conv.weights[0] / conv.groups;
  const int64_t channels = conv.weights[1];
  const Shape out(conv.destination.begin() + 2, conv.destination.end());
  const Shape kernel(conv.weights.begin() + 2, conv.weights.end());
  const Shape in(conv.source.begin() + 2, conv.source.end());
  const int64_t outs = element_count(out);
  const int64_t taps = element_count(kernel);
  const int64_t ins = element_count(in);
  for (int64_t position = 0; position < outs; ++position) {
    for (int64_t tap = 0; tap < taps; ++tap) {
      int64_t place = 0;
      int64_t stride = 1;
      bool inside = true;
      for (size_t d = rank, o = static_cast<size_t>(position), t = static_cast<size_t>(tap);
           d-- > 0;) {
        const auto at_out = static_cast<int64_t>(o) % out[d];
        const auto at_tap = static_cast<int64_t>(t) % kernel[d];
        o /= static_cast<size_t>(out[d]);
        t /= static_cast<size_t>(kernel[d]);
        const int64_t at = at_out * conv.strides[d] - conv.pads[d] + at_tap * conv.dilations[d];
        inside = inside && at >= 0 && at < in[d];
        place += at * stride;
        stride *= in[d];
      }
      if (!inside) continue;
      for (int64_t n = 0; n < conv.source[0]; ++n) {
        for (int64_t m = 0; m < conv.weights[0]; ++m) {
          for (int64_t c = 0; c < channels; ++c) {
            const int64_t channel = m / filters * channels + c;
            visit(static_cast<size_t>((n * conv.source[1] + channel) * ins + place),
                  static_cast<size_t>((m * channels + c) * taps + tap),
                  static_cast<size_t>((n * conv.destination[1] + m) * outs + position));
          }
        }
      }
    }
  }
}

std::vector<Tensor> input_gradient_reference(const ReferenceCall& call) {
  const Shape& x = call.input(2).shape();
  const auto conv = geometry(call.node, x, call.input(1).shape(), call.input(0).shape());
  const std::vector<double> gy = reals(call, 0);
  const std::vector<double> w = reals(call, 1);
  std::vector<double> gx(static_cast<size_t>(element_count(x)), 0.0);
  for_products(conv, [&](size_t i, size_t k, size_t o) { gx[i] += gy[o] * w[k]; });
  return one_result(real_tensor(call.input(0).dtype(), x, gx));
}

std::vector<Tensor> weight_gradient_reference(const ReferenceCall& call) {
  const Shape& w = call.input(2).shape();
  const Shape& y = call.input(1).shape();
  const auto conv = geometry(call.node, call.input(0).shape(), w, y);
  const std::vector<double> x = reals(call, 0);
  const std::vector<double> gy = reals(call, 1);
  std::vector<double> gw(static_cast<size_t>(element_count(w)), 0.0);
  for_products(conv, [&](size_t i, size_t k, size_t o) { gw[k] += gy[o] * x[i]; });
  std::vector<Tensor> results = one_result(real_tensor(call.input(0).dtype(), w, gw));
  if (call.node.has_output(1)) {
    std::vector<double> gb(static_cast<size_t>(w[0]), 0.0);
    const auto positions = static_cast<size_t>(element_count({y.begin() + 2, y.end()}));
    for (size_t i = 0; i < gy.size(); ++i) gb[i / positions % gb.size()] += gy[i];
    results.push_back(real_tensor(call.input(0).dtype(), {w[0]}, gb));
  }
  return results;
}

void infer_weight_gradient(InferContext& context) {
  const TensorType& w = context.node.input_type(2);
  context.set_output(0, w);
  if (w.shape && !w.shape->empty()) {
    context.set_output(1, {w.dtype, std::vector<Dim>{(*w.shape)[0]}});
  }
}

Lowering lower_input_gradient(const LowerContext& context) {
  if (context.inputs[0].dtype != DType::float32) return Lowering::refuse("not float32");
  const auto conv = geometry(context.node, context.inputs[2].shape, context.inputs[1].shape,
                             context.inputs[0].shape);
  Lowering result =
      lowering(onednn::make_convolution_input_gradient(conv),
               {Layout::channels_last, Layout::plain, Layout::plain}, {Layout::channels_last});
  result.packed = {2};
  return result;
}

Lowering lower_weight_gradient(const LowerContext& context) {
  if (context.inputs[0].dtype != DType::float32) return Lowering::refuse("not float32");
  const auto conv = geometry(context.node, context.inputs[0].shape, context.inputs[2].shape,
                             context.inputs[1].shape);
  const bool biased = context.outputs.size() > 1 && context.outputs[1].present;
  Lowering result = lowering(onednn::make_convolution_weight_gradient(conv, biased),
                             {Layout::channels_last, Layout::channels_last, Layout::plain},
                             {Layout::plain, Layout::plain});
  result.packed = {2};
  return result;
}

}  // namespace

void conv_gradient(GradContext& context) {
  const ValueId gy = context.upstream();
  const ValueId x = context.input(0);
  const ValueId w = context.input(1);
  if (context.wants(0)) {
    context.give(0, context.emit("ConvInputGradient", {gy, w, x}, context.node.attributes()));
  }
  if (!context.wants(1) && !context.wants(2)) return;
  const bool biased = context.wants(2);
  const auto made =
      context.emit_several("ConvWeightGradient", {x, gy, w}, context.node.attributes(),
                           biased ? std::vector<bool>{true, true} : std::vector<bool>{true});
  context.give(1, made[0]);
  if (biased) context.give(2, made[1]);
}

/// ConvTranspose is the gradient of a Conv for its input; so its own is that Conv, and the weights'
/// is that of the Conv's weights with data and gradient exchanged.
void conv_transpose_gradient(GradContext& context) {
  Attributes attributes = context.node.attributes();
  const auto strides = attributes.integers("strides");
  const auto beyond = attributes.integers("output_padding");
  for (size_t d = 0; d < beyond.size(); ++d) {
    if (beyond[d] >= (strides.empty() ? 1 : strides.at(d)))
      throw unsupported_error("its output_padding is not less than its stride");
  }
  if (attributes.has("output_shape") || attributes.text("auto_pad", "NOTSET") != "NOTSET") {
    throw unsupported_error("its pads follow from output_shape or auto_pad");
  }
  attributes.erase("output_padding");
  attributes.erase("output_shape");
  const ValueId gy = context.upstream();
  const ValueId x = context.input(0);
  const ValueId w = context.input(1);
  if (context.wants(0)) context.give(0, context.emit_onnx("Conv", {gy, w}, attributes));
  if (context.wants(1)) {
    context.give(1, context.emit_several("ConvWeightGradient", {gy, x, w}, attributes, {true})[0]);
  }
  if (context.wants(2)) context.give(2, sum_by_channel(context, gy, context.input(2)));
}

void register_training_convolution(OpRegistry& ops) {
  OpDef input =
      training_record("ConvInputGradient", {3, 3}, {1, 1}, infer_like<2>, input_gradient_reference);
  input.taste = LayoutTaste::channels_last;
  input.lower = lower_input_gradient;
  ops.add(std::move(input));
  OpDef weight = training_record("ConvWeightGradient", {3, 3}, {1, 2}, infer_weight_gradient,
                                 weight_gradient_reference);
  weight.taste = LayoutTaste::channels_last;
  weight.lower = lower_weight_gradient;
  ops.add(std::move(weight));
}

}  // namespace qtool
