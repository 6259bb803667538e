// SPDX-License-Identifier: Apache-2.0
#include "ops/lowering.h"

#include <algorithm>

namespace qtool {

Lowering lowering(MadeKernel made, std::vector<Layout> inputs, std::vector<Layout> outputs) {
  if (made.kernel == nullptr) return Lowering::refuse(std::move(made.refusal));
  Lowering result;
  result.kernel = std::move(made.kernel);
  result.input_layouts = std::move(inputs);
  result.output_layouts = std::move(outputs);
  return result;
}

Layout spatial_layout(const Shape& shape) {
  return shape.size() >= 3 ? Layout::channels_last : Layout::plain;
}

Layout common_layout(const LowerContext& context) {
  for (const LowerInput& input : context.inputs) {
    if (input.present && input.constant == nullptr && input.layout == Layout::channels_last) {
      return Layout::channels_last;
    }
  }
  return Layout::plain;
}

onednn::Operand operand(const LowerInput& input, Layout layout) {
  return {input.dtype, input.shape, layout, input.params};
}
onednn::Operand operand(const LowerOutput& output, Layout layout) {
  return {output.dtype, output.shape, layout, output.params};
}

std::vector<onednn::PostOpSpec> post_op_specs(const LowerContext& context, Layout layout) {
  std::vector<onednn::PostOpSpec> specs;
  for (const GroupPostOp& post : context.post_ops) {
    onednn::PostOpSpec spec{post.op, std::nullopt};
    if (post.op.kind == PostOp::Kind::add) spec.operand = operand(post.operand, layout);
    specs.push_back(std::move(spec));
  }
  return specs;
}

int residual_input(const LowerContext& context) {
  auto position = static_cast<int>(context.inputs.size());
  for (const GroupPostOp& post : context.post_ops) {
    if (post.op.kind != PostOp::Kind::add) continue;
    if (post.operand.constant == nullptr) return position;
    ++position;  // a constant by column, behind MatMul
  }
  return -1;
}

bool moves_codes(const LowerContext& context, size_t count) {
  const QuantParams* result = context.outputs[0].params;
  for (size_t i = 0; i < std::min(count, context.inputs.size()); ++i) {
    const LowerInput& input = context.inputs[i];
    if (!input.present) continue;
    if ((input.params == nullptr) != (result == nullptr)) return false;
    if (result != nullptr && !(*input.params == *result)) return false;
  }
  return result == nullptr || result->per_tensor();
}

std::string move_problem(const LowerContext& context, size_t count) {
  if (!context.post_ops.empty()) return "post-ops behind an op that moves data";
  if (!moves_codes(context, count)) return "input and output have different scales";
  const DType dtype = context.inputs[0].dtype;
  return movable(dtype) ? "" : "elements of type " + std::string(name(dtype));
}

Lowering lower_alias(const LowerContext& context) {
  if (!context.post_ops.empty()) return Lowering::refuse("post-ops behind a renaming");
  if (!moves_codes(context)) return Lowering::refuse("input and output have different scales");
  for (size_t i = 1; i < context.inputs.size(); ++i) {
    // What the file declares of the result may be wrong; the reference finds out.
    if (context.has(i) && context.inputs[i].constant == nullptr) {
      return Lowering::refuse("a shape that is computed at run time");
    }
  }
  Lowering result;
  result.alias = true;
  result.input_layouts.assign(context.inputs.size(), Layout::plain);
  for (size_t i = 1; i < context.inputs.size(); ++i) result.packed.push_back(static_cast<int>(i));
  return result;
}

OpDef data_movement(const char* type, int since, Arity inputs) {
  return {.key = {"", type},
          .since_version = since,
          .inputs = inputs,
          .outputs = {1, 1},
          .taste = LayoutTaste::any,
          .quant = {.behaviour = Behaviour::move_data,
                    .inputs = {{OperandRole::activation}, {OperandRole::none}},
                    .shares_params = true}};
}

std::string operand_problem(const LowerContext& context, int channel_axis) {
  const bool source = context.inputs[0].params != nullptr;
  const QuantParams* weights = context.inputs[1].params;
  if (source != (weights != nullptr))
    return source ? "the weights are not quantized" : "the source is not quantized";
  if (!source && context.outputs[0].params != nullptr)
    return "float operands with a quantized result";
  if (!source &&
      (context.inputs[0].dtype != DType::float32 || context.inputs[1].dtype != DType::float32)) {
    return "elements of type " + std::string(name(context.inputs[0].dtype));
  }
  if (weights != nullptr && weights->axis &&
      (*weights->axis != channel_axis || weights->block_size > 0)) {
    return "weights that are not scaled by output channel";
  }
  return {};
}

bool movable(DType dtype) {
  const int width = bits(dtype);
  return width == 8 || width == 16 || width == 32 || width == 64;
}

}  // namespace qtool
