// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/host/elementwise.h"
#include "ops/elements.h"
#include "ops/gradients/gradients.h"
#include "ops/lowering.h"

namespace qtool {

// Ops that are a function of one number: a formula, from which record, reference and lowering
// follow.

/// `value` is the definition, in double; `kind` what computes it. Attributes go in as a and b.
struct Formula {
  PostOp::Kind kind;
  double (*value)(double x, double a, double b);
  Tolerance tolerance = kElementary;
  const char* a_name = nullptr;
  float a_default = 0;
  const char* b_name = nullptr;
  float b_default = 0;

  PostOp post_op(const NodeView& node) const {
    return {kind, a_name != nullptr ? node.attributes().real(a_name, a_default) : a_default,
            b_name != nullptr ? node.attributes().real(b_name, b_default) : b_default};
  }
};

using PostOpOf = std::optional<PostOp> (*)(const NodeView&);

/// An op whose whole meaning is a post-op, null where the kernels have none: float32 in any layout.
/// Codes are left to the producer that takes the op in.
Lowering lower_unary(const LowerContext& context, const std::optional<PostOp>& op);

template <PostOpOf post_op>
Lowering lower_unary(const LowerContext& context) {
  return lower_unary(context, post_op(context.node));
}

template <const Formula& formula>
std::optional<PostOp> formula_post_op(const NodeView& node) {
  return formula.post_op(node);
}

template <const Formula& formula>
std::vector<Tensor> formula_reference(const ReferenceCall& call) {
  const PostOp op = formula.post_op(call.node);
  const auto a = static_cast<double>(op.alpha);
  const auto b = static_cast<double>(op.beta);
  return one_result(map_elements<kFloats>(call.input(0), [&](auto x) {
    return static_cast<decltype(x)>(formula.value(static_cast<double>(x), a, b));
  }));
}

/// One tensor in, one of its type out, in any layout.
OpDef unary_record(const char* type, int since,
                   std::vector<Tensor> (*reference)(const ReferenceCall&));

template <const Formula& formula, PostOpOf post_op = formula_post_op<formula>>
OpDef formula_record(const char* type, int since) {
  OpDef def = unary_record(type, since, formula_reference<formula>);
  def.tolerance = formula.tolerance;
  def.fusion = Fusion::unary;
  def.lower = lower_unary<post_op>;
  def.post_op = post_op;
  def.gradient = unary_gradient;
  return def;
}

}  // namespace qtool
