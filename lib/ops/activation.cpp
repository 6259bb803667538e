// SPDX-License-Identifier: Apache-2.0
// Activations (opsets 1 to 20). Selu's defaults have more digits since 6; what other versions
// change is the element types they list.
#include <cmath>
#include <limits>

#include "ops/families.h"
#include "ops/gradients/gradients.h"
#include "ops/unary.h"

namespace qtool {

namespace {

using Kind = PostOp::Kind;

double normal_distribution(double x) { return 0.5 * (1 + std::erf(x / std::sqrt(2.0))); }
double softplus(double x) { return std::fmax(x, 0) + std::log1p(std::exp(-std::fabs(x))); }
double celu(double x, double a, double) {
  if (std::isnan(x)) return x;
  return std::fmax(x, 0) + std::fmin(a * std::expm1(x / a), 0);
}
double unit_clamp(double x) { return x < 0 ? 0 : x > 1 ? 1 : x; }

constexpr Formula kLeakyRelu{Kind::leaky_relu,
                             [](double x, double a, double) { return x < 0 ? a * x : x; }, kExact,
                             "alpha", 0.01F};
constexpr Formula kSigmoid{Kind::sigmoid,
                           [](double x, double, double) { return 1 / (1 + std::exp(-x)); }};
constexpr Formula kTanh{Kind::tanh, [](double x, double, double) { return std::tanh(x); }};
constexpr Formula kHardSwish{Kind::hard_swish,
                             [](double x, double, double) { return x * unit_clamp(x / 6 + 0.5); }};
constexpr Formula kHardSigmoid{Kind::hard_sigmoid,
                               [](double x, double a, double b) { return unit_clamp(a * x + b); },
                               kElementary,
                               "alpha",
                               0.2F,
                               "beta",
                               0.5F};
constexpr Formula kElu{Kind::elu,
                       [](double x, double a, double) { return x < 0 ? a * std::expm1(x) : x; },
                       kElementary, "alpha", 1.0F};
constexpr Formula kSelu{
    Kind::selu,
    [](double x, double a, double b) { return b * (x < 0 ? a * std::expm1(x) : x); },
    kElementary,
    "alpha",
    1.67326319217681884765625F,
    "gamma",
    1.05070102214813232421875F};
constexpr Formula kSelu1{kSelu.kind, kSelu.value, kElementary, "alpha", 1.6732F, "gamma", 1.0507F};
constexpr Formula kCelu{Kind::celu, celu, kElementary, "alpha", 1.0F};
constexpr Formula kThresholdedRelu{Kind::thresholded_relu,
                                   [](double x, double a, double) { return x <= a ? 0 : x; },
                                   kExact, "alpha", 1.0F};
constexpr Formula kSoftplus{Kind::softplus,
                            [](double x, double, double) { return x == x ? softplus(x) : x; }};
constexpr Formula kSoftsign{Kind::softsign,
                            [](double x, double, double) { return x / (1 + std::fabs(x)); }};
constexpr Formula kMish{Kind::mish,
                        [](double x, double, double) { return x * std::tanh(softplus(x)); }};
constexpr Formula kGelu{Kind::gelu,
                        [](double x, double, double) { return x * normal_distribution(x); }};
constexpr Formula kGeluTanh{Kind::gelu_tanh, [](double x, double, double) {
                              const double inner = x + 0.044715 * x * x * x;
                              return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * inner));
                            }};

/// Its results below -lambd and above lambd; NaN stays.
double shrunk(double x, double lambd, double bias) {
  if (x < -lambd) return x + bias;
  if (x > lambd) return x - bias;
  return x == x ? 0 : x;
}
constexpr Formula kShrink{Kind::shrink, shrunk, kExact, "lambd", 0.5F, "bias", 0.0F};

std::optional<PostOp> celu_post_op(const NodeView& node) {
  const PostOp op = kCelu.post_op(node);
  return op.alpha > 0 ? std::optional(op) : std::nullopt;
}

bool gelu_by_tanh(const NodeView& node) {
  const std::string text = node.attributes().text("approximate", "none");
  if (text != "none" && text != "tanh") {
    throw input_error("\"approximate\" is \"" + text + "\", not \"none\" or \"tanh\"");
  }
  return text == "tanh";
}

std::optional<PostOp> gelu_post_op(const NodeView& node) {
  return PostOp{gelu_by_tanh(node) ? Kind::gelu_tanh : Kind::gelu};
}

std::vector<Tensor> gelu_reference(const ReferenceCall& call) {
  return gelu_by_tanh(call.node) ? formula_reference<kGeluTanh>(call)
                                 : formula_reference<kGelu>(call);
}

void infer_gelu(InferContext& context) {
  gelu_by_tanh(context.node);
  infer_same_type(context);
}

std::optional<PostOp> relu_post_op(const NodeView&) { return PostOp{Kind::relu}; }

std::vector<Tensor> relu_reference(const ReferenceCall& call) {
  return one_result(map_elements<kFloats | kSigned>(
      call.input(0), []<class T>(T x) { return x < T{} ? T{} : x; }));
}

std::optional<Range> relu_keeps(const NodeView&) {
  return Range{0, std::numeric_limits<float>::infinity()};
}

/// Integer kernels know its range without data.
OpDef with_range(OpDef def, Range range) {
  def.quant = {.behaviour = Behaviour::compute,
               .inputs = {{OperandRole::activation}},
               .fixed_output = range};
  return def;
}

}  // namespace

void register_activation(OpRegistry& ops) {
  OpDef relu = unary_record("Relu", 1, relu_reference);
  relu.fusion = Fusion::unary;
  relu.lower = lower_unary<relu_post_op>;
  relu.post_op = relu_post_op;
  relu.gradient = unary_gradient;
  relu.quant.keeps = relu_keeps;
  ops.add(std::move(relu));
  ops.add(formula_record<kLeakyRelu>("LeakyRelu", 1));
  ops.add(with_range(formula_record<kSigmoid>("Sigmoid", 1), {0, 1}));
  ops.add(with_range(formula_record<kTanh>("Tanh", 1), {-1, 1}));
  ops.add(formula_record<kHardSigmoid>("HardSigmoid", 1));
  ops.add(formula_record<kHardSwish>("HardSwish", 14));
  ops.add(formula_record<kElu>("Elu", 1));
  ops.add(formula_record<kSelu1>("Selu", 1));
  ops.add(formula_record<kSelu>("Selu", 6));
  ops.add(formula_record<kCelu, celu_post_op>("Celu", 12));
  ops.add(formula_record<kThresholdedRelu>("ThresholdedRelu", 10));
  ops.add(formula_record<kSoftplus>("Softplus", 1));
  ops.add(formula_record<kSoftsign>("Softsign", 1));
  ops.add(formula_record<kShrink>("Shrink", 9));
  ops.add(formula_record<kMish>("Mish", 18));

  OpDef gelu = formula_record<kGelu, gelu_post_op>("Gelu", 20);
  gelu.infer = infer_gelu;
  gelu.reference = gelu_reference;
  ops.add(std::move(gelu));

  // ONNX Runtime's, into which it and the executor fuse the spelled-out forms.
  for (OpDef fused : {formula_record<kGelu>("Gelu", 1), formula_record<kGeluTanh>("FastGelu", 1)}) {
    fused.key.domain = "com.microsoft";
    ops.add(std::move(fused));
  }
}

}  // namespace qtool
