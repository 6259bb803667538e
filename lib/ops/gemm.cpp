// SPDX-License-Identifier: Apache-2.0
// Gemm (opsets 7 to 13; 6 lacked broadcasting of C) and MatMul (1 to 13).
#include "kernels/reference/reference.h"
#include "ops/families.h"
#include "ops/lowering.h"
#include "ops/shapes.h"
#include "support/text.h"

namespace qtool {

namespace {

bool transposed(const NodeView& node, const char* name) {
  return node.attributes().integer(name, 0) != 0;
}

int gemm_channel_axis(const NodeView& node) { return transposed(node, "transB") ? 0 : 1; }

/// C broadcasts to the result, not the other way round.
void check_added(const NodeView& node, const std::vector<Dim>& y) {
  const auto& c = node.input_type(2).shape;
  if (!c) return;
  bool fits = c->size() <= 2;
  for (size_t i = 0; fits && i < c->size(); ++i) {
    const Dim& mine = (*c)[c->size() - 1 - i];
    const Dim& whole = y[1 - i];
    fits = !mine.value || *mine.value == 1 || !whole.value || *mine.value == *whole.value;
  }
  if (!fits) {
    throw input_error(fmt::format("input 2 is {} and does not broadcast to {}",
                                  to_string(node.input_type(2)),
                                  to_string(TensorType(node.input_type(0).dtype, y))));
  }
}

void infer_gemm(InferContext& context) {
  const NodeView& node = context.node;
  check_same_dtype(node, 3);
  const auto& a = node.input_type(0).shape;
  const auto& b = node.input_type(1).shape;
  TensorType type{node.input_type(0).dtype, std::vector<Dim>(2)};
  if ((a && a->size() != 2) || (b && b->size() != 2)) throw input_error("Gemm takes matrices");
  const size_t ta = transposed(node, "transA") ? 1 : 0;
  const size_t tb = transposed(node, "transB") ? 1 : 0;
  if (a) (*type.shape)[0] = (*a)[ta];
  if (b) (*type.shape)[1] = (*b)[1 - tb];
  if (a && b && (*a)[1 - ta].value && (*b)[tb].value && *(*a)[1 - ta].value != *(*b)[tb].value) {
    throw input_error(
        fmt::format("inner extents differ: {} and {}", *(*a)[1 - ta].value, *(*b)[tb].value));
  }
  check_added(node, *type.shape);
  context.set_output(0, std::move(type));
}

Tensor transpose_matrix(const Tensor& x) {
  return reference::gather_strided(x, {x.shape()[1], x.shape()[0]}, 0, {1, x.shape()[1]});
}

std::vector<Tensor> gemm_reference(const ReferenceCall& call) {
  const bool ta = transposed(call.node, "transA");
  const bool tb = transposed(call.node, "transB");
  const Tensor a = ta ? transpose_matrix(float_input(call, 0)) : float_input(call, 0).clone();
  const Tensor b = tb ? transpose_matrix(float_input(call, 1)) : float_input(call, 1).clone();
  Tensor y = reference::matmul(a, b);
  const float alpha = call.node.attributes().real("alpha", 1.0F);
  const float beta = call.node.attributes().real("beta", 1.0F);
  for (float& value : y.data<float>()) value *= alpha;
  std::vector<Tensor> results;
  if (call.has(2)) {
    results.push_back(reference::broadcast_binary<float, float>(
        y, call.input(2), [beta](float p, float c) { return p + beta * c; }));
  } else {
    results.push_back(std::move(y));
  }
  return results;
}

/// The bias as one number per column, or why it is not that.
std::string bias_problem(const LowerInput& bias, int64_t columns) {
  if (bias.constant == nullptr) return "a bias that is computed at run time";
  if (bias.shape.empty() || bias.constant->size() != columns || bias.shape.back() != columns) {
    return "a bias that is not one number per column";
  }
  return {};
}

Lowering lower_gemm(const LowerContext& context) {
  const NodeView& node = context.node;
  if (transposed(node, "transA")) return Lowering::refuse("transA");
  const bool beta_matters = context.has(2) && node.attributes().real("beta", 1.0F) != 1.0F;
  if (node.attributes().real("alpha", 1.0F) != 1.0F || beta_matters) {
    return Lowering::refuse("alpha or beta is not 1; the preparation passes fold them");
  }
  if (context.inputs[1].constant == nullptr) {
    return Lowering::refuse("weights that are computed at run time");
  }
  if (auto why = operand_problem(context, gemm_channel_axis(node)); !why.empty()) {
    return Lowering::refuse(std::move(why));
  }
  onednn::MatmulSpec spec;
  spec.source = operand(context.inputs[0], Layout::plain);
  spec.destination = operand(context.outputs[0], Layout::plain);
  spec.weights = operand(context.inputs[1], Layout::plain);
  spec.weights.shape = {spec.source.shape[1], spec.destination.shape[1]};
  spec.constant_weights = context.inputs[1].constant.get();
  spec.transposed_weights = transposed(node, "transB");
  if (context.has(2)) {
    if (auto why = bias_problem(context.inputs[2], spec.destination.shape[1]); !why.empty()) {
      return Lowering::refuse(std::move(why));
    }
    spec.bias = context.inputs[2].constant.get();
    spec.bias_params = context.inputs[2].params;
  }
  spec.post_ops = post_op_specs(context, Layout::plain);
  Lowering result = lowering(onednn::make_matmul(spec),
                             std::vector<Layout>(context.inputs.size() + 1, Layout::plain));
  result.packed = {1};
  if (context.inputs.size() > 2) result.packed.push_back(2);  // else 2 is a residual
  result.in_place = residual_input(context);
  return result;
}

void infer_matmul(InferContext& context) {
  const NodeView& node = context.node;
  check_same_dtype(node, 2);
  TensorType type{node.input_type(0).dtype, std::nullopt};
  const auto& a = node.input_type(0).shape;
  const auto& b = node.input_type(1).shape;
  if (a && b) {
    if (a->empty() || b->empty()) throw input_error("MatMul takes no scalars");
    std::vector<Dim> left = *a;
    std::vector<Dim> right = *b;
    if (a->size() == 1) left.insert(left.begin(), Dim{1, {}});
    if (b->size() == 1) right.push_back({1, {}});
    const Dim& inner_left = left.back();
    const Dim& inner_right = right[right.size() - 2];
    if (inner_left.value && inner_right.value && *inner_left.value != *inner_right.value) {
      throw input_error(
          fmt::format("inner extents differ: {} and {}", *inner_left.value, *inner_right.value));
    }
    std::vector<Dim> shape =
        broadcast_dims({left.begin(), left.end() - 2}, {right.begin(), right.end() - 2});
    if (a->size() > 1) shape.push_back(left[left.size() - 2]);
    if (b->size() > 1) shape.push_back(right.back());
    type.shape = std::move(shape);
  }
  context.set_output(0, std::move(type));
}

std::vector<Tensor> matmul_reference(const ReferenceCall& call) {
  std::vector<Tensor> results;
  results.push_back(reference::matmul(float_input(call, 0), float_input(call, 1)));
  return results;
}

Lowering lower_matmul(const LowerContext& context) {
  if (context.inputs[0].shape.size() < 2 || context.inputs[1].shape.size() < 2) {
    return Lowering::refuse("vectors");
  }
  const LowerInput& b = context.inputs[1];
  if (auto why = operand_problem(context, static_cast<int>(b.shape.size()) - 1); !why.empty()) {
    return Lowering::refuse(std::move(why));
  }
  onednn::MatmulSpec spec;
  spec.source = operand(context.inputs[0], Layout::plain);
  spec.destination = operand(context.outputs[0], Layout::plain);
  spec.weights = operand(b, Layout::plain);
  if (b.constant != nullptr && b.shape.size() == 2) {
    // One matrix for all: the leading dimensions are rows of one large product.
    const int64_t k = spec.source.shape.back();
    const int64_t n = spec.destination.shape.back();
    const int64_t rows = element_count(spec.source.shape) / std::max<int64_t>(k, 1);
    spec.source.shape = {rows, k};
    spec.destination.shape = {rows, n};
  } else {
    const size_t rank = spec.destination.shape.size();
    while (spec.source.shape.size() < rank) spec.source.shape.insert(spec.source.shape.begin(), 1);
    while (spec.weights.shape.size() < rank)
      spec.weights.shape.insert(spec.weights.shape.begin(), 1);
  }
  if (b.constant != nullptr) spec.constant_weights = b.constant.get();
  spec.post_ops = post_op_specs(context, Layout::plain);
  Lowering result = lowering(onednn::make_matmul(spec),
                             std::vector<Layout>(context.inputs.size() + 1, Layout::plain));
  if (b.constant != nullptr) result.packed = {1};
  result.in_place = residual_input(context);
  return result;
}

int matmul_channel_axis(const NodeView& node) {
  const auto& shape = node.input_type(1).shape;
  return shape && shape->size() == 2 ? 1 : -1;
}

uint64_t product_macs(const NodeView& node) {
  const auto y = node.output_type(0).concrete_shape();
  const auto a = node.input_type(0).concrete_shape();
  if (!y || !a || a->empty()) return 0;
  const bool ta = transposed(node, "transA");  // MatMul has no such attribute
  return static_cast<uint64_t>(element_count(*y)) *
         static_cast<uint64_t>(ta ? a->front() : a->back());
}

}  // namespace

void register_gemm(OpRegistry& ops) {
  ops.add({.key = {"", "Gemm"},
           .since_version = 7,
           .inputs = {2, 3},
           .outputs = {1, 1},
           .infer = infer_gemm,
           .reference = gemm_reference,
           .tolerance = kAccumulated,
           .fusion = Fusion::residual,
           .lower = lower_gemm,
           .quant = {.behaviour = Behaviour::compute,
                     .inputs = {{OperandRole::activation},
                                {OperandRole::weight, gemm_channel_axis},
                                {OperandRole::bias}}},
           .macs = product_macs});
  ops.add(
      {.key = {"", "MatMul"},
       .since_version = 1,
       .inputs = {2, 2},
       .outputs = {1, 1},
       .infer = infer_matmul,
       .reference = matmul_reference,
       .tolerance = kAccumulated,
       .fusion = Fusion::residual,
       .lower = lower_matmul,
       .quant = {.behaviour = Behaviour::compute,
                 .inputs = {{OperandRole::activation}, {OperandRole::weight, matmul_channel_axis}}},
       .macs = product_macs});
}

}  // namespace qtool
