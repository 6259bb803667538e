// SPDX-License-Identifier: Apache-2.0
// FakeQuantize (x, scale, zero_point?) → y: QuantizeLinear and DequantizeLinear in one, in float;
// scale and zero point are one number, or one per index of `axis`. The zero point is a float that
// is rounded. FakeQuantizeGradient (gy, x, scale, zero_point?) → gx, gscale, gzero_point. The maths
// is in kernels/host/fake_quantize.h.
// PowerOfTwo (s) → 2^round(log2 s), s > 0; its gradient is that of s with a factor y / s, as if the
// exponent were not rounded (Jain et al. 2020, arXiv:1903.08066, in terms of s instead of log2 s).
// BoundedWeights (v, bound) {axis?} → y = bound tanh(v / bound) / max |tanh(v / bound)|: DoReFa's
// weights (Zhou et al. 2016, arXiv:1606.06160, equation 9, before rounding), with a maximum and a
// bound a channel. BoundedWeightsGradient (gy, v, bound) → gv is its derivative, the maximum
// included.
// RoundBias (b, input's scale, weights' scale) → y: the bias on the grid of whole accumulator
// units, scale of the input times scale of the weights, as 32-bit codes have it. Its gradient goes
// straight through; the scales have none of it. Few bits make that grid coarse: with 2-bit operands
// a unit may be a third of the result's range.
#include "kernels/host/fake_quantize.h"

#include <cmath>

#include "ops/along_axis.h"
#include "ops/gradients/gradients.h"
#include "ops/gradients/grids.h"
#include "ops/lowering.h"
#include "ops/reals.h"
#include "ops/shapes.h"

namespace qtool {

namespace {

/// The tensor as [outer, channels, inner].
AlongAxis channels_of(const NodeView& node, const Shape& shape) {
  if (!node.attributes().has("axis")) return {{element_count(shape)}, 1};
  return {shape, normalized_axis(node.attributes().integer("axis", 0),
                                 static_cast<int64_t>(shape.size()))};
}

FakeQuantizeSpec spec_of(const NodeView& node, const Shape& shape) {
  const AlongAxis span = channels_of(node, shape);
  const Attributes& attributes = node.attributes();
  return {span.outer, span.along, span.inner, static_cast<int32_t>(attributes.integer("lowest", 0)),
          static_cast<int32_t>(attributes.integer("highest", 255))};
}

struct Element {
  double t;  ///< x / scale
  double low;
  double high;
  double scale;
  size_t channel;
};

/// visit(index, element) for all of x, scale and zero point being inputs `slot` and after it.
template <class F>
void for_elements(const ReferenceCall& call, size_t x_slot, F&& visit) {
  const FakeQuantizeSpec spec = spec_of(call.node, call.input(x_slot).shape());
  const std::vector<double> x = reals(call, x_slot);
  const std::vector<double> scale = reals(call, x_slot + 1);
  std::vector<double> zero(scale.size(), 0.0);
  if (call.has(x_slot + 2)) zero = reals(call, x_slot + 2);
  for (size_t i = 0; i < x.size(); ++i) {
    const auto c = static_cast<size_t>(static_cast<int64_t>(i) / spec.inner % spec.channels);
    const double z = std::fmin(std::fmax(std::nearbyint(zero[c]), spec.lowest), spec.highest);
    visit(i, Element{x[i] / scale[c], spec.lowest - z, spec.highest - z, scale[c], c});
  }
}

double on_grid(const Element& e) {
  const double t = std::isnan(e.t) ? 0 : std::fmin(std::fmax(e.t, e.low), e.high);
  return std::nearbyint(t);
}

std::vector<Tensor> fake_quantize_reference(const ReferenceCall& call) {
  const Tensor& x = call.input(0);
  std::vector<double> y(static_cast<size_t>(x.size()));
  if (x.dtype() == DType::float32) {
    // The quotient is a float there, as in the deployed model.
    const FakeQuantizeSpec spec = spec_of(call.node, x.shape());
    const auto elements = x.data<float>();
    const auto scale = call.input(1).data<float>();
    for (size_t i = 0; i < y.size(); ++i) {
      const auto c = static_cast<size_t>(static_cast<int64_t>(i) / spec.inner % spec.channels);
      const float given = call.has(2) ? call.input(2).data<float>()[c] : 0.0F;
      const auto z = static_cast<int32_t>(
          std::fmin(std::fmax(std::nearbyint(given), static_cast<float>(spec.lowest)),
                    static_cast<float>(spec.highest)));
      const int32_t code = quantize_value(elements[i], scale[c], z, spec.lowest, spec.highest);
      y[i] = static_cast<double>(dequantize_value(code, scale[c], z));
    }
  } else {
    for_elements(call, 0, [&](size_t i, const Element& e) { y[i] = on_grid(e) * e.scale; });
  }
  return one_result(real_tensor(x.dtype(), x.shape(), y));
}

FakeQuantizeGradientRule rule_of(const NodeView& node) {
  const Attributes& attributes = node.attributes();
  return {attributes.real("share", 1), attributes.integer("outside_only", 0) != 0,
          attributes.real("steer", 0)};
}

std::vector<Tensor> fake_quantize_gradient_reference(const ReferenceCall& call) {
  const FakeQuantizeGradientRule rule = rule_of(call.node);
  const auto share = static_cast<double>(rule.share);
  std::vector<double> gx = reals(call, 0);
  std::vector<double> scales(static_cast<size_t>(call.input(2).size()), 0.0);
  std::vector<double> zeros(scales.size(), 0.0);
  for_elements(call, 1, [&](size_t i, const Element& e) {
    const bool inside = e.t >= e.low && e.t <= e.high;
    if (!inside || !rule.outside_only) {
      scales[e.channel] += share * gx[i] * (on_grid(e) - (inside ? e.t : 0));
    }
    if (inside) {
      gx[i] += static_cast<double>(rule.steer) * std::fabs(gx[i]) * (e.t - on_grid(e));
      return;
    }
    zeros[e.channel] -= share * gx[i] * e.scale;
    gx[i] = 0;
  });
  const DType dtype = call.input(1).dtype();
  std::vector<Tensor> results = one_result(real_tensor(dtype, call.input(1).shape(), gx));
  results.push_back(real_tensor(dtype, call.input(2).shape(), scales));
  if (call.has(3)) results.push_back(real_tensor(dtype, call.input(3).shape(), zeros));
  return results;
}

std::vector<Tensor> round_bias_reference(const ReferenceCall& call) {
  const std::vector<double> bias = reals(call, 0);
  const std::vector<double> input = reals(call, 1);
  const std::vector<double> weights = reals(call, 2);
  std::vector<double> y(bias.size());
  for (size_t c = 0; c < y.size(); ++c) {
    const double product = input.at(0) * weights[weights.size() == 1 ? 0 : c];
    const float scale = std::max(static_cast<float>(product), kMinScale);
    const int32_t code = quantize_bias(static_cast<float>(bias[c]), scale);
    y[c] = static_cast<double>(static_cast<float>(code) * scale);
  }
  return one_result(real_tensor(call.input(0).dtype(), call.input(0).shape(), y));
}

void infer_round_bias(InferContext& context) {
  const auto bias = context.node.input_type(0).concrete_shape();
  const auto scale = context.node.input_type(2).concrete_shape();
  const bool fits = !bias || !scale || element_count(*scale) == 1 ||
                    element_count(*scale) == element_count(*bias);
  if (!fits) throw input_error("neither one scale nor one for each element of the bias");
  infer_like<0>(context);
}

void round_bias_gradient(GradContext& context) { context.give(0, context.upstream()); }

void infer_fake_quantize(InferContext& context) {
  const NodeView& node = context.node;
  const auto x = node.input_type(0).concrete_shape();
  for (size_t i = 1; i < 3; ++i) {
    const auto parameter = node.input_type(i).concrete_shape();
    if (!x || !parameter || element_count(*parameter) == channels_of(node, *x).along) continue;
    throw input_error("input " + std::to_string(i) + " is " + to_string(node.input_type(i)) +
                      ", not one number a channel of " + to_string(node.input_type(0)));
  }
  infer_like<0>(context);
}

void infer_fake_quantize_gradient(InferContext& context) {
  for (size_t i = 0; i < 3; ++i) context.set_output(i, context.node.input_type(i + 1));
}

/// Per tensor any layout does; channels are counted in ONNX's order.
Layout layout_of(const LowerContext& context, size_t x_slot) {
  if (context.node.attributes().has("axis")) return Layout::plain;
  return context.inputs[x_slot].constant != nullptr ? Layout::plain : context.inputs[x_slot].layout;
}

Lowering lower_fake_quantize(const LowerContext& context) {
  if (context.inputs[0].dtype != DType::float32) return Lowering::refuse("not float32");
  const Layout layout = layout_of(context, 0);
  Lowering result = lowering(make_fake_quantize(spec_of(context.node, context.inputs[0].shape)),
                             {layout, Layout::plain, Layout::plain}, {layout});
  result.may_overwrite = true;
  return result;
}

Lowering lower_fake_quantize_gradient(const LowerContext& context) {
  if (context.inputs[0].dtype != DType::float32) return Lowering::refuse("not float32");
  const Layout layout = layout_of(context, 1);
  Lowering result = lowering(
      make_fake_quantize_gradient(spec_of(context.node, context.inputs[1].shape),
                                  rule_of(context.node)),
      {layout, layout, Layout::plain, Layout::plain}, {layout, Layout::plain, Layout::plain});
  result.may_overwrite = true;
  return result;
}

void fake_quantize_gradient(GradContext& context) {
  Attributes attributes = context.node.attributes();
  std::vector<ValueId> inputs{context.upstream(), context.input(0), context.input(1)};
  if (context.has(2)) inputs.push_back(context.input(2));
  const auto made = context.emit_several("FakeQuantizeGradient", std::move(inputs),
                                         std::move(attributes), {true, true, context.wants(2)});
  context.give(0, made[0]);
  context.give(1, made[1]);
  if (context.wants(2)) context.give(2, made[2]);
}

// ---- scales and weights in other forms ----------------------------------------------------------

std::vector<Tensor> power_of_two_reference(const ReferenceCall& call) {
  std::vector<double> y = reals(call, 0);
  for (double& s : y) s = static_cast<double>(nearest_power_of_two(static_cast<float>(s)));
  return one_result(real_tensor(call.input(0).dtype(), call.input(0).shape(), y));
}

void power_of_two_gradient(GradContext& context) {
  const ValueId ratio = context.emit_onnx("Div", {context.output(0), context.input(0)});
  context.give(0, context.emit_onnx("Mul", {context.upstream(), ratio}));
}

std::vector<Tensor> bounded_weights_reference(const ReferenceCall& call) {
  const AlongAxis span = channels_of(call.node, call.input(0).shape());
  return one_result(real_tensor(call.input(0).dtype(), call.input(0).shape(),
                                bounded_weights(reals(call, 0), reals(call, 1), span.inner)));
}

std::vector<Tensor> bounded_weights_gradient_reference(const ReferenceCall& call) {
  const AlongAxis span = channels_of(call.node, call.input(1).shape());
  const std::vector<double> gy = reals(call, 0);
  const std::vector<double> bound = reals(call, 2);
  std::vector<double> u = reals(call, 1);
  std::vector<size_t> top(bound.size(), u.size());  // where each channel's maximum is
  std::vector<double> sum(bound.size(), 0.0);
  const auto channel = [&](size_t i) {
    return static_cast<size_t>(static_cast<int64_t>(i) / span.inner) % bound.size();
  };
  for (size_t i = 0; i < u.size(); ++i) {
    const size_t c = channel(i);
    u[i] = bound[c] > 0 ? std::tanh(u[i] / bound[c]) : 0;
    sum[c] += gy[i] * u[i];
    if (top[c] == u.size() || std::fabs(u[i]) > std::fabs(u[top[c]])) top[c] = i;
  }
  std::vector<double> gv(u.size());
  for (size_t i = 0; i < u.size(); ++i) {
    const size_t c = channel(i);
    const double most = std::fabs(u[top[c]]);
    if (!(most > 0)) continue;
    const double through_most = i == top[c] ? sum[c] / u[i] : 0;
    gv[i] = (1 - u[i] * u[i]) / most * (gy[i] - through_most);
  }
  return one_result(real_tensor(call.input(1).dtype(), call.input(1).shape(), gv));
}

void bounded_weights_gradient(GradContext& context) {
  context.give(0, context.emit("BoundedWeightsGradient",
                               {context.upstream(), context.input(0), context.input(1)},
                               context.node.attributes()));
}

}  // namespace

std::vector<double> bounded_weights(std::span<const double> v, std::span<const double> bound,
                                    int64_t inner) {
  std::vector<double> y(v.size());
  std::vector<double> most(bound.size(), 0.0);
  const auto channel = [&](size_t i) {
    return static_cast<size_t>(static_cast<int64_t>(i) / inner) % bound.size();
  };
  for (size_t i = 0; i < y.size(); ++i) {
    const size_t c = channel(i);
    y[i] = bound[c] > 0 ? std::tanh(v[i] / bound[c]) : 0;
    most[c] = std::fmax(most[c], std::fabs(y[i]));
  }
  for (size_t i = 0; i < y.size(); ++i) {
    const size_t c = channel(i);
    y[i] = most[c] > 0 ? y[i] / most[c] * bound[c] : 0;
  }
  return y;
}

float nearest_power_of_two(float x) { return std::exp2(std::nearbyint(std::log2(x))); }

void register_training_fake_quantize(OpRegistry& ops) {
  OpDef forward =
      training_record("FakeQuantize", {2, 3}, {1, 1}, infer_fake_quantize, fake_quantize_reference);
  forward.taste = LayoutTaste::any;
  forward.tolerance = kExact;
  forward.lower = lower_fake_quantize;
  forward.gradient = fake_quantize_gradient;
  ops.add(std::move(forward));
  OpDef bias = training_record("RoundBias", {3, 3}, {1, 1}, infer_round_bias, round_bias_reference);
  bias.gradient = round_bias_gradient;
  ops.add(std::move(bias));
  OpDef power =
      training_record("PowerOfTwo", {1, 1}, {1, 1}, infer_like<0>, power_of_two_reference);
  power.gradient = power_of_two_gradient;
  ops.add(std::move(power));
  OpDef weights =
      training_record("BoundedWeights", {2, 2}, {1, 1}, infer_like<0>, bounded_weights_reference);
  weights.gradient = bounded_weights_gradient;
  ops.add(std::move(weights));
  ops.add(training_record("BoundedWeightsGradient", {3, 3}, {1, 1}, infer_like<1>,
                          bounded_weights_gradient_reference));
  OpDef backward = training_record("FakeQuantizeGradient", {3, 4}, {1, 3},
                                   infer_fake_quantize_gradient, fake_quantize_gradient_reference);
  backward.taste = LayoutTaste::any;
  backward.lower = lower_fake_quantize_gradient;
  ops.add(std::move(backward));
}

}  // namespace qtool
