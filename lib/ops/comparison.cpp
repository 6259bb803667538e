// SPDX-License-Identifier: Apache-2.0
// Equal, Greater, Less (7), GreaterOrEqual, LessOrEqual (12), And, Or, Xor (7), Where (9).
#include <cstring>

#include "ops/binary.h"
#include "ops/families.h"
#include "ops/gradients/gradients.h"

namespace qtool {

namespace {

void infer_predicate(InferContext& context) {
  check_same_dtype(context.node, 2);
  context.set_output(0, {DType::boolean, broadcast_inputs(context.node)});
}

template <CompareOp op>
struct Compared {
  template <class T>
  static bool of(T a, T b) {
    switch (op) {
      case CompareOp::equal: return a == b;
      case CompareOp::greater: return a > b;
      case CompareOp::greater_or_equal: return a >= b;
      case CompareOp::less: return a < b;
      case CompareOp::less_or_equal: return a <= b;
    }
  }
};

template <CompareOp op>
std::vector<Tensor> compare_reference(const ReferenceCall& call) {
  const Tensor& a = call.input(0);
  constexpr unsigned kKinds = op == CompareOp::equal ? kNumbers | kBooleans : kNumbers;
  return one_result(visit_kinds<kKinds>(a.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    return reference::broadcast_elements<T, T, bool>(
        a, call.input(1), [](T x, T y) { return Compared<op>::of(loaded(x), loaded(y)); });
  }));
}

template <CompareOp op>
Lowering lower_compare(const LowerContext& context) {
  if (context.quantized() || !context.post_ops.empty()) {
    return Lowering::refuse("it runs alone, in float");
  }
  const BroadcastPlan plan = broadcast_plan(context);
  return lowering(
      make_compare(op, context.inputs[0].dtype, plan.extents, plan.strides[0], plan.strides[1]),
      plan.inputs, {plan.output});
}

template <CompareOp op>
OpDef comparison(const char* type, int since) {
  OpDef def = binary_record(type, since, compare_reference<op>);
  def.infer = infer_predicate;
  def.lower = lower_compare<op>;
  return def;
}

struct Both {
  static bool of(bool a, bool b) { return a && b; }
};
struct Either {
  static bool of(bool a, bool b) { return a || b; }
};
struct OneOf {
  static bool of(bool a, bool b) { return a != b; }
};

// ---- Where ------------------------------------------------------------------------------------

void infer_where(InferContext& context) {
  const NodeView& node = context.node;
  const DType condition = node.input_type(0).dtype;
  if (condition != DType::undefined && condition != DType::boolean) {
    throw input_error("the condition holds " + std::string(name(condition)) + ", not bool");
  }
  const DType x = node.input_type(1).dtype;
  const DType y = node.input_type(2).dtype;
  if (x != DType::undefined && y != DType::undefined && x != y) {
    throw input_error("inputs of different types, " + std::string(name(x)) + " and " +
                      std::string(name(y)));
  }
  context.set_output(0, {x != DType::undefined ? x : y, broadcast_inputs(node)});
}

/// x repeated to a shape that it broadcasts to.
Tensor expanded(const Tensor& x, const Shape& shape) {
  const std::vector<int64_t> own = row_major_strides(x.shape());
  const size_t missing = shape.size() - own.size();
  std::vector<int64_t> steps(shape.size(), 0);
  for (size_t d = 0; d < own.size(); ++d) {
    if (x.shape()[d] != 1) steps[missing + d] = own[d];
  }
  return reference::gather_strided(x, shape, 0, steps);
}

std::vector<Tensor> where_reference(const ReferenceCall& call) {
  Shape shape = call.input(0).shape();
  for (size_t i = 1; i < 3; ++i) {
    const auto both = broadcast(shape, call.input(i).shape());
    if (!both) throw input_error("shapes that do not broadcast");
    shape = *both;
  }
  const size_t width = moved_bytes(call.input(1).dtype());
  const Tensor condition = expanded(call.input(0), shape);
  Tensor result = expanded(call.input(1), shape);
  const Tensor otherwise = expanded(call.input(2), shape);
  const auto chosen = condition.data<bool>();
  for (size_t i = 0; i < chosen.size(); ++i) {
    if (!chosen[i]) std::memcpy(result.raw() + i * width, otherwise.raw() + i * width, width);
  }
  return one_result(std::move(result));
}

Lowering lower_where(const LowerContext& context) {
  if (context.quantized() || !context.post_ops.empty()) {
    return Lowering::refuse("it runs alone, in float");
  }
  const DType dtype = context.inputs[1].dtype;
  if (!movable(dtype)) return Lowering::refuse("elements of type " + std::string(name(dtype)));
  const BroadcastPlan plan = broadcast_plan(context);
  return lowering(make_select(moved_bytes(dtype), plan.extents, plan.strides[0], plan.strides[1],
                              plan.strides[2]),
                  plan.inputs, {plan.output});
}

}  // namespace

void register_comparison(OpRegistry& ops) {
  ops.add(comparison<CompareOp::equal>("Equal", 7));
  ops.add(comparison<CompareOp::greater>("Greater", 7));
  ops.add(comparison<CompareOp::less>("Less", 7));
  ops.add(comparison<CompareOp::greater_or_equal>("GreaterOrEqual", 12));
  ops.add(comparison<CompareOp::less_or_equal>("LessOrEqual", 12));
  ops.add(binary_record("And", 7, binary_reference<kBooleans, Both>));
  ops.add(binary_record("Or", 7, binary_reference<kBooleans, Either>));
  ops.add(binary_record("Xor", 7, binary_reference<kBooleans, OneOf>));
  ops.add({.key = {"", "Where"},
           .since_version = 9,
           .inputs = {3, 3},
           .outputs = {1, 1},
           .infer = infer_where,
           .reference = where_reference,
           .taste = LayoutTaste::any,
           .lower = lower_where,
           .gradient = where_gradient});
}

}  // namespace qtool
