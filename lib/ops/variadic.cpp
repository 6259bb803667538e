// SPDX-License-Identifier: Apache-2.0
// Max, Min, Sum, Mean of any number of tensors (opsets 1 to 13; broadcasting since 8, integers in
// Max and Min since 12).
#include "ops/binary.h"
#include "ops/families.h"
#include "ops/gradients/gradients.h"

namespace qtool {

namespace {

/// NaN where either is.
struct Larger {
  template <class T>
  static T of(T a, T b) {
    return a > b || a != a ? a : b;
  }
};
struct Smaller {
  template <class T>
  static T of(T a, T b) {
    return a < b || a != a ? a : b;
  }
};
struct Total {
  template <class T>
  static T of(T a, T b) {
    return a + b;
  }
};

void infer_variadic(InferContext& context) {
  check_same_dtype(context.node, context.node.input_count());
  infer_broadcast(context);
}

template <unsigned kinds, class Function>
Tensor folded(const ReferenceCall& call) {
  Tensor result = map_elements<kinds>(call.input(0), [](auto x) { return x; });
  for (size_t i = 1; i < call.inputs.size(); ++i) {
    result = binary_elements<kinds, Function>(result, call.input(i));
  }
  return result;
}

template <unsigned kinds, class Function>
std::vector<Tensor> variadic_reference(const ReferenceCall& call) {
  return one_result(folded<kinds, Function>(call));
}

std::vector<Tensor> mean_reference(const ReferenceCall& call) {
  const auto count = static_cast<int>(call.inputs.size());
  return one_result(map_elements<kFloats>(
      folded<kFloats, Total>(call), [=]<class T>(T sum) { return sum / static_cast<T>(count); }));
}

template <BinaryOp op, bool mean>
Lowering lower_variadic(const LowerContext& context) {
  const size_t count = context.inputs.size();
  if (context.quantized()) return Lowering::refuse("it runs in float");
  if (context.inputs[0].dtype != DType::float32) {
    return Lowering::refuse("elements of type " + std::string(name(context.inputs[0].dtype)));
  }
  const BroadcastPlan plan = broadcast_plan(context);
  std::vector<PostOp> chain;
  if (mean) chain.push_back({PostOp::Kind::linear, 1.0F / static_cast<float>(count), 0});
  for (const GroupPostOp& post : context.post_ops) chain.push_back(post.op);
  Lowering result =
      lowering(make_fold(op, plan.extents, plan.strides, chain), plan.inputs, {plan.output});
  result.may_overwrite = plan.in_step && count <= 2;  // later inputs are read after the first store
  return result;
}

template <BinaryOp op, bool mean = false>
OpDef variadic(const char* type, std::vector<Tensor> (*reference)(const ReferenceCall&)) {
  OpDef def = binary_record(type, 1, reference);
  def.inputs = {1, -1};
  def.infer = infer_variadic;
  def.fusion = Fusion::unary;
  def.lower = lower_variadic<op, mean>;
  def.gradient = extreme_gradient;
  return def;
}

}  // namespace

void register_variadic(OpRegistry& ops) {
  ops.add(variadic<BinaryOp::maximum>("Max", variadic_reference<kNumbers, Larger>));
  ops.add(variadic<BinaryOp::minimum>("Min", variadic_reference<kNumbers, Smaller>));
  OpDef sum = variadic<BinaryOp::add>("Sum", variadic_reference<kFloats, Total>);
  sum.gradient = sum_gradient;
  ops.add(std::move(sum));
  OpDef mean = variadic<BinaryOp::add, true>("Mean", mean_reference);
  mean.tolerance = kElementary;
  mean.gradient = mean_gradient;
  ops.add(std::move(mean));
}

}  // namespace qtool
