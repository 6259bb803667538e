// SPDX-License-Identifier: Apache-2.0
// Ops as they were before opset 7, which brought NumPy's broadcasting: Add, Sub, Mul, Div and Pow
// with the attributes `broadcast` and `axis`, PRelu with a slope a channel, Gemm with `broadcast`,
// BatchNormalization with `is_test`. Each is the op of opset 7 with its second input under
// another shape.
#include "ops/families.h"
#include "ops/lone_node.h"
#include "ops/lowering.h"
#include "ops/shapes.h"
#include "support/text.h"

namespace qtool {

namespace {

constexpr int64_t kOpset = 7;

/// Where the second input's dimensions begin among the first's, or nothing: at its end.
std::optional<int64_t> first_axis(const NodeView& node, size_t rank, size_t second) {
  const std::string& type = node.op().type;
  if (type == "PRelu") {
    return second == 1 && rank > 1 ? std::optional<int64_t>(1) : std::nullopt;
  }
  if (!node.attributes().has("axis")) return std::nullopt;
  return normalized_axis(node.attributes().integer("axis", 0), static_cast<int64_t>(rank), true);
}

/// Dimensions of 1 to put behind those of the second input, for ops of two.
size_t trailing_ones(const NodeView& node, size_t rank, size_t second) {
  const auto axis = first_axis(node, rank, second);
  if (!axis) return 0;
  const size_t end = static_cast<size_t>(*axis) + second;
  if (end > rank) {
    throw input_error(
        fmt::format("{} dimensions from axis {} on do not fit into {}", second, *axis, rank));
  }
  return rank - end;
}

bool is_pair(const NodeView& node) {
  return node.op().type != "Gemm" && node.op().type != "BatchNormalization";
}

/// Without `broadcast` both operands have one shape.
void check_unbroadcast(const NodeView& node) {
  if (node.op().type == "PRelu" || node.attributes().integer("broadcast", 0) != 0) return;
  const auto a = node.input_type(0).concrete_shape();
  const auto b = node.input_type(1).concrete_shape();
  if (!a || !b || *a == *b) return;
  throw input_error(fmt::format("the shapes {} and {} differ, and `broadcast` is not set",
                                to_string(*a), to_string(*b)));
}

std::vector<TensorType> modern_types(const NodeView& node) {
  std::vector<TensorType> types;
  for (size_t i = 0; i < node.input_count(); ++i) types.push_back(node.input_type(i));
  if (!is_pair(node) || types.size() < 2 || !types[0].shape || !types[1].shape) return types;
  types[1].shape->resize(
      types[1].shape->size() + trailing_ones(node, types[0].shape->size(), types[1].shape->size()),
      Dim{1, {}});
  return types;
}

void check(const NodeView& node) {
  if (is_pair(node)) check_unbroadcast(node);
  if (node.op().type != "BatchNormalization") return;
  bool trains = node.attributes().integer("is_test", 0) == 0;
  for (size_t i = 1; i < node.output_count(); ++i) trains = trains || node.has_output(i);
  if (trains) {
    throw unsupported_error("BatchNormalization in training mode",
                            "Export the model for inference.");
  }
}

void infer_legacy(InferContext& context) {
  const NodeView& node = context.node;
  check(node);
  const std::vector<TensorType> types = modern_types(node);
  TensorType result{node.input_type(0).dtype, std::nullopt};
  // A shape of unknown rank behind an axis says nothing of the result's.
  const bool known = !is_pair(node) || (types[0].shape && types[1].shape);
  if (known) result = LoneNode(node, node.op(), kOpset, types).result();
  context.set_output(0, std::move(result));
}

std::vector<Tensor> legacy_reference(const ReferenceCall& call) {
  const std::vector<TensorType> types = modern_types(call.node);
  std::vector<const Tensor*> inputs(call.inputs.begin(), call.inputs.end());
  Tensor second;
  if (is_pair(call.node)) {
    second = call.input(1).clone().reshaped(*types[1].concrete_shape());
    inputs[1] = &second;
  }
  return one_result(LoneNode(call.node, call.node.op(), kOpset, types).evaluate(inputs));
}

Lowering lower_legacy(const LowerContext& context) {
  const std::vector<TensorType> types = modern_types(context.node);
  const LoneNode modern(context.node, context.node.op(), kOpset, types);
  const NodeView view = modern.view();
  LowerContext same{view, context.inputs, context.outputs, context.post_ops};
  if (is_pair(context.node)) {
    const Shape shape = *types[1].concrete_shape();
    LowerInput& second = same.inputs[1];
    if (second.shape != shape) {
      if (second.shape.size() > 2) return Lowering::refuse("an operand broadcast in the middle");
      second.shape = shape;
      second.layout = Layout::plain;
      if (second.constant != nullptr)
        second.constant = make_constant(second.constant->clone().reshaped(shape));
    }
  }
  return builtin_ops().find(context.node.op(), kOpset)->lower(same);
}

}  // namespace

void register_legacy(OpRegistry& ops) {
  for (const char* type :
       {"Add", "Sub", "Mul", "Div", "Pow", "PRelu", "Gemm", "BatchNormalization"}) {
    const OpDef* modern = ops.find({"", type}, kOpset);
    QTOOL_CHECK(modern != nullptr, type);
    OpDef def = *modern;
    def.since_version = 1;
    def.infer = infer_legacy;
    def.reference = legacy_reference;
    if (def.lower != nullptr) def.lower = lower_legacy;
    def.post_op = nullptr;
    def.gradient = nullptr;
    ops.add(std::move(def));
  }
}

}  // namespace qtool
