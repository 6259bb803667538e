// SPDX-License-Identifier: Apache-2.0
// Add, Sub, Mul, Div with NumPy broadcasting (opsets 7 to 14; before 7 broadcasting was an
// attribute).
#include <cmath>

#include "ops/binary.h"
#include "ops/families.h"
#include "ops/gradients/gradients.h"

namespace qtool {

namespace {

struct Plus {
  template <class T>
  static T of(T a, T b) {
    return wrapping(a, b, [](auto x, auto y) { return x + y; });
  }
};
struct Minus {
  template <class T>
  static T of(T a, T b) {
    return wrapping(a, b, [](auto x, auto y) { return x - y; });
  }
};
struct Times {
  template <class T>
  static T of(T a, T b) {
    return wrapping(a, b, [](auto x, auto y) { return x * y; });
  }
};
struct Over {
  template <class T>
  static T of(T a, T b) {
    if constexpr (std::is_integral_v<T>) {
      if (b == 0) throw input_error("an integer division by zero");
      if constexpr (std::is_signed_v<T>) {
        // The lowest integer has no negative: wraps.
        if (b == -1) return Minus::of(T{}, a);
      }
    }
    return static_cast<T>(a / b);
  }
};

/// The sum of codes runs as integers where no broadcasting is needed.
Lowering lower_add(const LowerContext& context) {
  if (!context.quantized()) return lower_float_binary(BinaryOp::add, context);
  const LowerInput& a = context.inputs[0];
  const LowerInput& b = context.inputs[1];
  if (a.params == nullptr || b.params == nullptr || context.outputs[0].params == nullptr ||
      a.constant != nullptr || b.constant != nullptr || a.shape != b.shape) {
    return Lowering::refuse(
        "only the addition of two quantized tensors of one shape runs as integers");
  }
  std::vector<PostOp> chain;
  for (const GroupPostOp& post : context.post_ops) chain.push_back(post.op);
  const Layout layout = a.shape.size() >= 3 ? common_layout(context) : Layout::plain;
  Lowering result = lowering(make_quantized_add(element_count(a.shape), *a.params, *b.params,
                                                *context.outputs[0].params, chain),
                             {layout, layout}, {layout});
  result.may_overwrite = true;
  return result;
}

/// A Conv or MatMul in front of an addition of equal shapes takes it in; the session checks shapes.
std::optional<PostOp> add_post_op(const NodeView&) { return PostOp{PostOp::Kind::add}; }

/// The one number, known before the run, that all of a node's input 0, or of its input 1 where it
/// commutes, is combined with; nothing where there is none, or it changes the shape.
std::optional<float> constant_factor(const NodeView& node, bool commutes) {
  for (const size_t slot : {size_t{1}, size_t{0}}) {
    if (slot == 0 && !commutes) continue;
    const Constant factor = node.input_constant(slot);
    if (factor == nullptr || factor->dtype() != DType::float32 || factor->size() != 1) continue;
    const auto x = node.input_type(1 - slot).concrete_shape();
    const auto y = node.output_type(0).concrete_shape();
    if (x && y && *x == *y) return factor->data<float>()[0];
  }
  return std::nullopt;
}

std::optional<PostOp> multiply_post_op(const NodeView& node) {
  const auto factor = constant_factor(node, true);
  return factor ? std::optional(PostOp{PostOp::Kind::linear, *factor, 0}) : std::nullopt;
}

/// Only by powers of two, whose inverses are exact.
std::optional<PostOp> divide_post_op(const NodeView& node) {
  const auto divisor = constant_factor(node, false);
  if (!divisor || !std::isnormal(*divisor) || !std::isnormal(1 / *divisor)) return std::nullopt;
  int exponent = 0;
  if (std::abs(std::frexp(*divisor, &exponent)) != 0.5F) return std::nullopt;
  return PostOp{PostOp::Kind::linear, 1 / *divisor, 0};
}

template <class Function, BinaryOp op>
OpDef arithmetic(const char* type) {
  OpDef def = binary_record(type, 7, binary_reference<kNumbers, Function>);
  def.fusion = Fusion::unary;
  def.lower = lower_binary<op>;
  return def;
}

}  // namespace

void register_elementwise(OpRegistry& ops) {
  const QuantRule on_codes{.behaviour = Behaviour::compute, .inputs = {{OperandRole::activation}}};
  OpDef add = arithmetic<Plus, BinaryOp::add>("Add");
  add.lower = lower_add;
  add.post_op = add_post_op;
  add.quant = on_codes;
  add.gradient = add_gradient;
  ops.add(std::move(add));
  OpDef subtract = arithmetic<Minus, BinaryOp::subtract>("Sub");
  subtract.gradient = subtract_gradient;
  ops.add(std::move(subtract));
  OpDef multiply = arithmetic<Times, BinaryOp::multiply>("Mul");
  multiply.quant = on_codes;
  multiply.post_op = multiply_post_op;
  multiply.gradient = multiply_gradient;
  ops.add(std::move(multiply));
  OpDef divide = arithmetic<Over, BinaryOp::divide>("Div");
  divide.post_op = divide_post_op;
  divide.gradient = divide_gradient;
  ops.add(std::move(divide));
}

}  // namespace qtool
