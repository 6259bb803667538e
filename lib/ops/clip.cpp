// SPDX-License-Identifier: Apache-2.0
// Clip: bounds are attributes in opset 6, inputs since 11, also of integers since 12.
#include <cmath>
#include <limits>

#include "ops/families.h"
#include "ops/unary.h"

namespace qtool {

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

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

template <PostOpOf post_op>
std::optional<Range> clip_keeps(const NodeView& node) {
  const auto op = post_op(node);
  if (!op) return std::nullopt;
  return Range{op->alpha, op->beta};
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
  return one_result(visit_kinds<kNumbers>(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = Computed<T>;
    using Limits = std::numeric_limits<C>;
    const C least = Limits::has_infinity ? static_cast<C>(-Limits::infinity()) : Limits::lowest();
    const C most = Limits::has_infinity ? Limits::infinity() : Limits::max();
    const C low = call.has(1) ? loaded(call.input(1).data<T>()[0]) : least;
    const C high = call.has(2) ? loaded(call.input(2).data<T>()[0]) : most;
    Tensor y(x.dtype(), x.shape());
    std::ranges::transform(x.data<T>(), y.data<T>().begin(),
                           [&](T v) { return stored<T>(bounded(loaded(v), low, high)); });
    return y;
  }));
}

std::vector<Tensor> clip6_reference(const ReferenceCall& call) {
  const float low = call.node.attributes().real("min", -kInfinity);
  const float high = call.node.attributes().real("max", kInfinity);
  return one_result(map_elements<kFloats>(call.input(0), [&]<class T>(T x) {
    return bounded(x, static_cast<T>(low), static_cast<T>(high));
  }));
}

template <PostOpOf post_op>
OpDef clip_record(int since, std::vector<Tensor> (*reference)(const ReferenceCall&)) {
  OpDef def = unary_record("Clip", since, reference);
  def.fusion = Fusion::unary;
  def.lower = lower_unary<post_op>;
  def.post_op = post_op;
  def.gradient = unary_gradient;
  def.quant.keeps = clip_keeps<post_op>;
  return def;
}

}  // namespace

void register_clip(OpRegistry& ops) {
  ops.add(clip_record<clip6_post_op>(6, clip6_reference));
  OpDef clip = clip_record<clip_post_op>(11, clip_reference);
  clip.inputs = {1, 3};
  clip.infer = infer_clip;
  ops.add(std::move(clip));
}

}  // namespace qtool
