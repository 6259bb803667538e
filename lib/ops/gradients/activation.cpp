// SPDX-License-Identifier: Apache-2.0
// UnaryGradient: of every function of one number that the kernels know as a post-op.
#include "kernels/host/gradient.h"
#include "ops/gradients/gradients.h"
#include "ops/lowering.h"
#include "ops/reals.h"
#include "ops/shapes.h"

namespace qtool {

namespace {

/// The sign of the result tells where it was made, so that the input need not be kept.
bool known_from_result(const PostOp& op) {
  return op.kind == PostOp::Kind::relu || op.kind == PostOp::Kind::clip ||
         (op.kind == PostOp::Kind::leaky_relu && op.alpha > 0);
}

PostOp function_of(const NodeView& node) {
  return {static_cast<PostOp::Kind>(node.attributes().integer("function", 0)),
          node.attributes().real("alpha", 0), node.attributes().real("beta", 0)};
}

std::vector<Tensor> unary_gradient_reference(const ReferenceCall& call) {
  const PostOp op = function_of(call.node);
  std::vector<double> gradient = reals(call, 0);
  const std::vector<double> x = reals(call, 1);
  for (size_t i = 0; i < x.size(); ++i) gradient[i] *= *derivative(op, x[i]);
  return one_result(real_tensor(call.input(0).dtype(), call.input(0).shape(), gradient));
}

Lowering lower_unary_gradient(const LowerContext& context) {
  if (context.inputs[0].dtype != DType::float32) return Lowering::refuse("not float32");
  const Layout layout = common_layout(context);
  Lowering result = lowering(
      make_unary_gradient(element_count(context.inputs[0].shape), function_of(context.node)),
      {layout, layout}, {layout});
  result.may_overwrite = true;
  return result;
}

}  // namespace

void unary_gradient(GradContext& context) {
  const auto op = context.def.post_op(context.node);
  if (!op || !derivative(*op, 1)) {
    throw unsupported_error("its parameters are computed at run time, or it has no derivative");
  }
  Attributes attributes;
  attributes.set("function", static_cast<int64_t>(op->kind));
  attributes.set("alpha", op->alpha);
  attributes.set("beta", op->beta);
  const ValueId x = known_from_result(*op) ? context.output(0) : context.input(0);
  context.give(0, context.emit("UnaryGradient", {context.upstream(), x}, std::move(attributes)));
}

void power_gradient(GradContext& context) {
  const Constant exponent = context.node.input_constant(1);
  if (exponent == nullptr || exponent->size() != 1)
    throw unsupported_error("its exponent is not one number that is known");
  const double p = to_doubles(*exponent)[0];
  const DType dtype = context.node.input_type(0).dtype;
  const auto number = [&](double x) {
    return context.constant(cast(Tensor::scalar(static_cast<float>(x)), dtype));
  };
  ValueId slope = context.input(0);
  if (p != 2) slope = context.emit_onnx("Pow", {slope, number(p - 1)});
  slope = context.emit_onnx("Mul", {slope, number(p)});
  context.give(0, context.emit_onnx("Mul", {context.upstream(), slope}));
}

OpDef training_record(const char* type, Arity inputs, Arity outputs, void (*infer)(InferContext&),
                      std::vector<Tensor> (*reference)(const ReferenceCall&)) {
  return {.key = {kTrainingDomain, type},
          .since_version = 1,
          .inputs = inputs,
          .outputs = outputs,
          .infer = infer,
          .reference = reference,
          .tolerance = kAccumulated};
}

void register_training_activation(OpRegistry& ops) {
  OpDef unary =
      training_record("UnaryGradient", {2, 2}, {1, 1}, infer_same_type, unary_gradient_reference);
  unary.taste = LayoutTaste::any;
  unary.lower = lower_unary_gradient;
  ops.add(std::move(unary));
}

}  // namespace qtool
