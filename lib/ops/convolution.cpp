// SPDX-License-Identifier: Apache-2.0
// Conv, opsets 1 to 22 (11 only clarified it).
#include "kernels/onednn/training.h"
#include "kernels/reference/reference.h"
#include "ops/families.h"
#include "ops/gradients/gradients.h"
#include "ops/lowering.h"
#include "ops/reals.h"
#include "ops/shapes.h"
#include "support/text.h"

namespace qtool {

namespace {

std::vector<int64_t> kernel_extents(const NodeView& node, const Shape& weights) {
  std::vector<int64_t> kernel(weights.begin() + 2, weights.end());
  const auto declared = node.attributes().integers("kernel_shape");
  if (!declared.empty() && declared != kernel) {
    throw input_error(fmt::format("kernel_shape {} differs from the weights {}",
                                  to_string(declared), to_string(weights)));
  }
  return kernel;
}

void check_channels(const NodeView& node, const std::vector<Dim>& x, const std::vector<Dim>& w) {
  const int64_t groups = node.attributes().integer("group", 1);
  if (groups < 1) throw input_error(fmt::format("group is {}", groups));
  if (x[1].value && w[1].value && *x[1].value != *w[1].value * groups) {
    throw input_error(fmt::format("{} input channels, but the weights expect {} x {} groups",
                                  *x[1].value, *w[1].value, groups));
  }
  if (w[0].value && *w[0].value % groups != 0) {
    throw input_error(
        fmt::format("{} filters are not divisible by {} groups", *w[0].value, groups));
  }
}

void check_bias(const NodeView& node, const Dim& filters) {
  const auto& bias = node.input_type(2).shape;
  if (!bias) return;
  if (bias->size() != 1 ||
      ((*bias)[0].value && filters.value && *(*bias)[0].value != *filters.value)) {
    throw input_error(
        fmt::format("the bias {} is not one number per filter", to_string(node.input_type(2))));
  }
}

void infer_conv(InferContext& context) {
  const NodeView& node = context.node;
  check_same_dtype(node, 3);
  const auto& x = node.input_type(0).shape;
  const auto& w = node.input_type(1).shape;
  TensorType type{node.input_type(0).dtype, std::nullopt};
  if (x && w) {
    if (x->size() < 3 || w->size() != x->size()) {
      throw input_error(fmt::format("input {} and weights {} do not fit a convolution",
                                    to_string(node.input_type(0)), to_string(node.input_type(1))));
    }
    check_channels(node, *x, *w);
    check_bias(node, (*w)[0]);
    type.shape = {{(*x)[0], (*w)[0]}};
    if (const auto weights = node.input_type(1).concrete_shape()) {
      const auto extents = window_extents(node, kernel_extents(node, *weights), *x);
      type.shape->insert(type.shape->end(), extents.begin(), extents.end());
    } else {
      type.shape->resize(x->size());
    }
  }
  context.set_output(0, std::move(type));
}

std::vector<Tensor> conv_reference(const ReferenceCall& call) {
  const Tensor& x = call.input(0);
  const Shape& w = call.input(1).shape();
  const Window window = read_window(call.node, kernel_extents(call.node, w), x.shape());
  Shape out;
  for (size_t i = 0; i < window.rank(); ++i) out.push_back(window.extent(i, x.shape()[i + 2]));
  const auto y =
      reference::convolution<double>({x.shape(), reals(call, 0)}, {w, reals(call, 1)},
                                     call.has(2) ? reals(call, 2) : std::vector<double>{},
                                     {window.kernel, window.strides, window.pads, window.dilations},
                                     call.node.attributes().integer("group", 1), out);
  return one_result(real_tensor(x.dtype(), y.shape, y.elements));
}

/// Weights or a bias that differ from run to run, as in training.
Lowering lower_trained_conv(const LowerContext& context) {
  if (context.quantized()) return Lowering::refuse("quantized, but not constant");
  for (const LowerInput& input : context.inputs) {
    if (input.present && input.dtype != DType::float32) return Lowering::refuse("not float32");
  }
  const Shape& x = context.inputs[0].shape;
  const Shape& w = context.inputs[1].shape;
  const Window window = read_window(context.node, kernel_extents(context.node, w), x);
  const onednn::TrainedConvolution spec{x,
                                        w,
                                        context.outputs[0].shape,
                                        context.node.attributes().integer("group", 1),
                                        window.strides,
                                        window.pads,
                                        window.dilations};
  const auto post_ops = post_op_specs(context, Layout::channels_last);
  std::vector<Layout> inputs(context.inputs.size() + post_ops.size(), Layout::channels_last);
  std::fill(inputs.begin() + 1, inputs.begin() + static_cast<std::ptrdiff_t>(context.inputs.size()),
            Layout::plain);
  Lowering result = lowering(onednn::make_trained_convolution(spec, context.has(2), post_ops),
                             inputs, {Layout::channels_last});
  result.in_place = residual_input(context);
  return result;
}

Lowering lower_conv(const LowerContext& context) {
  const LowerInput& weights = context.inputs[1];
  if (weights.constant == nullptr || (context.has(2) && context.inputs[2].constant == nullptr)) {
    return lower_trained_conv(context);
  }
  if (auto why = operand_problem(context, 0); !why.empty()) return Lowering::refuse(std::move(why));
  const Shape& x = context.inputs[0].shape;
  const Window window = read_window(context.node, kernel_extents(context.node, weights.shape), x);
  onednn::ConvolutionSpec spec;
  spec.source = operand(context.inputs[0], Layout::channels_last);
  spec.destination = operand(context.outputs[0], Layout::channels_last);
  spec.weights = weights.constant.get();
  spec.weight_params = weights.params;
  if (context.has(2)) {
    spec.bias = context.inputs[2].constant.get();
    spec.bias_params = context.inputs[2].params;
  }
  spec.groups = context.node.attributes().integer("group", 1);
  spec.strides = window.strides;
  spec.pads = window.pads;
  spec.dilations = window.dilations;
  spec.post_ops = post_op_specs(context, Layout::channels_last);
  std::vector<Layout> inputs(context.inputs.size(), Layout::plain);
  inputs[0] = Layout::channels_last;
  for (const auto& post : spec.post_ops) {
    if (post.operand) inputs.push_back(Layout::channels_last);
  }
  Lowering result = lowering(onednn::make_convolution(spec), inputs, {Layout::channels_last});
  result.packed = {1};
  if (context.inputs.size() > 2) result.packed.push_back(2);  // else 2 is a residual
  result.in_place = residual_input(context);
  return result;
}

int conv_channel_axis(const NodeView&) { return 0; }

uint64_t conv_macs(const NodeView& node) {
  const auto y = node.output_type(0).concrete_shape();
  const auto w = node.input_type(1).concrete_shape();
  if (!y || !w || (*w)[0] == 0) return 0;
  return static_cast<uint64_t>(element_count(*y)) *
         static_cast<uint64_t>(element_count(*w) / (*w)[0]);
}

}  // namespace

void register_convolution(OpRegistry& ops) {
  ops.add({.key = {"", "Conv"},
           .since_version = 1,
           .inputs = {2, 3},
           .outputs = {1, 1},
           .infer = infer_conv,
           .reference = conv_reference,
           .tolerance = kAccumulated,
           .taste = LayoutTaste::channels_last,
           .fusion = Fusion::residual,
           .lower = lower_conv,
           .gradient = conv_gradient,
           .quant = {.behaviour = Behaviour::compute,
                     .inputs = {{OperandRole::activation},
                                {OperandRole::weight, conv_channel_axis},
                                {OperandRole::bias}}},
           .macs = conv_macs});
}

}  // namespace qtool
