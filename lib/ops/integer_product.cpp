// SPDX-License-Identifier: Apache-2.0
// ConvInteger, MatMulInteger, QLinearConv, QLinearMatMul (opset 10; 21 adds float8 and halves,
// which are not computed). Sums are exact; QLinear results are requantized in float, as ONNX
// Runtime does: round(sum * (scale_x * scale_w / scale_y)) + zero_y.
#include <algorithm>

#include "kernels/host/code_product.h"
#include "kernels/onednn/integer.h"
#include "kernels/reference/reference.h"
#include "ops/families.h"
#include "ops/lone_node.h"
#include "ops/lowering.h"
#include "ops/reals.h"
#include "ops/shapes.h"
#include "support/text.h"

namespace qtool {

namespace {

/// Slots of an operand: its codes, its zero point.
struct Coded {
  size_t codes;
  size_t zero_point;
};

bool is_code(DType dtype) {
  return dtype == DType::uint8 || dtype == DType::int8 || dtype == DType::undefined;
}

void check_codes(const NodeView& node, const Coded& operand) {
  const DType codes = node.input_type(operand.codes).dtype;
  const DType zero = node.input_type(operand.zero_point).dtype;
  if (!is_code(codes)) {
    throw unsupported_error(
        fmt::format("input {} is {}: codes are uint8 or int8", operand.codes, name(codes)));
  }
  if (codes != DType::undefined && zero != DType::undefined && codes != zero) {
    throw input_error(
        fmt::format("codes of type {}, but zero points of type {}", name(codes), name(zero)));
  }
}

/// The shape that the product of real numbers has.
std::optional<std::vector<Dim>> product_shape(const NodeView& node, const char* op, Coded x,
                                              Coded w, size_t bias) {
  check_codes(node, x);
  check_codes(node, w);
  std::vector<TensorType> types;
  types.emplace_back(DType::float32, node.input_type(x.codes).shape);
  types.emplace_back(DType::float32, node.input_type(w.codes).shape);
  if (node.has_input(bias)) types.emplace_back(DType::float32, node.input_type(bias).shape);
  return LoneNode(node, {"", op}, node.opset(), types).result().shape;
}

constexpr size_t kNone = SIZE_MAX;

void infer_conv_integer(InferContext& context) {
  context.set_output(0, {DType::int32, product_shape(context.node, "Conv", {0, 2}, {1, 3}, kNone)});
}

void infer_matmul_integer(InferContext& context) {
  context.set_output(0,
                     {DType::int32, product_shape(context.node, "MatMul", {0, 2}, {1, 3}, kNone)});
}

void infer_qlinear(InferContext& context, const char* op, size_t bias) {
  const NodeView& node = context.node;
  check_single(node, 6, "the scale of the result");
  check_single(node, 7, "the zero point of the result");
  if (!is_code(node.input_type(7).dtype)) {
    throw unsupported_error(fmt::format("a result of type {}: codes are uint8 or int8",
                                        name(node.input_type(7).dtype)));
  }
  context.set_output(0, {node.input_type(7).dtype, product_shape(node, op, {0, 2}, {3, 5}, bias)});
}

void infer_qlinear_conv(InferContext& context) {
  check_single(context.node, 1, "the scale of the source");
  infer_qlinear(context, "Conv", 8);
}

void infer_qlinear_matmul(InferContext& context) { infer_qlinear(context, "MatMul", kNone); }

// ---- references -------------------------------------------------------------------------------

/// A number for each index along an axis: one for all, or one each.
template <class T>
class Along {
 public:
  Along(std::vector<T> values, int64_t extent, int64_t inner, const char* what)
      : values_(std::move(values)), inner_(inner) {
    if (values_.size() != 1 && static_cast<int64_t>(values_.size()) != extent) {
      throw input_error(
          fmt::format("{} {} for an axis of extent {}", values_.size(), what, extent));
    }
  }
  T operator[](size_t element) const {
    return values_.size() == 1 ? values_[0]
                               : values_[element / static_cast<size_t>(inner_) % values_.size()];
  }

 private:
  std::vector<T> values_;
  int64_t inner_;
};

/// Codes less their zero points, which follow `axis` where there are several.
std::vector<uint64_t> centred(const ReferenceCall& call, Coded operand, size_t axis) {
  std::vector<uint64_t> codes = integers(call, operand.codes);
  if (!call.has(operand.zero_point)) return codes;
  const Shape& shape = call.input(operand.codes).shape();
  const bool vector = shape.size() == 1;
  const int64_t extent = vector ? 1 : shape.at(axis);
  int64_t inner = 1;
  for (size_t d = axis + 1; d < shape.size(); ++d) inner *= shape[d];
  const Along<uint64_t> zeros(integers(call, operand.zero_point), extent,
                              std::max<int64_t>(inner, 1), "zero points");
  for (size_t i = 0; i < codes.size(); ++i) codes[i] -= zeros[i];
  return codes;
}

reference::Values<uint64_t> conv_sums(const ReferenceCall& call, Coded x, Coded w,
                                      const std::vector<uint64_t>& bias) {
  const Shape& source = call.input(x.codes).shape();
  const Shape& weights = call.input(w.codes).shape();
  const Window window = read_window(call.node, {weights.begin() + 2, weights.end()}, source);
  Shape out;
  for (size_t i = 0; i < window.rank(); ++i) out.push_back(window.extent(i, source[i + 2]));
  return reference::convolution<uint64_t>(
      {source, centred(call, x, 0)}, {weights, centred(call, w, 0)}, bias,
      {window.kernel, window.strides, window.pads, window.dilations},
      call.node.attributes().integer("group", 1), out);
}

reference::Values<uint64_t> matmul_sums(const ReferenceCall& call, Coded a, Coded b) {
  const Shape& left = call.input(a.codes).shape();
  const Shape& right = call.input(b.codes).shape();
  return reference::matmul<uint64_t>(
      {left, centred(call, a, left.size() < 2 ? 0 : left.size() - 2)},
      {right, centred(call, b, right.size() - 1)});
}

std::vector<Tensor> conv_integer_reference(const ReferenceCall& call) {
  const auto sums = conv_sums(call, {0, 2}, {1, 3}, {});
  return one_result(integer_tensor(DType::int32, sums.shape, sums.elements));
}

std::vector<Tensor> matmul_integer_reference(const ReferenceCall& call) {
  const auto sums = matmul_sums(call, {0, 2}, {1, 3});
  return one_result(integer_tensor(DType::int32, sums.shape, sums.elements));
}

/// Sums in units of the products of scales, to codes of the result.
Tensor requantized(const ReferenceCall& call, const reference::Values<uint64_t>& sums,
                   const Along<float>& source, const Along<float>& weights) {
  const float scale = to_floats(call.input(6)).at(0);
  const Tensor& zero = call.input(7);
  const QuantParams params = checked_params({8, zero.dtype() == DType::int8, false}, {scale},
                                            {static_cast<int32_t>(to_int64s(zero).at(0))});
  std::vector<uint64_t> codes(sums.elements.size());
  for (size_t i = 0; i < codes.size(); ++i) {
    const auto sum = static_cast<float>(static_cast<int64_t>(sums.elements[i]));
    const float multiplier = source[i] * weights[i] / scale;
    codes[i] = static_cast<uint64_t>(
        static_cast<int64_t>(quantize_value(sum * multiplier, 1.0F, params.zero_point[0],
                                            params.type.lowest(), params.type.highest())));
  }
  return integer_tensor(zero.dtype(), sums.shape, codes);
}

std::vector<Tensor> qlinear_conv_reference(const ReferenceCall& call) {
  const auto sums =
      conv_sums(call, {0, 2}, {3, 5}, call.has(8) ? integers(call, 8) : std::vector<uint64_t>{});
  int64_t inner = 1;
  for (size_t d = 2; d < sums.shape.size(); ++d) inner *= std::max<int64_t>(sums.shape[d], 1);
  const Along<float> source(to_floats(call.input(1)), 1, 1, "scales");
  const Along<float> weights(to_floats(call.input(4)), sums.shape[1], inner, "scales");
  return one_result(requantized(call, sums, source, weights));
}

std::vector<Tensor> qlinear_matmul_reference(const ReferenceCall& call) {
  const auto sums = matmul_sums(call, {0, 2}, {3, 5});
  const Shape& a = call.input(0).shape();
  const Shape& b = call.input(3).shape();
  const int64_t columns = b.size() < 2 ? 1 : b.back();
  const int64_t rows = a.size() < 2 ? 1 : a[a.size() - 2];
  const Along<float> source(to_floats(call.input(1)), rows, std::max<int64_t>(columns, 1),
                            "scales");
  const Along<float> weights(to_floats(call.input(4)), columns, 1, "scales");
  return one_result(requantized(call, sums, source, weights));
}

// ---- lowering ---------------------------------------------------------------------------------

/// What both products of whole numbers share, or why there is no kernel.
std::string start(const LowerContext& context, onednn::IntegerProductSpec& spec) {
  if (context.inputs[1].constant == nullptr) return "weights that are computed at run time";
  if (context.has(3) && context.inputs[3].constant == nullptr)
    return "zero points of the weights that are computed at run time";
  spec.source = context.inputs[0].dtype;
  spec.weights = context.inputs[1].constant.get();
  spec.source_zero = context.has(2);
  if (context.has(3)) {
    std::ranges::transform(to_int64s(*context.inputs[3].constant),
                           std::back_inserter(spec.weight_zeros),
                           [](int64_t zero) { return static_cast<int32_t>(zero); });
  }
  return {};
}

bool zeros_fit(const onednn::IntegerProductSpec& spec, int64_t channels) {
  return spec.weight_zeros.size() <= 1 ||
         static_cast<int64_t>(spec.weight_zeros.size()) == channels;
}

Lowering finished(MadeKernel made, Layout layout) {
  Lowering result =
      lowering(std::move(made), {layout, Layout::plain, Layout::plain, Layout::plain}, {layout});
  result.packed = {1, 3};
  return result;
}

Lowering lower_conv_integer(const LowerContext& context) {
  onednn::IntegerProductSpec spec;
  if (auto why = start(context, spec); !why.empty()) return Lowering::refuse(std::move(why));
  if (context.has(2) && element_count(context.inputs[2].shape) != 1)
    return Lowering::refuse("several zero points of the source");
  spec.source_shape = context.inputs[0].shape;
  spec.destination_shape = context.outputs[0].shape;
  if (!zeros_fit(spec, spec.destination_shape[1]))
    return Lowering::refuse("zero points that do not fit the filters");
  const Shape& weights = context.inputs[1].shape;
  const Window window =
      read_window(context.node, {weights.begin() + 2, weights.end()}, spec.source_shape);
  return finished(
      onednn::make_integer_convolution(spec, {context.node.attributes().integer("group", 1),
                                              window.strides, window.pads, window.dilations}),
      Layout::channels_last);
}

/// Both operands, or their zero points, are known only at run time.
Lowering lower_matmul_of_activations(const LowerContext& context) {
  for (const size_t zero : {size_t{2}, size_t{3}}) {
    if (context.has(zero) && element_count(context.inputs[zero].shape) != 1)
      return Lowering::refuse("several zero points of operands that are computed at run time");
  }
  onednn::MatmulSpec spec;
  spec.source = operand(context.inputs[0], Layout::plain);
  spec.weights = operand(context.inputs[1], Layout::plain);
  spec.destination = operand(context.outputs[0], Layout::plain);
  const size_t rank = spec.destination.shape.size();
  const auto widen = [rank](Shape& shape) {
    if (shape.size() >= 2 && shape.size() < rank)
      shape.insert(shape.begin(), rank - shape.size(), 1);
  };
  widen(spec.source.shape);
  widen(spec.weights.shape);
  return lowering(make_code_sums(spec), std::vector<Layout>(4, Layout::plain));
}

Lowering lower_matmul_integer(const LowerContext& context) {
  const auto at_run = [&](size_t i) {
    return context.has(i) && context.inputs[i].constant == nullptr;
  };
  if (at_run(1) || at_run(3)) return lower_matmul_of_activations(context);
  onednn::IntegerProductSpec spec;
  if (auto why = start(context, spec); !why.empty()) return Lowering::refuse(std::move(why));
  const Shape& a = context.inputs[0].shape;
  if (a.empty() || context.inputs[1].shape.size() != 2)
    return Lowering::refuse("weights that are no matrix");
  const int64_t inner = a.back();
  const int64_t rows = element_count(a) / std::max<int64_t>(inner, 1);
  spec.source_shape = {rows, inner};
  spec.destination_shape = {rows, context.outputs[0].shape.back()};
  const int64_t zeros = context.has(2) ? element_count(context.inputs[2].shape) : 1;
  const bool by_row = a.size() > 1 && zeros == a[a.size() - 2];
  if ((zeros != 1 && !by_row) || !zeros_fit(spec, spec.destination_shape[1]))
    return Lowering::refuse("zero points that do not fit the operands");
  return finished(onednn::make_integer_matmul(spec, zeros), Layout::plain);
}

uint64_t conv_macs(const NodeView& node, size_t weights) {
  const auto y = node.output_type(0).concrete_shape();
  const auto w = node.input_type(weights).concrete_shape();
  if (!y || !w || w->empty() || (*w)[0] == 0) return 0;
  return static_cast<uint64_t>(element_count(*y)) *
         static_cast<uint64_t>(element_count(*w) / (*w)[0]);
}

uint64_t matmul_macs(const NodeView& node) {
  const auto y = node.output_type(0).concrete_shape();
  const auto a = node.input_type(0).concrete_shape();
  if (!y || !a || a->empty()) return 0;
  return static_cast<uint64_t>(element_count(*y)) * static_cast<uint64_t>(a->back());
}

/// QLinear products are compiled as the real op between DQ and Q (qoperator.h).
constexpr Tolerance kOneCode{0, 1};

}  // namespace

void register_integer_product(OpRegistry& ops) {
  ops.add({.key = {"", "ConvInteger"},
           .since_version = 10,
           .inputs = {2, 4},
           .outputs = {1, 1},
           .infer = infer_conv_integer,
           .reference = conv_integer_reference,
           .taste = LayoutTaste::channels_last,
           .lower = lower_conv_integer,
           .macs = [](const NodeView& node) { return conv_macs(node, 1); }});
  ops.add({.key = {"", "MatMulInteger"},
           .since_version = 10,
           .inputs = {2, 4},
           .outputs = {1, 1},
           .infer = infer_matmul_integer,
           .reference = matmul_integer_reference,
           .lower = lower_matmul_integer,
           .macs = matmul_macs});
  ops.add({.key = {"", "QLinearConv"},
           .since_version = 10,
           .inputs = {8, 9},
           .outputs = {1, 1},
           .infer = infer_qlinear_conv,
           .reference = qlinear_conv_reference,
           .tolerance = kOneCode,
           .macs = [](const NodeView& node) { return conv_macs(node, 3); }});
  ops.add({.key = {"", "QLinearMatMul"},
           .since_version = 10,
           .inputs = {8, 8},
           .outputs = {1, 1},
           .infer = infer_qlinear_matmul,
           .reference = qlinear_matmul_reference,
           .tolerance = kOneCode,
           .macs = matmul_macs});
}

}  // namespace qtool
