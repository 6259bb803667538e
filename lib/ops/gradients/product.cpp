// SPDX-License-Identifier: Apache-2.0
// Gradients of Gemm and MatMul, by the op Product: MatMul whose operands may be stored transposed.
#include <algorithm>
#include <map>

#include "kernels/reference/reference.h"
#include "ops/einsum_equation.h"
#include "ops/gradients/gradients.h"
#include "ops/lowering.h"
#include "ops/reals.h"
#include "ops/shapes.h"
#include "support/text.h"

namespace qtool {

namespace {

bool flag(const NodeView& node, const char* name) {
  return node.attributes().integer(name, 0) != 0;
}

/// `flat`: both operands are matrices of all leading dimensions' rows, transA, and the result is
/// their product, summed over them: the gradient of a matrix that many rows share.
struct Operands {
  Shape a;
  Shape b;
  bool transposed_a;
  bool transposed_b;
  Shape result;
};

Shape as_rows(const Shape& shape) {
  return {element_count({shape.begin(), shape.end() - 1}), shape.back()};
}

Operands operands_of(const NodeView& node, Shape a, Shape b) {
  if (a.size() < 2 || b.size() < 2) throw input_error("a product of vectors");
  Operands all{std::move(a), std::move(b), flag(node, "transA"), flag(node, "transB"), {}};
  // One matrix on the right for all: the leading dimensions are rows of one large product.
  const bool one_matrix = all.b.size() == 2 && !all.transposed_a && all.a.size() > 2;
  Shape leading;
  if (flag(node, "flat")) {
    all.a = as_rows(all.a);
    all.b = as_rows(all.b);
  } else if (one_matrix) {
    leading = {all.a.begin(), all.a.end() - 2};
    leading.push_back(all.a[all.a.size() - 2]);
    all.a = as_rows(all.a);
  }
  const size_t ra = all.a.size();
  const size_t rb = all.b.size();
  const int64_t m = all.a[ra - (all.transposed_a ? 1 : 2)];
  const int64_t k = all.a[ra - (all.transposed_a ? 2 : 1)];
  const int64_t inner = all.b[rb - (all.transposed_b ? 1 : 2)];
  const int64_t n = all.b[rb - (all.transposed_b ? 2 : 1)];
  if (k != inner) throw input_error(fmt::format("inner extents differ: {} and {}", k, inner));
  if (one_matrix && !leading.empty()) {
    all.result = leading;
  } else {
    const auto batch =
        broadcast({all.a.begin(), all.a.end() - 2}, {all.b.begin(), all.b.end() - 2});
    if (!batch) throw input_error("leading dimensions that do not broadcast");
    all.result = *batch;
    all.result.push_back(m);
  }
  all.result.push_back(n);
  return all;
}

void infer_product(InferContext& context) {
  const NodeView& node = context.node;
  const auto a = node.input_type(0).concrete_shape();
  const auto b = node.input_type(1).concrete_shape();
  TensorType type{node.input_type(0).dtype, std::nullopt};
  if (a && b) type = {type.dtype, operands_of(node, *a, *b).result};
  context.set_output(0, std::move(type));
}

reference::Values<double> matrices(const Shape& shape, std::vector<double> elements,
                                   bool transposed) {
  if (!transposed) return {shape, std::move(elements)};
  reference::Values<double> turned{shape, std::vector<double>(elements.size())};
  std::swap(turned.shape[shape.size() - 1], turned.shape[shape.size() - 2]);
  const auto columns = static_cast<size_t>(shape[shape.size() - 1]);
  const auto rows = static_cast<size_t>(shape[shape.size() - 2]);
  for (size_t i = 0; i < elements.size(); ++i) {
    const size_t base = i / (rows * columns) * rows * columns;
    turned.elements[base + i % columns * rows + i / columns % rows] = elements[i];
  }
  return turned;
}

std::vector<Tensor> product_reference(const ReferenceCall& call) {
  const Operands all = operands_of(call.node, call.input(0).shape(), call.input(1).shape());
  const auto y = reference::matmul(matrices(all.a, reals(call, 0), all.transposed_a),
                                   matrices(all.b, reals(call, 1), all.transposed_b));
  return one_result(real_tensor(call.input(0).dtype(), all.result, y.elements));
}

Lowering lower_product(const LowerContext& context) {
  if (context.inputs[0].dtype != DType::float32) return Lowering::refuse("not float32");
  Operands all = operands_of(context.node, context.inputs[0].shape, context.inputs[1].shape);
  if (all.transposed_a) std::swap(all.a[all.a.size() - 1], all.a[all.a.size() - 2]);
  if (all.transposed_b) std::swap(all.b[all.b.size() - 1], all.b[all.b.size() - 2]);
  while (all.a.size() < all.b.size()) all.a.insert(all.a.begin(), 1);
  while (all.b.size() < all.a.size()) all.b.insert(all.b.begin(), 1);
  onednn::MatmulSpec spec;
  spec.source = {DType::float32, all.a, Layout::plain, nullptr};
  spec.weights = {DType::float32, all.b, Layout::plain, nullptr};
  Shape result{all.a.begin(), all.a.end() - 1};
  for (size_t d = 0; d + 2 < all.b.size(); ++d) {
    if (result[d] == 1) result[d] = all.b[d];
  }
  result.push_back(all.b.back());
  spec.destination = {DType::float32, std::move(result), Layout::plain, nullptr};
  spec.transposed_source = all.transposed_a;
  spec.transposed_weights = all.transposed_b;
  return lowering(onednn::make_matmul(spec), {Layout::plain, Layout::plain});
}

ValueId product(GradContext& context, ValueId a, bool transposed_a, ValueId b, bool transposed_b,
                bool flat = false) {
  Attributes attributes;
  attributes.set("transA", static_cast<int64_t>(transposed_a));
  attributes.set("transB", static_cast<int64_t>(transposed_b));
  attributes.set("flat", static_cast<int64_t>(flat));
  return context.emit("Product", {a, b}, std::move(attributes));
}

ValueId scaled(GradContext& context, ValueId x, float factor) {
  if (factor == 1) return x;
  Tensor number = cast(Tensor::scalar(factor), context.node.output_type(0).dtype);
  return context.emit_onnx("Mul", {x, context.constant(std::move(number))});
}

}  // namespace

// Y = alpha A' B' + beta C, A' and B' being A and B or transposed.
void gemm_gradient(GradContext& context) {
  const bool ta = flag(context.node, "transA");
  const bool tb = flag(context.node, "transB");
  const ValueId gy =
      scaled(context, context.upstream(), context.node.attributes().real("alpha", 1));
  if (context.wants(0)) {
    context.give(0, ta ? product(context, context.input(1), tb, gy, true)
                       : product(context, gy, false, context.input(1), !tb));
  }
  if (context.wants(1)) {
    context.give(1, tb ? product(context, gy, true, context.input(0), ta)
                       : product(context, context.input(0), !ta, gy, false));
  }
  if (!context.wants(2)) return;
  const ValueId gc = scaled(context, context.upstream(), context.node.attributes().real("beta", 1));
  context.give(2, context.emit("SumLike", {gc, context.input(2)}));
}

void matmul_gradient(GradContext& context) {
  const auto& a = context.node.input_type(0).shape;
  const auto& b = context.node.input_type(1).shape;
  if (!a || !b) throw unsupported_error("the ranks of its inputs are not known");
  if (a->size() < 2 || b->size() < 2) throw unsupported_error("a product of vectors");
  const ValueId gy = context.upstream();
  if (context.wants(0)) {
    const ValueId whole = product(context, gy, false, context.input(1), true);
    context.give(0, context.emit("SumLike", {whole, context.input(0)}));
  }
  if (!context.wants(1)) return;
  const bool shared = b->size() == 2;
  const ValueId whole = product(context, context.input(0), true, gy, false, shared);
  context.give(1, shared ? whole : context.emit("SumLike", {whole, context.input(1)}));
}

/// Of an input the sum of products of the gradient and the other inputs, over the labels that it
/// has not itself. Axes under an ellipsis get letters.
void einsum_gradient(GradContext& context) {
  const NodeView& node = context.node;
  std::vector<size_t> ranks;
  for (size_t i = 0; i < context.input_count(); ++i) {
    const auto& shape = node.input_type(i).shape;
    if (!shape) throw unsupported_error("the rank of its input is not known");
    ranks.push_back(shape->size());
  }
  const EinsumEquation equation = parse_equation(node.attributes().text("equation", ""), ranks);
  std::map<int, char> letters;
  const auto term = [&](const std::vector<int>& labels) {
    std::string text;
    for (const int label : labels) {
      const size_t next = letters.size();
      if (next >= 52) throw unsupported_error("it has more than 52 labels");
      const char fresh = static_cast<char>(next < 26 ? 'a' + next : 'A' + (next - 26));
      text += letters.emplace(label, fresh).first->second;
    }
    return text;
  };
  for (size_t i = 0; i < context.input_count(); ++i) {
    if (!context.wants(i)) continue;
    std::string text = term(equation.output);
    std::vector<ValueId> inputs{context.upstream()};
    for (size_t other = 0; other < context.input_count(); ++other) {
      if (other == i) continue;
      text += ',' + term(equation.inputs[other]);
      inputs.push_back(context.input(other));
    }
    const std::string result = term(equation.inputs[i]);
    for (const char letter : result) {
      if (text.find(letter) == std::string::npos)
        throw unsupported_error("a label stands in one input alone");
      if (std::ranges::count(result, letter) > 1)
        throw unsupported_error("a label stands twice in an input");
    }
    Attributes attributes;
    attributes.set("equation", text + "->" + result);
    const ValueId sum = context.emit_onnx("Einsum", std::move(inputs), std::move(attributes));
    context.give(i, context.emit("SumLike", {sum, context.input(i)}));
  }
}

void register_training_product(OpRegistry& ops) {
  OpDef def = training_record("Product", {2, 2}, {1, 1}, infer_product, product_reference);
  def.lower = lower_product;
  ops.add(std::move(def));
}

}  // namespace qtool
