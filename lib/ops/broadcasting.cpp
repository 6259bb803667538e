// SPDX-License-Identifier: Apache-2.0
#include "ops/binary.h"

namespace qtool {

namespace {

/// Strides of an operand per output dimension, 0 where it is broadcast, in the output's storage
/// order.
std::vector<int64_t> operand_strides(const LowerInput& input, Layout stored, const Shape& out,
                                     Layout out_layout) {
  const std::vector<int64_t> own = strides(input.shape, stored);
  std::vector<int64_t> result;
  for (const int dim : storage_order(out, out_layout)) {
    const auto back = out.size() - static_cast<size_t>(dim);
    int64_t stride = 0;
    if (back <= input.shape.size()) {
      const size_t at = input.shape.size() - back;
      if (input.shape[at] != 1) stride = own[at];
    }
    result.push_back(stride);
  }
  return result;
}

}  // namespace

BroadcastPlan broadcast_plan(const LowerContext& context) {
  const Shape& out = context.outputs[0].shape;
  BroadcastPlan plan;
  plan.output = out.size() >= 3 ? common_layout(context) : Layout::plain;
  for (const int dim : storage_order(out, plan.output)) {
    plan.extents.push_back(out[static_cast<size_t>(dim)]);
  }
  plan.in_step = true;
  for (const LowerInput& input : context.inputs) {
    // Inputs of the output's shape are read in step with it; smaller ones stay as they are.
    Layout layout = Layout::plain;
    if (input.constant == nullptr) layout = input.shape == out ? plan.output : input.layout;
    plan.inputs.push_back(layout);
    plan.strides.push_back(operand_strides(input, layout, out, plan.output));
    if (input.shape != out && element_count(input.shape) == element_count(out)) {
      plan.in_step = false;
    }
  }
  return plan;
}

Lowering lower_float_binary(BinaryOp op, const LowerContext& context) {
  if (context.quantized()) return Lowering::refuse("it runs in float");
  for (const LowerInput& input : context.inputs) {
    if (input.dtype != DType::float32) {
      return Lowering::refuse("elements of type " + std::string(name(input.dtype)));
    }
  }
  std::vector<PostOp> chain;
  for (const GroupPostOp& post : context.post_ops) chain.push_back(post.op);
  const BroadcastPlan plan = broadcast_plan(context);
  Lowering result =
      lowering(make_binary(op, plan.extents, {plan.strides[0]}, {plan.strides[1]}, chain),
               plan.inputs, {plan.output});
  result.may_overwrite = plan.in_step;
  return result;
}

void infer_binary(InferContext& context) {
  check_same_dtype(context.node, 2);
  infer_broadcast(context);
}

OpDef binary_record(const char* type, int since,
                    std::vector<Tensor> (*reference)(const ReferenceCall&)) {
  return {.key = {"", type},
          .since_version = since,
          .inputs = {2, 2},
          .outputs = {1, 1},
          .infer = infer_binary,
          .reference = reference,
          .taste = LayoutTaste::any};
}

}  // namespace qtool
