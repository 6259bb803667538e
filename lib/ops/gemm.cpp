// SPDX-License-Identifier: Apache-2.0
// Gemm (opsets 7 to 13; 6 lacked broadcasting of C) and MatMul (1 to 13).
#include "kernels/host/code_product.h"
#include "kernels/reference/reference.h"
#include "ops/families.h"
#include "ops/gradients/gradients.h"
#include "ops/lowering.h"
#include "ops/reals.h"
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

/// An operand in the order that the product reads it in.
template <class T>
reference::Values<T> matrix(const Shape& shape, std::vector<T> elements, bool turned) {
  if (!turned) return {shape, std::move(elements)};
  reference::Values<T> result{{shape[1], shape[0]}, std::vector<T>(elements.size())};
  const auto columns = static_cast<size_t>(shape[1]);
  const auto rows = static_cast<size_t>(shape[0]);
  for (size_t i = 0; i < elements.size(); ++i) {
    result.elements[i % columns * rows + i / columns] = elements[i];
  }
  return result;
}

/// C's element for each element of the result.
template <class T>
std::vector<T> spread_added(const Shape& shape, const std::vector<T>& c, const Shape& result) {
  const int64_t rows = shape.size() == 2 ? shape[0] : 1;
  const int64_t columns = shape.empty() ? 1 : shape.back();
  std::vector<T> all;
  for (int64_t i = 0; i < result[0]; ++i) {
    for (int64_t j = 0; j < result[1]; ++j) {
      all.push_back(c[static_cast<size_t>((rows == 1 ? 0 : i) * columns + (columns == 1 ? 0 : j))]);
    }
  }
  return all;
}

/// alpha A B + beta C. Integers are multiplied exactly, and scaled only where a factor is not 1.
std::vector<Tensor> gemm_reference(const ReferenceCall& call) {
  const bool ta = transposed(call.node, "transA");
  const bool tb = transposed(call.node, "transB");
  const auto alpha = static_cast<double>(call.node.attributes().real("alpha", 1.0F));
  const auto beta = static_cast<double>(call.node.attributes().real("beta", 1.0F));
  const Shape& a = call.input(0).shape();
  const Shape& b = call.input(1).shape();
  const DType dtype = call.input(0).dtype();
  if (is_integer(dtype)) {
    if (alpha != 1 || (call.has(2) && beta != 1)) {
      throw unsupported_error("an integer Gemm with alpha or beta other than 1");
    }
    auto y = reference::matmul(matrix(a, integers(call, 0), ta), matrix(b, integers(call, 1), tb));
    if (call.has(2)) {
      const auto added = spread_added(call.input(2).shape(), integers(call, 2), y.shape);
      for (size_t i = 0; i < added.size(); ++i) y.elements[i] += added[i];
    }
    return one_result(integer_tensor(dtype, y.shape, y.elements));
  }
  auto y = reference::matmul(matrix(a, reals(call, 0), ta), matrix(b, reals(call, 1), tb));
  for (double& value : y.elements) value *= alpha;
  if (call.has(2)) {
    const auto added = spread_added(call.input(2).shape(), reals(call, 2), y.shape);
    for (size_t i = 0; i < added.size(); ++i) y.elements[i] += beta * added[i];
  }
  return one_result(real_tensor(dtype, y.shape, y.elements));
}

/// Gives the product its C, or says why it cannot: a number a column is a bias, a whole matrix is
/// what the sum starts from.
std::string add_bias(const LowerContext& context, onednn::MatmulSpec& spec, Lowering& result) {
  const LowerInput& c = context.inputs[2];
  const int64_t columns = spec.destination.shape[1];
  const bool a_column =
      !c.shape.empty() && c.shape.back() == columns && element_count(c.shape) == columns;
  if (a_column && c.constant != nullptr) {
    spec.bias = c.constant.get();
    spec.bias_params = c.params;
    result.packed.push_back(2);
    return {};
  }
  if (context.quantized()) return "a bias that is not one number per column, or not a constant";
  if (c.dtype != DType::float32) return "a bias that is not float";
  if (a_column) {
    spec.bias_at_run = true;
    return {};
  }
  if (c.shape != spec.destination.shape || residual_input(context) >= 0) {
    return "a bias that is not one number per column";
  }
  spec.post_ops.insert(spec.post_ops.begin(), {{PostOp::Kind::add}, operand(c, Layout::plain)});
  result.in_place = 2;
  return {};
}

/// Our own kernel for codes, where oneDNN has none or is slower.
MadeKernel make_product(const onednn::MatmulSpec& spec, size_t addend, bool& own) {
  own = spec.source.params != nullptr &&
        (spec.constant_weights == nullptr || prefers_code_product(spec));
  if (own) {
    MadeKernel made = make_code_product(spec, {}, addend);
    if (made.kernel != nullptr || spec.constant_weights == nullptr) return made;
  }
  own = false;
  return onednn::make_matmul(spec);
}

Lowering lower_gemm(const LowerContext& context) {
  const NodeView& node = context.node;
  const LowerInput& weights = context.inputs[1];
  const bool beta_matters = context.has(2) && node.attributes().real("beta", 1.0F) != 1.0F;
  if (node.attributes().real("alpha", 1.0F) != 1.0F || beta_matters) {
    return Lowering::refuse("alpha or beta is not 1; the preparation passes fold them");
  }
  if (auto why = operand_problem(context, gemm_channel_axis(node)); !why.empty()) {
    return Lowering::refuse(std::move(why));
  }
  onednn::MatmulSpec spec;
  spec.source = operand(context.inputs[0], Layout::plain);
  spec.destination = operand(context.outputs[0], Layout::plain);
  spec.weights = operand(weights, Layout::plain);
  spec.transposed_source = transposed(node, "transA");
  if (spec.transposed_source) std::swap(spec.source.shape[0], spec.source.shape[1]);
  spec.weights.shape = {spec.source.shape[1], spec.destination.shape[1]};
  spec.constant_weights = weights.constant.get();
  spec.transposed_weights = transposed(node, "transB");
  spec.post_ops = post_op_specs(context, Layout::plain);
  Lowering plan;
  plan.in_place = residual_input(context);
  if (weights.constant != nullptr) plan.packed = {1};
  if (context.has(2)) {
    if (auto why = add_bias(context, spec, plan); !why.empty()) {
      return Lowering::refuse(std::move(why));
    }
  }
  bool own = false;
  Lowering result = lowering(make_product(spec, context.inputs.size(), own),
                             std::vector<Layout>(context.inputs.size() + 1, Layout::plain));
  result.packed = std::move(plan.packed);
  result.in_place = own ? -1 : plan.in_place;
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
  const Shape& a = call.input(0).shape();
  const Shape& b = call.input(1).shape();
  const DType dtype = call.input(0).dtype();
  if (is_integer(dtype)) {
    const auto y = reference::matmul<uint64_t>({a, integers(call, 0)}, {b, integers(call, 1)});
    return one_result(integer_tensor(dtype, y.shape, y.elements));
  }
  const auto y = reference::matmul<double>({a, reals(call, 0)}, {b, reals(call, 1)});
  return one_result(real_tensor(dtype, y.shape, y.elements));
}

/// A constant added to each column is the product's bias, and no post-op.
bool take_column_bias(const LowerContext& context, onednn::MatmulSpec& spec) {
  if (context.post_ops.empty()) return false;
  const GroupPostOp& first = context.post_ops[0];
  if (first.op.kind != PostOp::Kind::add || first.operand.constant == nullptr) return false;
  spec.bias = first.operand.constant.get();
  spec.bias_params = first.operand.params;
  spec.post_ops.erase(spec.post_ops.begin());
  return true;
}

Lowering lower_matmul(const LowerContext& context) {
  const LowerInput& b = context.inputs[1];
  if (auto why =
          operand_problem(context, b.shape.size() == 1 ? -1 : static_cast<int>(b.shape.size()) - 1);
      !why.empty()) {
    return Lowering::refuse(std::move(why));
  }
  onednn::MatmulSpec spec;
  spec.source = operand(context.inputs[0], Layout::plain);
  spec.destination = operand(context.outputs[0], Layout::plain);
  spec.weights = operand(b, Layout::plain);
  // A vector is a row on the left, a column on the right.
  if (spec.source.shape.size() == 1) {
    spec.source.shape.insert(spec.source.shape.begin(), 1);
    const auto at = static_cast<std::ptrdiff_t>(b.shape.size() == 1 ? 0 : 1);
    spec.destination.shape.insert(spec.destination.shape.end() - at, 1);
  }
  if (b.shape.size() == 1) {
    spec.weights.shape.push_back(1);
    spec.destination.shape.push_back(1);
  }
  if (b.constant != nullptr && spec.weights.shape.size() == 2) {
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
  const bool biased = take_column_bias(context, spec);
  bool own = false;
  Lowering result = lowering(make_product(spec, context.inputs.size() + (biased ? 1 : 0), own),
                             std::vector<Layout>(context.inputs.size() + 2, Layout::plain));
  if (b.constant != nullptr) result.packed.push_back(1);
  if (biased) result.packed.push_back(static_cast<int>(context.inputs.size()));
  result.in_place = own ? -1 : residual_input(context);
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
           .gradient = gemm_gradient,
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
       .gradient = matmul_gradient,
       .quant = {.behaviour = Behaviour::compute,
                 .inputs = {{OperandRole::activation}, {OperandRole::weight, matmul_channel_axis}}},
       .macs = product_macs});
}

}  // namespace qtool
