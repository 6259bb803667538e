// SPDX-License-Identifier: Apache-2.0
// ONNX Runtime's ops on codes (com.microsoft 1), as its quantizer emits them beside QLinearConv and
// QLinearMatMul. Their references compute by the steps of ONNX: dequantize, the real op, quantize.
#include "ops/qoperator.h"

#include <algorithm>

#include "ops/families.h"
#include "ops/lone_node.h"
#include "ops/shapes.h"
#include "support/text.h"

namespace qtool {

namespace {

constexpr const char* kMicrosoft = "com.microsoft";

/// One operand, then the parameters of the result.
QOperator unary(const char* name, const char* real) {
  return {{kMicrosoft, name}, {"", real}, {{0, 1, 2}}, 3, 4};
}

QOperator binary(const char* name, const char* real) {
  return {{kMicrosoft, name}, {"", real}, {{0, 1, 2}, {3, 4, 5}}, 6, 7};
}

std::vector<QOperator> all_forms() {
  std::vector<QOperator> forms;
  forms.push_back({{"", "QLinearConv"}, {"", "Conv"}, {{0, 1, 2}, {3, 4, 5}}, 6, 7, 8});
  forms.push_back({{"", "QLinearMatMul"}, {"", "MatMul"}, {{0, 1, 2, -2}, {3, 4, 5, -1}}, 6, 7});
  forms.push_back(binary("QLinearAdd", "Add"));
  forms.push_back(binary("QLinearMul", "Mul"));
  for (const char* op :
       {"AveragePool", "GlobalAveragePool", "LeakyRelu", "Sigmoid", "Softmax", "ReduceMean"}) {
    forms.push_back(unary((std::string("QLinear") + op).c_str(), op));
  }
  forms.push_back({{kMicrosoft, "QLinearConcat"}, {"", "Concat"}, {{2, 3, 4}}, 0, 1, -1, true});
  forms.push_back({{kMicrosoft, "QLinearWhere"}, {"", "Where"}, {{0}, {1, 2, 3}, {4, 5, 6}}, 7, 8});
  forms.push_back(
      {{kMicrosoft, "QGemm"}, {"", "Gemm"}, {{0, 1, 2}, {3, 4, 5, 1}}, 7, 8, 6, false, "transB"});
  return forms;
}

const QOperator& form_of(const NodeView& node) {
  const QOperator* form = find_qoperator(node.op());
  QTOOL_CHECK(form != nullptr, node.description());
  return *form;
}

bool has(const NodeView& node, int slot) {
  return slot >= 0 && node.has_input(static_cast<size_t>(slot));
}

/// The version of ai.onnx in which the real op's attributes are meant.
int64_t real_opset(const QOperator& form, const Attributes& attributes, int64_t model_opset) {
  if (form.key.domain.empty()) return model_opset;
  // Softmax says whose axis it means; axes are an attribute of reductions up to 17.
  return attributes.integer("opset", 13);
}

/// The node of the real op; its operands have the codes' shapes.
LoneNode real_node(const NodeView& node, const QOperator& form) {
  std::vector<TensorType> types;
  for (const CodedOperand& operand : operands_of(form, node.attributes(), node.input_count())) {
    TensorType type = node.input_type(static_cast<size_t>(operand.codes));
    if (operand.scale >= 0) type.dtype = DType::float32;
    types.push_back(std::move(type));
  }
  if (has(node, form.bias)) {
    types.emplace_back(DType::float32, node.input_type(static_cast<size_t>(form.bias)).shape);
  }
  return {node, form.real, real_opset(form, node.attributes(), 0), types};
}

void check_operand(const NodeView& node, const CodedOperand& operand) {
  if (operand.scale < 0) return;
  const DType codes = node.input_type(static_cast<size_t>(operand.codes)).dtype;
  if (codes != DType::undefined && codes != DType::uint8 && codes != DType::int8) {
    throw unsupported_error(
        fmt::format("input {} is {}: codes are uint8 or int8", operand.codes, name(codes)));
  }
  if (!has(node, operand.zero_point)) return;
  const DType zero = node.input_type(static_cast<size_t>(operand.zero_point)).dtype;
  if (codes != DType::undefined && zero != DType::undefined && codes != zero) {
    throw input_error(
        fmt::format("codes of type {}, but zero points of type {}", name(codes), name(zero)));
  }
}

/// The input whose type the result's codes have: its zero point, else an operand.
size_t type_slot(const NodeView& node, const QOperator& form) {
  return static_cast<size_t>(has(node, form.zero_point) ? form.zero_point
                                                        : form.operands.back().codes);
}

void require(const NodeView& node, int slot) {
  if (has(node, slot)) return;
  throw input_error(fmt::format("input {} is missing", slot));
}

void infer_qoperator(InferContext& context) {
  const NodeView& node = context.node;
  const QOperator& form = form_of(node);
  if (node.attributes().integer("channels_last", 0) != 0)
    throw unsupported_error("channels_last: qtool reads ONNX's order of dimensions");
  const auto operands = operands_of(form, node.attributes(), node.input_count());
  for (const CodedOperand& operand : operands) {
    require(node, operand.codes);
    if (operand.scale >= 0) require(node, operand.scale);
    check_operand(node, operand);
  }
  if (form.bias < 0) require(node, form.scale);
  TensorType type = real_node(node, form).result();
  if (!has(node, form.scale)) {  // QGemm gives real numbers then
    context.set_output(0, std::move(type));
    return;
  }
  type.dtype = node.input_type(type_slot(node, form)).dtype;
  check_single(node, static_cast<size_t>(form.scale), "the scale of the result");
  context.set_output(0, std::move(type));
}

QuantParams params_of(const ReferenceCall& call, int scale, int zero_point, DType codes,
                      std::optional<int> axis) {
  std::vector<float> scales = to_floats(call.input(static_cast<size_t>(scale)));
  if (scales.empty()) throw input_error(fmt::format("input {} has no scale", scale));
  std::vector<int32_t> zeros(scales.size(), 0);
  if (zero_point >= 0 && call.has(static_cast<size_t>(zero_point))) {
    const auto values = to_int64s(call.input(static_cast<size_t>(zero_point)));
    if (values.size() != zeros.size()) {
      throw input_error(fmt::format("{} scales, but {} zero points", zeros.size(), values.size()));
    }
    std::ranges::transform(values, zeros.begin(),
                           [](int64_t z) { return static_cast<int32_t>(z); });
  }
  if (scales.size() == 1) axis.reset();
  return checked_params({8, codes == DType::int8, false}, std::move(scales), std::move(zeros),
                        axis);
}

Tensor real_operand(const ReferenceCall& call, const CodedOperand& operand) {
  const Tensor& codes = call.input(static_cast<size_t>(operand.codes));
  if (operand.scale < 0) return codes.clone();
  const int axis = operand.axis < 0 ? operand.axis + codes.rank() : operand.axis;
  const QuantParams params =
      params_of(call, operand.scale, operand.zero_point, codes.dtype(), axis);
  if (params.axis && (axis >= codes.rank() || codes.shape()[static_cast<size_t>(axis)] !=
                                                  static_cast<int64_t>(params.scale.size()))) {
    throw input_error(fmt::format("{} scales do not fit {} along axis {}", params.scale.size(),
                                  to_string(codes.shape()), axis));
  }
  return dequantize(codes, params);
}

/// int32 codes in units of the operands' scales, and alpha where a Gemm has one.
Tensor real_bias(const ReferenceCall& call, const QOperator& form) {
  const Tensor& codes = call.input(static_cast<size_t>(form.bias));
  const float source = to_floats(call.input(static_cast<size_t>(form.operands[0].scale))).at(0);
  const auto weights = to_floats(call.input(static_cast<size_t>(form.operands[1].scale)));
  const float alpha = call.node.attributes().real("alpha", 1.0F);
  Tensor real(DType::float32, codes.shape());
  const auto values = to_doubles(codes);
  for (size_t i = 0; i < values.size(); ++i) {
    real.data<float>()[i] =
        static_cast<float>(values[i]) * (source * weights[i % weights.size()] * alpha);
  }
  return real;
}

std::vector<Tensor> qoperator_reference(const ReferenceCall& call) {
  const NodeView& node = call.node;
  const QOperator& form = form_of(node);
  std::vector<Tensor> real;
  const auto operands = operands_of(form, node.attributes(), node.input_count());
  for (const CodedOperand& operand : operands) real.push_back(real_operand(call, operand));
  if (has(node, form.bias)) real.push_back(real_bias(call, form));
  std::vector<const Tensor*> pointers;
  for (const Tensor& tensor : real) pointers.push_back(&tensor);
  Tensor result = real_node(node, form).evaluate(pointers);
  if (!has(node, form.scale)) return one_result(std::move(result));
  const DType codes = call.input(type_slot(node, form)).dtype();
  return one_result(
      quantize(result, params_of(call, form.scale, form.zero_point, codes, std::nullopt)));
}

ValueId slot_of(const Node& node, int slot) {
  const auto i = static_cast<size_t>(slot);
  return slot >= 0 && i < node.inputs.size() ? node.inputs[i] : ValueId::none;
}

ValueId emit(Graph& graph, const std::string& name, OpKey op, std::vector<ValueId> inputs,
             std::optional<int64_t> axis = {}) {
  Node node;
  node.name = graph.unique_name(name);
  node.op = std::move(op);
  node.inputs = std::move(inputs);
  if (axis) node.attributes.set("axis", *axis);
  const ValueId result = graph.add_value(graph.unique_name(name + "_out"));
  node.outputs = {result};
  graph.add_node(std::move(node));
  return result;
}

}  // namespace

std::span<const QOperator> qoperators() {
  static const std::vector<QOperator> forms = all_forms();
  return forms;
}

const QOperator* find_qoperator(const OpKey& key) {
  const auto forms = qoperators();
  const auto found = std::ranges::find(forms, key, &QOperator::key);
  return found == forms.end() ? nullptr : &*found;
}

bool computes_codes(const OpKey& key) {
  const bool whole = key == OpKey{"", "ConvInteger"} || key == OpKey{"", "MatMulInteger"} ||
                     key == OpKey{"", "DynamicQuantizeLinear"};
  return whole || find_qoperator(key) != nullptr;
}

std::vector<CodedOperand> operands_of(const QOperator& form, const Attributes& attributes,
                                      size_t input_count) {
  std::vector<CodedOperand> operands = form.operands;
  if (!form.transposes.empty() && attributes.integer(form.transposes, 0) != 0) operands[1].axis = 0;
  for (int next = operands[0].codes + 3; form.repeats && next + 2 < static_cast<int>(input_count);
       next += 3) {
    operands.push_back({next, next + 1, next + 2});
  }
  return operands;
}

namespace {

/// Puts what it stands for into the node's place.
void expand(Graph& graph, NodeId id, const QOperator& form) {
  const Node before = graph.node(id);
  const std::string name = before.name.empty() ? graph.value(before.outputs[0]).name : before.name;
  Node real;
  real.name = before.name;
  real.op = form.real;
  for (const Attributes::Entry& entry : before.attributes.entries()) real.attributes.append(entry);
  for (const CodedOperand& operand : operands_of(form, before.attributes, before.inputs.size())) {
    const ValueId codes = slot_of(before, operand.codes);
    real.inputs.push_back(
        operand.scale < 0
            ? codes
            : emit(graph, name + "_dequantize", {"", "DequantizeLinear"},
                   {codes, slot_of(before, operand.scale), slot_of(before, operand.zero_point)},
                   operand.axis));
  }
  if (const ValueId bias = slot_of(before, form.bias); bias != ValueId::none) {
    const ValueId unit =
        emit(graph, name + "_unit", {"", "Mul"},
             {slot_of(before, form.operands[0].scale), slot_of(before, form.operands[1].scale)});
    real.inputs.push_back(emit(graph, name + "_bias", {"", "DequantizeLinear"}, {bias, unit}, 0));
  }
  graph.erase(id);
  const ValueId codes = before.outputs[0];
  const ValueId result = graph.add_value(graph.unique_name(graph.value(codes).name + "_real"));
  real.outputs = {result};
  graph.add_node(std::move(real));
  Node quantize;
  quantize.name = graph.unique_name(name + "_quantize");
  quantize.op = {"", "QuantizeLinear"};
  quantize.inputs = {result, slot_of(before, form.scale), slot_of(before, form.zero_point)};
  quantize.outputs = {codes};
  graph.add_node(std::move(quantize));
}

bool expandable(const Graph& graph, const Node& node, const QOperator& form) {
  std::vector<int> slots{form.scale, form.zero_point};
  for (const CodedOperand& operand : operands_of(form, node.attributes, node.inputs.size())) {
    slots.push_back(operand.codes);
    if (operand.scale >= 0) slots.push_back(operand.scale);
  }
  if (std::ranges::any_of(slots, [&](int s) { return slot_of(node, s) == ValueId::none; }))
    return false;
  if (node.outputs.size() != 1 || node.outputs[0] == ValueId::none) return false;
  const bool biased = slot_of(node, form.bias) != ValueId::none;
  if (node.attributes.integer("channels_last", 0) != 0 ||
      (biased && node.attributes.real("alpha", 1.0F) != 1.0F)) {
    return false;
  }
  const int64_t opset = graph.model.opset();
  const OpDef* here = builtin_ops().find(form.real, opset);
  const OpDef* meant = builtin_ops().find(form.real, real_opset(form, node.attributes, opset));
  const bool quantizes = builtin_ops().find({"", "QuantizeLinear"}, opset) != nullptr;
  return quantizes && here != nullptr && here == meant;
}

}  // namespace

bool has_qoperators(const Graph& graph) {
  return std::ranges::any_of(graph.nodes(), [&](NodeId id) {
    const QOperator* form = find_qoperator(graph.node(id).op);
    return form != nullptr && expandable(graph, graph.node(id), *form);
  });
}

int expand_qoperators(Graph& graph) {
  int count = 0;
  for (const NodeId id : graph.nodes()) {
    const QOperator* form = find_qoperator(graph.node(id).op);
    if (form == nullptr || !expandable(graph, graph.node(id), *form)) continue;
    expand(graph, id, *form);
    ++count;
  }
  return count;
}

void register_qoperator(OpRegistry& ops) {
  for (const QOperator& form : qoperators()) {
    if (form.key.domain.empty()) continue;  // integer_product.cpp has exact ones
    ops.add({.key = form.key,
             .since_version = 1,
             .inputs = {2, form.repeats ? -1 : form.zero_point + 1},
             .outputs = {1, 1},
             .infer = infer_qoperator,
             .reference = qoperator_reference,
             .tolerance = {0, 1}});
  }
}

}  // namespace qtool
