// SPDX-License-Identifier: Apache-2.0
// Relu (opsets 1 to 14), Clip (6: attributes, 11: inputs), LeakyRelu, Sigmoid, Tanh, HardSwish
// (14).
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/host/elementwise.h"
#include "ops/families.h"
#include "ops/lowering.h"
#include "ops/shapes.h"

namespace qtool {

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

using PostOpOf = std::optional<PostOp> (*)(const NodeView&);

std::vector<Tensor> map_elements(const ReferenceCall& call, const auto& f) {
  const Tensor& x = float_input(call, 0);
  Tensor y(DType::float32, x.shape());
  const auto from = x.data<float>();
  const auto to = y.data<float>();
  for (size_t i = 0; i < from.size(); ++i) to[i] = f(from[i]);
  std::vector<Tensor> results;
  results.push_back(std::move(y));
  return results;
}

/// A unary op whose whole meaning is its post-op form: lowering is that form alone, over floats in
/// any layout. Codes are left to the producer that takes it in.
template <PostOpOf post_op>
Lowering lower_unary(const LowerContext& context) {
  if (context.quantized()) return Lowering::refuse("an activation alone runs in float");
  if (context.inputs[0].dtype != DType::float32)
    return Lowering::refuse("elements that are not float");
  const auto op = post_op(context.node);
  if (!op) return Lowering::refuse("bounds that are computed at run time");
  std::vector<PostOp> chain{*op};
  for (const GroupPostOp& post : context.post_ops) chain.push_back(post.op);
  const Layout layout = context.inputs[0].layout;
  std::vector<Layout> inputs(context.inputs.size(), Layout::plain);
  inputs[0] = layout;
  Lowering result =
      lowering(make_unary(element_count(context.inputs[0].shape), chain), inputs, {layout});
  result.may_overwrite = true;
  return result;
}

std::optional<PostOp> relu_post_op(const NodeView&) { return PostOp{PostOp::Kind::relu}; }
std::optional<PostOp> leaky_post_op(const NodeView& node) {
  return PostOp{PostOp::Kind::leaky_relu, node.attributes().real("alpha", 0.01F)};
}
std::optional<PostOp> sigmoid_post_op(const NodeView&) { return PostOp{PostOp::Kind::sigmoid}; }
std::optional<PostOp> tanh_post_op(const NodeView&) { return PostOp{PostOp::Kind::tanh}; }
std::optional<PostOp> hard_swish_post_op(const NodeView&) {
  return PostOp{PostOp::Kind::hard_swish};
}

/// ONNX bounds below first, then above: where low > high, the result is high.
std::optional<PostOp> clip_between(float low, float high) {
  if (std::isnan(low) || std::isnan(high)) return std::nullopt;
  return PostOp{PostOp::Kind::clip, std::min(low, high), high};
}

/// The bound an input gives: absent is infinite, computed at run time is nothing.
std::optional<float> bound(const NodeView& node, size_t slot, float absent) {
  if (!node.has_input(slot)) return absent;
  const Constant constant = node.input_constant(slot);
  if (constant == nullptr || constant->size() != 1) return std::nullopt;
  return to_floats(*constant)[0];
}

std::optional<PostOp> clip_post_op(const NodeView& node) {
  const auto low = bound(node, 1, -kInfinity);
  const auto high = bound(node, 2, kInfinity);
  return low && high ? clip_between(*low, *high) : std::nullopt;
}

std::optional<PostOp> clip6_post_op(const NodeView& node) {
  return clip_between(node.attributes().real("min", -kInfinity),
                      node.attributes().real("max", kInfinity));
}

std::optional<Range> relu_keeps(const NodeView&) { return Range{0, kInfinity}; }

template <PostOpOf post_op>
std::optional<Range> clip_keeps(const NodeView& node) {
  const auto op = post_op(node);
  if (!op) return std::nullopt;
  return Range{op->alpha, op->beta};
}

std::vector<Tensor> relu_reference(const ReferenceCall& call) {
  return map_elements(call, [](float x) { return x < 0 ? 0.0F : x; });
}
std::vector<Tensor> leaky_reference(const ReferenceCall& call) {
  const float alpha = call.node.attributes().real("alpha", 0.01F);
  return map_elements(call, [alpha](float x) { return x < 0 ? alpha * x : x; });
}
std::vector<Tensor> sigmoid_reference(const ReferenceCall& call) {
  return map_elements(call, [](float x) {
    return static_cast<float>(1 / (1 + std::exp(-static_cast<double>(x))));
  });
}
std::vector<Tensor> tanh_reference(const ReferenceCall& call) {
  return map_elements(
      call, [](float x) { return static_cast<float>(std::tanh(static_cast<double>(x))); });
}
std::vector<Tensor> hard_swish_reference(const ReferenceCall& call) {
  return map_elements(call, [](float x) {
    const double gate = std::fmax(0.0, std::fmin(1.0, static_cast<double>(x) / 6 + 0.5));
    return static_cast<float>(static_cast<double>(x) * gate);
  });
}

template <class T>
T bounded(T x, T low, T high) {
  const T raised = x < low ? low : x;
  return raised > high ? high : raised;
}

void infer_clip(InferContext& context) {
  const NodeView& node = context.node;
  check_same_dtype(node, 3);
  for (size_t i = 1; i < 3; ++i) {
    const auto shape = node.input_type(i).concrete_shape();
    if (shape && element_count(*shape) != 1) {
      throw input_error("the bound in input " + std::to_string(i) + " is " +
                        to_string(node.input_type(i)) + ", not one number");
    }
  }
  infer_same_type(context);
}

std::vector<Tensor> clip_reference(const ReferenceCall& call) {
  const Tensor& x = call.input(0);
  std::vector<Tensor> results;
  visit_dtype(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>) {
      using Limits = std::numeric_limits<T>;
      const T least = Limits::has_infinity ? static_cast<T>(-Limits::infinity()) : Limits::lowest();
      const T most = Limits::has_infinity ? Limits::infinity() : Limits::max();
      const T low = call.has(1) ? call.input(1).data<T>()[0] : least;
      const T high = call.has(2) ? call.input(2).data<T>()[0] : most;
      Tensor y(x.dtype(), x.shape());
      std::ranges::transform(x.data<T>(), y.data<T>().begin(),
                             [=](T v) { return bounded(v, low, high); });
      results.push_back(std::move(y));
    } else {
      throw unsupported_error("elements of type " + std::string(name(x.dtype())));
    }
  });
  return results;
}
std::vector<Tensor> clip6_reference(const ReferenceCall& call) {
  const float low = call.node.attributes().real("min", -kInfinity);
  const float high = call.node.attributes().real("max", kInfinity);
  return map_elements(call, [=](float v) { return bounded(v, low, high); });
}

template <PostOpOf post_op>
OpDef unary(const char* type, int since, std::vector<Tensor> (*reference)(const ReferenceCall&),
            Tolerance tolerance) {
  return {.key = {"", type},
          .since_version = since,
          .inputs = {1, 1},
          .outputs = {1, 1},
          .infer = infer_same_type,
          .reference = reference,
          .tolerance = tolerance,
          .taste = LayoutTaste::any,
          .fusion = Fusion::unary,
          .lower = lower_unary<post_op>,
          .post_op = post_op};
}

}  // namespace

void register_activation(OpRegistry& ops) {
  OpDef relu = unary<relu_post_op>("Relu", 1, relu_reference, kExact);
  relu.quant.keeps = relu_keeps;
  ops.add(std::move(relu));

  OpDef clip6 = unary<clip6_post_op>("Clip", 6, clip6_reference, kExact);
  clip6.quant.keeps = clip_keeps<clip6_post_op>;
  ops.add(std::move(clip6));

  OpDef clip = unary<clip_post_op>("Clip", 11, clip_reference, kExact);
  clip.inputs = {1, 3};
  clip.infer = infer_clip;
  clip.quant.keeps = clip_keeps<clip_post_op>;
  ops.add(std::move(clip));

  ops.add(unary<leaky_post_op>("LeakyRelu", 1, leaky_reference, kExact));

  OpDef sigmoid = unary<sigmoid_post_op>("Sigmoid", 1, sigmoid_reference, kElementary);
  sigmoid.quant = {.behaviour = Behaviour::compute,
                   .inputs = {{OperandRole::activation}},
                   .fixed_output = Range{0, 1}};
  ops.add(std::move(sigmoid));

  OpDef tanh = unary<tanh_post_op>("Tanh", 1, tanh_reference, kElementary);
  tanh.quant = {.behaviour = Behaviour::compute,
                .inputs = {{OperandRole::activation}},
                .fixed_output = Range{-1, 1}};
  ops.add(std::move(tanh));

  ops.add(unary<hard_swish_post_op>("HardSwish", 14, hard_swish_reference, kElementary));
}

}  // namespace qtool
