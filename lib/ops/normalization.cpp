// SPDX-License-Identifier: Apache-2.0
// BatchNormalization for inference (opsets 7 to 15: one output; training_mode = 0).
#include <cmath>

#include "kernels/host/elementwise.h"
#include "ops/families.h"
#include "ops/gradients/gradients.h"
#include "ops/lowering.h"
#include "ops/reals.h"
#include "ops/shapes.h"
#include "support/text.h"

namespace qtool {

namespace {

void infer_batch_norm(InferContext& context) {
  const NodeView& node = context.node;
  const auto& x = node.input_type(0).shape;
  for (size_t i = 1; x && i < 5; ++i) {
    const auto& parameter = node.input_type(i).shape;
    if (!parameter) continue;
    const Dim channels = x->size() >= 2 ? (*x)[1] : Dim{1, {}};  // a vector is one channel
    if (parameter->size() != 1 ||
        ((*parameter)[0].value && channels.value && *(*parameter)[0].value != *channels.value)) {
      throw input_error(fmt::format("input {} is {}, expected one number per channel of {}", i,
                                    to_string(node.input_type(i)), to_string(node.input_type(0))));
    }
  }
  context.set_output(0, node.input_type(0));
}

/// y = x * scale + shift per channel: gamma / sqrt(var + epsilon) and beta - mean * scale.
struct ChannelAffine {
  std::vector<double> scale;
  std::vector<double> shift;
};

ChannelAffine channel_affine(const NodeView& node, const Tensor& gamma, const Tensor& beta,
                             const Tensor& mean, const Tensor& variance) {
  const auto epsilon = static_cast<double>(node.attributes().real("epsilon", 1e-5F));
  const auto g = to_doubles(gamma);
  const auto b = to_doubles(beta);
  const auto m = to_doubles(mean);
  const auto v = to_doubles(variance);
  ChannelAffine affine;
  for (size_t c = 0; c < g.size(); ++c) {
    affine.scale.push_back(g[c] / std::sqrt(v[c] + epsilon));
    affine.shift.push_back(b[c] - m[c] * affine.scale[c]);
  }
  return affine;
}

void refuse_training(const NodeView& node) {
  bool statistics = false;
  for (size_t i = 1; i < node.output_count(); ++i) statistics = statistics || node.has_output(i);
  if (node.attributes().integer("training_mode", 0) != 0 || statistics) {
    throw unsupported_error("BatchNormalization in training mode",
                            "Export the model for inference.");
  }
}

std::vector<Tensor> batch_norm_reference(const ReferenceCall& call) {
  refuse_training(call.node);
  const Tensor& x = call.input(0);
  const ChannelAffine affine =
      channel_affine(call.node, call.input(1), call.input(2), call.input(3), call.input(4));
  std::vector<double> values = reals(call, 0);
  const int64_t channels = x.rank() >= 2 ? x.shape()[1] : 1;
  const int64_t batch = x.rank() >= 1 ? x.shape()[0] : 1;
  const int64_t inner = x.size() / std::max<int64_t>(1, channels * batch);
  for (size_t i = 0; i < values.size(); ++i) {
    const auto c =
        i / static_cast<size_t>(std::max<int64_t>(inner, 1)) % static_cast<size_t>(channels);
    values[i] = values[i] * affine.scale[c] + affine.shift[c];
  }
  return one_result(real_tensor(x.dtype(), x.shape(), values));
}

Lowering lower_batch_norm(const LowerContext& context) {
  refuse_training(context.node);
  if (context.quantized() || !context.post_ops.empty()) {
    return Lowering::refuse("an unfolded BatchNormalization runs alone, in float");
  }
  for (size_t i = 1; i < 5; ++i) {
    if (context.inputs[i].constant == nullptr) {
      return Lowering::refuse("parameters that are computed at run time");
    }
  }
  const Shape& shape = context.inputs[0].shape;
  if (shape.size() < 2) return Lowering::refuse("an input without channels");
  if (context.inputs[0].dtype != DType::float32)
    return Lowering::refuse("elements that are not float");
  const ChannelAffine affine =
      channel_affine(context.node, *context.inputs[1].constant, *context.inputs[2].constant,
                     *context.inputs[3].constant, *context.inputs[4].constant);
  const Layout layout = common_layout(context);
  const int64_t channels = shape[1];
  const int64_t all = element_count(shape);
  const bool last = layout == Layout::channels_last;
  const int64_t outer = channels == 0 ? 0 : last ? all / channels : shape[0];
  const int64_t inner = last || outer * channels == 0 ? 1 : all / (outer * channels);
  std::vector<Layout> inputs(5, Layout::plain);
  inputs[0] = layout;
  Lowering result = lowering(
      make_channel_affine(outer, channels, inner, {affine.scale.begin(), affine.scale.end()},
                          {affine.shift.begin(), affine.shift.end()}),
      inputs, {layout});
  result.packed = {1, 2, 3, 4};
  result.may_overwrite = true;
  return result;
}

}  // namespace

void register_normalization(OpRegistry& ops) {
  ops.add({.key = {"", "BatchNormalization"},
           .since_version = 7,
           .inputs = {5, 5},
           .outputs = {1, 5},
           .infer = infer_batch_norm,
           .reference = batch_norm_reference,
           .tolerance = kAccumulated,
           .taste = LayoutTaste::any,
           .lower = lower_batch_norm,
           .gradient = batch_norm_gradient});
}

}  // namespace qtool
