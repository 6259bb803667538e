// SPDX-License-Identifier: Apache-2.0
// Add, Sub, Mul, Div with NumPy broadcasting (opsets 7 to 14; before 7 broadcasting was an
// attribute).
#include "kernels/host/elementwise.h"

#include "kernels/reference/reference.h"
#include "ops/families.h"
#include "ops/lowering.h"
#include "ops/shapes.h"

namespace qtool {

namespace {

template <BinaryOp op, class T>
T compute(T a, T b) {
  if constexpr (op == BinaryOp::add) return static_cast<T>(a + b);
  if constexpr (op == BinaryOp::subtract) return static_cast<T>(a - b);
  if constexpr (op == BinaryOp::multiply) return static_cast<T>(a * b);
  if constexpr (op == BinaryOp::divide) {
    if constexpr (std::is_integral_v<T>) {
      if (b == 0) throw input_error("an integer division by zero");
      if constexpr (std::is_signed_v<T>) {
        if (b == -1) return static_cast<T>(T{} - a);  // the lowest integer has no negative: wraps
      }
    }
    return static_cast<T>(a / b);
  }
}

void infer_binary(InferContext& context) {
  check_same_dtype(context.node, 2);
  infer_broadcast(context);
}

template <BinaryOp op>
std::vector<Tensor> binary_reference(const ReferenceCall& call) {
  const Tensor& a = call.input(0);
  std::vector<Tensor> results;
  visit_dtype(a.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>) {
      // Unsigned arithmetic wraps as in C; signed integers go through their unsigned type.
      results.push_back(reference::broadcast_binary<T, T>(a, call.input(1), [](T x, T y) {
        if constexpr (std::is_signed_v<T> && std::is_integral_v<T> && op != BinaryOp::divide) {
          using U = std::make_unsigned_t<T>;
          return static_cast<T>(compute<op, U>(static_cast<U>(x), static_cast<U>(y)));
        } else {
          return compute<op, T>(x, y);
        }
      }));
    } else {
      throw unsupported_error("elements of type " + std::string(name(a.dtype())));
    }
  });
  return results;
}

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

template <BinaryOp op>
Lowering lower_binary(const LowerContext& context) {
  const LowerInput& a = context.inputs[0];
  const LowerInput& b = context.inputs[1];
  const Shape& out = context.outputs[0].shape;
  const Layout layout = out.size() >= 3 ? common_layout(context) : Layout::plain;
  std::vector<PostOp> chain;
  for (const GroupPostOp& post : context.post_ops) chain.push_back(post.op);
  if (context.quantized()) {
    if (op != BinaryOp::add || a.params == nullptr || b.params == nullptr ||
        context.outputs[0].params == nullptr || a.constant != nullptr || b.constant != nullptr ||
        a.shape != b.shape) {
      return Lowering::refuse(
          "only the addition of two quantized tensors of one shape runs as integers");
    }
    Lowering result = lowering(make_quantized_add(element_count(out), *a.params, *b.params,
                                                  *context.outputs[0].params, chain),
                               {layout, layout}, {layout});
    result.may_overwrite = true;
    return result;
  }
  if (a.dtype != DType::float32) {
    return Lowering::refuse("elements of type " + std::string(name(a.dtype)));
  }
  // Operands of the output's shape are read in step with it; smaller ones stay as they are.
  const auto wanted = [&](const LowerInput& input) {
    if (input.constant != nullptr) return Layout::plain;
    return input.shape == out ? layout : input.layout;
  };
  const Layout a_layout = wanted(a);
  const Layout b_layout = wanted(b);
  Shape extents;
  for (const int dim : storage_order(out, layout)) extents.push_back(out[static_cast<size_t>(dim)]);
  Lowering result = lowering(make_binary(op, extents, {operand_strides(a, a_layout, out, layout)},
                                         {operand_strides(b, b_layout, out, layout)}, chain),
                             {a_layout, b_layout}, {layout});
  result.may_overwrite = a.shape == out && b.shape == out;
  return result;
}

/// A Conv or MatMul in front of an addition of equal shapes takes it in; the session checks shapes.
std::optional<PostOp> add_post_op(const NodeView&) { return PostOp{PostOp::Kind::add}; }

template <BinaryOp op>
OpDef binary(const char* type, Behaviour behaviour) {
  OpDef def{.key = {"", type},
            .since_version = 7,
            .inputs = {2, 2},
            .outputs = {1, 1},
            .infer = infer_binary,
            .reference = binary_reference<op>,
            .tolerance = kExact,
            .taste = LayoutTaste::any,
            .fusion = Fusion::unary,
            .lower = lower_binary<op>};
  if (behaviour == Behaviour::compute) {
    def.quant = {.behaviour = behaviour, .inputs = {{OperandRole::activation}}};
  }
  return def;
}

}  // namespace

void register_elementwise(OpRegistry& ops) {
  OpDef add = binary<BinaryOp::add>("Add", Behaviour::compute);
  add.post_op = add_post_op;
  ops.add(std::move(add));
  ops.add(binary<BinaryOp::subtract>("Sub", Behaviour::keep_float));
  ops.add(binary<BinaryOp::multiply>("Mul", Behaviour::compute));
  ops.add(binary<BinaryOp::divide>("Div", Behaviour::keep_float));
}

}  // namespace qtool
