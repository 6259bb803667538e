// SPDX-License-Identifier: Apache-2.0
// Gradients of Max, Min, Mean, PRelu and of the reductions other than sum and mean. Of equal
// extremes each gets the gradient. ReduceL2 and ReduceProd divide by results and elements that
// must not be 0.
#include "ops/gradients/gradients.h"

namespace qtool {

namespace {

ValueId product(GradContext& context, ValueId a, ValueId b) {
  return context.emit_onnx("Mul", {a, b});
}

ValueId number(GradContext& context, float x) {
  return context.constant(cast(Tensor::scalar(x), context.node.output_type(0).dtype));
}

void give_sum(GradContext& context, size_t slot, ValueId gradient) {
  context.give(slot, context.emit("SumLike", {gradient, context.input(slot)}));
}

/// `gradient` where a and b are equal, else 0.
ValueId where_equal(GradContext& context, ValueId a, ValueId b, ValueId gradient) {
  const ValueId same = context.emit_onnx("Equal", {a, b});
  return context.emit_onnx("Where", {same, gradient, number(context, 0)});
}

}  // namespace

void extreme_gradient(GradContext& context) {
  for (size_t i = 0; i < context.input_count(); ++i) {
    if (!context.wants(i)) continue;
    give_sum(context, i,
             where_equal(context, context.input(i), context.output(0), context.upstream()));
  }
}

void mean_gradient(GradContext& context) {
  const float share = 1 / static_cast<float>(context.input_count());
  const ValueId part = product(context, context.upstream(), number(context, share));
  for (size_t i = 0; i < context.input_count(); ++i) {
    if (context.wants(i)) give_sum(context, i, part);
  }
}

void prelu_gradient(GradContext& context) {
  const ValueId x = context.input(0);
  const ValueId gy = context.upstream();
  const ValueId zero = number(context, 0);
  const ValueId above = context.emit_onnx("Greater", {x, zero});
  if (context.wants(0)) {
    const ValueId below = product(context, gy, context.input(1));
    context.give(0, context.emit_onnx("Where", {above, gy, below}));
  }
  if (!context.wants(1)) return;
  give_sum(context, 1, context.emit_onnx("Where", {above, zero, product(context, gy, x)}));
}

void reduce_extreme_gradient(GradContext& context) {
  const ValueId result = spread_back(context, context.output(0));
  context.give(
      0, where_equal(context, context.input(0), result, spread_back(context, context.upstream())));
}

void reduce_l1_gradient(GradContext& context) {
  const ValueId sign = context.emit_onnx("Sign", {context.input(0)});
  context.give(0, product(context, sign, spread_back(context, context.upstream())));
}

void reduce_l2_gradient(GradContext& context) {
  const ValueId part = context.emit_onnx("Div", {context.upstream(), context.output(0)});
  context.give(0, product(context, context.input(0), spread_back(context, part)));
}

void reduce_sum_square_gradient(GradContext& context) {
  const ValueId twice = product(context, context.upstream(), number(context, 2));
  context.give(0, product(context, context.input(0), spread_back(context, twice)));
}

void reduce_prod_gradient(GradContext& context) {
  const ValueId part = product(context, context.upstream(), context.output(0));
  context.give(0, context.emit_onnx("Div", {spread_back(context, part), context.input(0)}));
}

void reduce_log_sum_gradient(GradContext& context) {
  const ValueId opposite = context.emit_onnx("Neg", {context.output(0)});
  const ValueId inverse = context.emit_onnx("Exp", {opposite});
  context.give(0, spread_back(context, product(context, context.upstream(), inverse)));
}

void reduce_log_sum_exp_gradient(GradContext& context) {
  const ValueId result = spread_back(context, context.output(0));
  const ValueId below = context.emit_onnx("Sub", {context.input(0), result});
  const ValueId share = context.emit_onnx("Exp", {below});
  context.give(0, product(context, share, spread_back(context, context.upstream())));
}

}  // namespace qtool
