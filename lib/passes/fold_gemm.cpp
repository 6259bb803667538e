// SPDX-License-Identifier: Apache-2.0
// before: %y = Gemm(%a, %B, %C) {alpha, beta, transA, transB}
// after:  %y = Gemm(%A', %B', %C') {transB}, with C' one number per column where C could be that
// when:   the operand that changes is a float constant; transB stays, because kernels and plans
//         take both forms and the weights keep their bytes
// maths:  B' = alpha B; C' = beta C, repeated to N columns; A' = transpose(A)
#include "passes/edit_constant.h"
#include "passes/passes.h"

namespace qtool {

namespace {

struct GemmFold {
  NodeId node;
  Constant weights = nullptr;  ///< times alpha; null: stays
  Constant bias = nullptr;     ///< times beta, as a vector; null: stays
  Constant source = nullptr;   ///< to transpose; null: stays
  double alpha = 1;
  double beta = 1;
  int64_t columns = 0;
};

/// All columns share the bias's rows: [], [1], [N], [1,1] or [1,N].
bool one_per_column(const Shape& bias, int64_t columns) {
  if (bias.size() > 2 || (bias.size() == 2 && bias[0] != 1)) return false;
  return bias.empty() || bias.back() == 1 || bias.back() == columns;
}

std::optional<GemmFold> match(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  if (node.op != OpKey{"", "Gemm"} || graph.model.opset() < 7 || node.inputs.size() < 2) {
    return std::nullopt;
  }
  GemmFold fold{.node = id};
  fold.alpha = static_cast<double>(node.attributes.real("alpha", 1.0F));
  fold.beta = static_cast<double>(node.attributes.real("beta", 1.0F));
  const Constant weights = float_constant(graph, node, 1);
  const Constant bias = float_constant(graph, node, 2);
  if (fold.alpha != 1) fold.weights = weights;
  if (weights != nullptr && weights->rank() == 2) {
    fold.columns = weights->shape()[node.attributes.integer("transB", 0) != 0 ? 0 : 1];
    const bool fits = bias != nullptr && one_per_column(bias->shape(), fold.columns);
    if (fits && bias->shape() != Shape{fold.columns}) fold.bias = bias;
  }
  if (bias != nullptr && fold.beta != 1) fold.bias = bias;
  if (node.attributes.integer("transA", 0) != 0) {
    const Constant source = float_constant(graph, node, 0);
    if (source != nullptr && source->rank() == 2) fold.source = source;
  }
  // An alpha or beta that means nothing goes too: what is not there needs no check later.
  const bool idle_beta = !has_input(node, 2) && node.attributes.has("beta");
  if (fold.weights == nullptr && fold.bias == nullptr && fold.source == nullptr && !idle_beta) {
    return std::nullopt;
  }
  return fold;
}

std::vector<double> scaled(const Tensor& tensor, double factor) {
  std::vector<double> elements = to_doubles(tensor);
  for (double& element : elements) element *= factor;
  return elements;
}

void fold_bias(Graph& graph, const GemmFold& fold) {
  std::vector<double> elements = scaled(*fold.bias, fold.beta);
  Shape shape = fold.bias->shape();
  if (one_per_column(shape, fold.columns)) {
    shape = {fold.columns};
    if (elements.size() == 1) elements.resize(static_cast<size_t>(fold.columns), elements[0]);
  }
  edit_constant(graph, {fold.node, 2}, to_float_tensor(shape, elements), "bias");
  graph.attributes(fold.node).erase("beta");
}

void transpose_source(Graph& graph, const GemmFold& fold) {
  const int64_t rows = fold.source->shape()[0];
  const int64_t columns = fold.source->shape()[1];
  const auto from = fold.source->data<float>();
  Tensor transposed(DType::float32, {columns, rows});
  const auto to = transposed.data<float>();
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) {
      to[static_cast<size_t>(c * rows + r)] = from[static_cast<size_t>(r * columns + c)];
    }
  }
  edit_constant(graph, {fold.node, 0}, std::move(transposed), "source");
  graph.attributes(fold.node).erase("transA");
}

void apply(Graph& graph, const GemmFold& fold) {
  if (fold.weights != nullptr) {
    const std::vector<double> elements = scaled(*fold.weights, fold.alpha);
    edit_constant(graph, {fold.node, 1}, to_float_tensor(fold.weights->shape(), elements),
                  "weight");
    graph.attributes(fold.node).erase("alpha");
  }
  if (fold.bias != nullptr) fold_bias(graph, fold);
  if (!has_input(graph.node(fold.node), 2)) graph.attributes(fold.node).erase("beta");
  if (fold.source != nullptr) transpose_source(graph, fold);
}

}  // namespace

PassPtr fold_gemm() {
  return std::make_shared<RulePass<GemmFold>>("fold_gemm", Rule<GemmFold>{match, apply});
}

}  // namespace qtool
