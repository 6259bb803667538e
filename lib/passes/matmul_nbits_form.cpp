// SPDX-License-Identifier: Apache-2.0
#include "passes/matmul_nbits_form.h"

#include <algorithm>
#include <optional>

#include "ops/matmul_nbits.h"
#include "passes/edit_constant.h"
#include "support/error.h"

namespace qtool {

namespace {

bool is_op(const Node& node, const char* type) { return node.op == OpKey{"", type}; }

/// Codes and parameters of a matrix [K,N] or, transposed, [N,K].
struct Dequantized {
  NodeId node = NodeId::none;
  std::vector<int64_t> codes;
  std::vector<float> scales;
  std::vector<int64_t> zeros;
  Shape shape;
  int axis = -1;      ///< -1: per tensor
  int64_t block = 0;  ///< 0: per channel of the axis
  bool is_signed = false;

  size_t slice(int64_t row, int64_t column) const {
    if (axis < 0) return 0;
    if (block == 0) return static_cast<size_t>(axis == 0 ? row : column);
    if (axis == 0) return static_cast<size_t>(row / block * shape[1] + column);
    return static_cast<size_t>(row * ((shape[1] + block - 1) / block) + column / block);
  }
};

std::optional<Dequantized> dequantized(const Graph& graph, ValueId value) {
  Dequantized result;
  result.node = graph.value(value).producer;
  if (result.node == NodeId::none) return std::nullopt;
  const Node& node = graph.node(result.node);
  if (!is_op(node, "DequantizeLinear") || node.inputs.size() < 2) return std::nullopt;
  const Constant codes = graph.constant(node.inputs[0]);
  const Constant scales = graph.constant(node.inputs[1]);
  if (codes == nullptr || scales == nullptr || codes->rank() != 2) return std::nullopt;
  result.shape = codes->shape();
  result.codes = to_int64s(*codes);
  result.scales = to_floats(*scales);
  result.zeros.assign(result.scales.size(), 0);
  if (has_input(node, 2)) {
    const Constant zeros = graph.constant(node.inputs[2]);
    if (zeros == nullptr) return std::nullopt;
    result.zeros = to_int64s(*zeros);
  }
  result.is_signed = codes->dtype() == DType::int8 || codes->dtype() == DType::int4;
  result.block = node.attributes.integer("block_size", 0);
  if (scales->size() > 1 || result.block > 0) {
    const int64_t axis = node.attributes.integer("axis", 1);
    result.axis = static_cast<int>(axis < 0 ? axis + 2 : axis);
  }
  return result;
}

class Rewriter {
 public:
  Rewriter(Graph& graph, int64_t block) : graph_(graph), block_(block) {}

  /// Empty, or why it stays.
  std::string rewrite(NodeId id) {
    const Node node = graph_.node(id);
    const bool gemm = is_op(node, "Gemm");
    if (!gemm && !is_op(node, "MatMul")) return "it is no MatMul or Gemm";
    const Attributes& attributes = node.attributes;
    if (gemm && (attributes.real("alpha", 1) != 1 || attributes.real("beta", 1) != 1 ||
                 attributes.integer("transA", 0) != 0)) {
      return "its attributes are more than a product's";
    }
    const auto weights = dequantized(graph_, node.inputs.at(1));
    if (!weights) return "its weights are no matrix of codes";
    const bool turned = gemm && attributes.integer("transB", 0) != 0;  // stored [N,K]
    const int inner = turned ? 1 : 0;
    if (weights->block > 0 && weights->axis != inner) return "blocks along its results";
    if (weights->block == 0 && weights->axis == inner) return "scales along its rows";
    NBitsLayout layout;
    layout.rows = weights->shape[turned ? 0 : 1];
    layout.columns = weights->shape[turned ? 1 : 0];
    layout.block = weights->block > 0 ? weights->block : block_;
    const auto [least, most] = std::ranges::minmax(weights->codes);
    layout.bits = most - least < 16 && fits(*weights, 8, 16) ? 4 : 8;
    emit(node, *weights, layout, turned);
    graph_.erase(id);
    if (gemm && has_input(node, 2)) add(node.inputs[2], product_, node);
    return {};
  }

 private:
  /// All codes and zero points lie in so many codes, shifted by the middle where signed.
  static bool fits(const Dequantized& weights, int64_t middle, int64_t codes) {
    const int64_t shift = weights.is_signed ? middle : 0;
    const auto inside = [&](int64_t code) { return code + shift >= 0 && code + shift < codes; };
    return std::ranges::all_of(weights.codes, inside) && std::ranges::all_of(weights.zeros, inside);
  }

  void emit(const Node& node, const Dequantized& weights, const NBitsLayout& layout, bool turned) {
    const int64_t middle = int64_t{1} << (layout.bits - 1);
    const int64_t shift = weights.is_signed ? middle : 0;
    std::vector<int32_t> codes;
    std::vector<int32_t> zeros;
    Tensor scales(DType::float32, {layout.rows * layout.blocks()});
    for (int64_t n = 0; n < layout.rows; ++n) {
      for (int64_t k = 0; k < layout.columns; ++k) {
        const int64_t at = turned ? n * layout.columns + k : k * layout.rows + n;
        codes.push_back(static_cast<int32_t>(weights.codes[static_cast<size_t>(at)] + shift));
        if (k % layout.block != 0) continue;
        const size_t slice = turned ? weights.slice(n, k) : weights.slice(k, n);
        scales.data<float>()[zeros.size()] = weights.scales[slice];
        zeros.push_back(static_cast<int32_t>(weights.zeros[slice] + shift));
      }
    }
    const std::string stem = node.name.empty() ? graph_.value(node.outputs[0]).name : node.name;
    const auto constant = [&](const char* what, Tensor tensor) {
      return graph_.add_constant(graph_.unique_name(stem + what), make_constant(std::move(tensor)));
    };
    Node made;
    made.name = node.name;
    made.op = {"com.microsoft", "MatMulNBits"};
    made.inputs = {node.inputs[0], constant("_codes", pack_nbits(layout, codes)),
                   constant("_scales", std::move(scales))};
    const bool plain = std::ranges::all_of(zeros, [&](int32_t zero) { return zero == middle; });
    if (!plain) made.inputs.push_back(constant("_zeros", pack_zeros(layout, zeros)));
    made.attributes.set("K", layout.columns);
    made.attributes.set("N", layout.rows);
    made.attributes.set("bits", layout.bits);
    made.attributes.set("block_size", layout.block);
    product_ =
        graph_.add_value(graph_.unique_name(stem + "_product"), graph_.value(node.outputs[0]).type);
    made.outputs = {product_};
    const NodeId id = graph_.add_node(std::move(made));
    if (is_op(node, "Gemm") && has_input(node, 2)) return;
    // The result keeps its own value.
    pending_ = id;
    result_ = node.outputs[0];
  }

  void add(ValueId bias, ValueId product, const Node& node) {
    Node sum;
    sum.op = {"", "Add"};
    sum.name = graph_.unique_name(node.name + "_add");
    sum.inputs = {product, bias};
    sum.outputs = {node.outputs[0]};
    graph_.add_node(std::move(sum));
    pending_ = NodeId::none;
  }

 public:
  /// After the old node is gone: results go where they went.
  void settle() {
    if (pending_ == NodeId::none) return;
    graph_.set_output(pending_, 0, result_);
    graph_.erase(product_);
    pending_ = NodeId::none;
  }

 private:
  Graph& graph_;
  int64_t block_;
  ValueId product_ = ValueId::none;
  ValueId result_ = ValueId::none;
  NodeId pending_ = NodeId::none;
};

}  // namespace

std::vector<std::pair<std::string, std::string>> to_matmul_nbits(Graph& graph,
                                                                 const std::vector<NodeId>& nodes,
                                                                 int64_t block) {
  std::vector<std::pair<std::string, std::string>> kept;
  Rewriter rewriter(graph, block);
  for (const NodeId id : nodes) {
    const std::string name = graph.describe(id);
    const std::string why = rewriter.rewrite(id);
    rewriter.settle();
    if (!why.empty()) kept.emplace_back(name, why);
  }
  graph.model.opsets.try_emplace("com.microsoft", 1);
  graph.erase_dead();
  return kept;
}

}  // namespace qtool
