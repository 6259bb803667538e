// SPDX-License-Identifier: Apache-2.0
// Functions of one number as in mathematics (opsets 1 to 13; newer ones only add types), Not, IsNaN
// (9), IsInf (10), BitwiseNot (18).
#include "ops/unary.h"

#include <cmath>

#include "ops/families.h"

namespace qtool {

Lowering lower_unary(const LowerContext& context, const std::optional<PostOp>& op) {
  if (context.quantized()) return Lowering::refuse("an activation alone runs in float");
  const LowerInput& x = context.inputs[0];
  if (x.dtype != DType::float32) {
    return Lowering::refuse("elements of type " + std::string(name(x.dtype)));
  }
  if (!op) return Lowering::refuse("parameters that its kernel does not take");
  std::vector<PostOp> chain{*op};
  for (const GroupPostOp& post : context.post_ops) chain.push_back(post.op);
  std::vector<Layout> inputs(context.inputs.size(), Layout::plain);
  inputs[0] = x.layout;
  Lowering result = lowering(make_unary(element_count(x.shape), chain), inputs, {x.layout});
  result.may_overwrite = true;
  return result;
}

OpDef unary_record(const char* type, int since,
                   std::vector<Tensor> (*reference)(const ReferenceCall&)) {
  return {.key = {"", type},
          .since_version = since,
          .inputs = {1, 1},
          .outputs = {1, 1},
          .infer = infer_same_type,
          .reference = reference,
          .taste = LayoutTaste::any};
}

namespace {

using Kind = PostOp::Kind;

constexpr Formula kExp{Kind::exp, [](double x, double, double) { return std::exp(x); }};
constexpr Formula kLog{Kind::log, [](double x, double, double) { return std::log(x); }};
constexpr Formula kErf{Kind::erf, [](double x, double, double) { return std::erf(x); }};
constexpr Formula kSqrt{Kind::sqrt, [](double x, double, double) { return std::sqrt(x); }, kExact};
constexpr Formula kReciprocal{Kind::reciprocal, [](double x, double, double) { return 1 / x; },
                              kExact};
constexpr Formula kFloor{Kind::floor, [](double x, double, double) { return std::floor(x); },
                         kExact};
constexpr Formula kCeil{Kind::ceil, [](double x, double, double) { return std::ceil(x); }, kExact};
constexpr Formula kRound{Kind::round, [](double x, double, double) { return std::nearbyint(x); },
                         kExact};
constexpr Formula kSin{Kind::sin, [](double x, double, double) { return std::sin(x); }};
constexpr Formula kCos{Kind::cos, [](double x, double, double) { return std::cos(x); }};
constexpr Formula kTan{Kind::tan, [](double x, double, double) { return std::tan(x); }};
constexpr Formula kAsin{Kind::asin, [](double x, double, double) { return std::asin(x); }};
constexpr Formula kAcos{Kind::acos, [](double x, double, double) { return std::acos(x); }};
constexpr Formula kAtan{Kind::atan, [](double x, double, double) { return std::atan(x); }};
constexpr Formula kSinh{Kind::sinh, [](double x, double, double) { return std::sinh(x); }};
constexpr Formula kCosh{Kind::cosh, [](double x, double, double) { return std::cosh(x); }};
constexpr Formula kAsinh{Kind::asinh, [](double x, double, double) { return std::asinh(x); }};
constexpr Formula kAcosh{Kind::acosh, [](double x, double, double) { return std::acosh(x); }};
constexpr Formula kAtanh{Kind::atanh, [](double x, double, double) { return std::atanh(x); }};

template <Kind kind>
std::optional<PostOp> exact_post_op(const NodeView&) {
  return PostOp{kind};
}

std::vector<Tensor> abs_reference(const ReferenceCall& call) {
  return one_result(map_elements<kNumbers>(call.input(0), []<class T>(T x) -> T {
    if constexpr (std::is_floating_point_v<T>) return std::fabs(x);
    return x < T{} ? wrapping<T>(T{}, x, [](auto a, auto b) { return a - b; }) : x;
  }));
}

std::vector<Tensor> neg_reference(const ReferenceCall& call) {
  return one_result(map_elements<kFloats | kSigned>(call.input(0), []<class T>(T x) -> T {
    if constexpr (std::is_floating_point_v<T>) return -x;
    return wrapping<T>(T{}, x, [](auto a, auto b) { return a - b; });
  }));
}

std::vector<Tensor> sign_reference(const ReferenceCall& call) {
  return one_result(map_elements<kNumbers>(call.input(0), []<class T>(T x) -> T {
    if (x > T{}) return T{1};
    if constexpr (kind_of<T> == kUnsigned) return T{};
    return x < T{} ? static_cast<T>(-1) : x;
  }));
}

/// Exact functions, of floats and of integers.
template <Kind kind>
OpDef exact_record(const char* type, std::vector<Tensor> (*reference)(const ReferenceCall&),
                   int since) {
  OpDef def = unary_record(type, since, reference);
  def.fusion = Fusion::unary;
  def.lower = lower_unary<exact_post_op<kind>>;
  def.post_op = exact_post_op<kind>;
  def.gradient = unary_gradient;
  return def;
}

// ---- to and from booleans and bits ------------------------------------------------------------

void infer_boolean(InferContext& context) {
  context.set_output(0, {DType::boolean, context.node.input_type(0).shape});
}

template <class F>
std::vector<Tensor> test_floats(const Tensor& x, F f) {
  return one_result(visit_kinds<kFloats>(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    Tensor y(DType::boolean, x.shape());
    std::ranges::transform(x.data<T>(), y.data<bool>().begin(), [&](T v) { return f(loaded(v)); });
    return y;
  }));
}

std::vector<Tensor> is_nan_reference(const ReferenceCall& call) {
  return test_floats(call.input(0), [](auto x) { return std::isnan(x); });
}

std::vector<Tensor> is_inf_reference(const ReferenceCall& call) {
  const bool positive = call.node.attributes().integer("detect_positive", 1) != 0;
  const bool negative = call.node.attributes().integer("detect_negative", 1) != 0;
  return test_floats(call.input(0),
                     [&](auto x) { return std::isinf(x) && (x > 0 ? positive : negative); });
}

std::vector<Tensor> not_reference(const ReferenceCall& call) {
  return one_result(map_elements<kBooleans>(call.input(0), [](bool x) { return !x; }));
}

std::vector<Tensor> bitwise_not_reference(const ReferenceCall& call) {
  return one_result(
      map_elements<kIntegers>(call.input(0), []<class T>(T x) -> T { return static_cast<T>(~x); }));
}

OpDef float_test(const char* type, int since,
                 std::vector<Tensor> (*reference)(const ReferenceCall&)) {
  OpDef def = unary_record(type, since, reference);
  def.infer = infer_boolean;
  return def;
}

void register_trigonometry(OpRegistry& ops) {
  ops.add(formula_record<kSin>("Sin", 7));
  ops.add(formula_record<kCos>("Cos", 7));
  ops.add(formula_record<kTan>("Tan", 7));
  ops.add(formula_record<kAsin>("Asin", 7));
  ops.add(formula_record<kAcos>("Acos", 7));
  ops.add(formula_record<kAtan>("Atan", 7));
  ops.add(formula_record<kSinh>("Sinh", 9));
  ops.add(formula_record<kCosh>("Cosh", 9));
  ops.add(formula_record<kAsinh>("Asinh", 9));
  ops.add(formula_record<kAcosh>("Acosh", 9));
  ops.add(formula_record<kAtanh>("Atanh", 9));
}

}  // namespace

void register_unary(OpRegistry& ops) {
  ops.add(exact_record<Kind::abs>("Abs", abs_reference, 1));
  ops.add(exact_record<Kind::negate>("Neg", neg_reference, 1));
  ops.add(exact_record<Kind::sign>("Sign", sign_reference, 9));
  ops.add(formula_record<kFloor>("Floor", 1));
  ops.add(formula_record<kCeil>("Ceil", 1));
  ops.add(formula_record<kRound>("Round", 11));
  ops.add(formula_record<kReciprocal>("Reciprocal", 1));
  ops.add(formula_record<kSqrt>("Sqrt", 1));
  ops.add(formula_record<kExp>("Exp", 1));
  ops.add(formula_record<kLog>("Log", 1));
  ops.add(formula_record<kErf>("Erf", 9));
  register_trigonometry(ops);
  ops.add(float_test("IsNaN", 9, is_nan_reference));
  ops.add(float_test("IsInf", 10, is_inf_reference));
  ops.add(unary_record("Not", 1, not_reference));
  ops.add(unary_record("BitwiseNot", 18, bitwise_not_reference));
}

}  // namespace qtool
