// SPDX-License-Identifier: Apache-2.0
// GELU (Hendrycks and Gimpel 2016): x (1 + erf(x / sqrt 2)) / 2, or
// x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2. Exporters write the products in any order.
#include "ops/fused_gelu.h"

#include <cmath>

namespace qtool {

namespace {

class Matcher {
 public:
  Matcher(const Graph& graph, const std::set<ValueId>& kept) : graph_(graph), kept_(kept) {}

  struct Match {
    ValueId x = ValueId::none;
    ValueId y = ValueId::none;
    bool by_tanh = false;
    std::vector<NodeId> nodes;  ///< the last one gives y
  };

  /// The GELU around this Erf or Tanh.
  std::optional<Match> around(NodeId function) {
    const Node& node = graph_.node(function);
    Match match;
    match.by_tanh = node.op == OpKey{"", "Tanh"};
    if (!match.by_tanh && node.op != OpKey{"", "Erf"}) return std::nullopt;
    nodes_.clear();
    match.x = match.by_tanh ? tanh_argument(node.inputs[0]) : erf_argument(node.inputs[0]);
    if (match.x == ValueId::none) return std::nullopt;
    nodes_.push_back(function);
    const NodeId plus_one = reader(node.outputs[0], "Add", 1.0);
    if (plus_one == NodeId::none) return std::nullopt;
    match.y = half_product(match.x, result(plus_one));
    match.nodes = nodes_;
    return match.y == ValueId::none ? std::nullopt : std::optional(match);
  }

 private:
  ValueId result(NodeId id) const { return graph_.node(id).outputs[0]; }

  bool is_number(ValueId value, double wanted) const {
    if (value == ValueId::none) return false;
    const Constant constant = graph_.constant(value);
    if (constant == nullptr || constant->dtype() != DType::float32 || constant->size() != 1)
      return false;
    return std::abs(static_cast<double>(constant->data<float>()[0]) - wanted) <=
           1e-6 * std::abs(wanted);
  }

  /// The operand beside `value`; none if the node is not that op with two operands.
  ValueId other_operand(NodeId id, const char* op, ValueId value) const {
    const Node& node = graph_.node(id);
    if (node.op != OpKey{"", op} || node.inputs.size() != 2) return ValueId::none;
    if (node.inputs[0] == value) return node.inputs[1];
    return node.inputs[1] == value ? node.inputs[0] : ValueId::none;
  }

  /// The one node that reads an inner value, or none.
  NodeId only_reader(ValueId value) const {
    const auto& uses = graph_.value(value).uses;
    const bool inner = uses.size() == 1 && uses[0].slot < kCaptureSlot &&
                       !graph_.is_output(value) && !kept_.contains(value);
    return inner ? uses[0].node : NodeId::none;
  }

  /// The only reader, if it combines the value with this number; it is counted in.
  NodeId reader(ValueId value, const char* op, double number) {
    const NodeId id = only_reader(value);
    if (id == NodeId::none || !is_number(other_operand(id, op, value), number)) return NodeId::none;
    nodes_.push_back(id);
    return id;
  }

  /// The node behind an inner value, if it is such an op; it is counted in.
  const Node* maker(ValueId value, const char* op) {
    if (value == ValueId::none) return nullptr;
    const NodeId id = graph_.value(value).producer;
    if (id == NodeId::none || only_reader(value) == NodeId::none) return nullptr;
    const Node& node = graph_.node(id);
    if (node.op != OpKey{"", op} || node.inputs.size() != 2) return nullptr;
    nodes_.push_back(id);
    return &node;
  }

  /// x, where value is x times this number; none otherwise.
  ValueId times(ValueId value, double number) {
    if (const Node* node = maker(value, "Mul")) {
      if (is_number(node->inputs[1], number)) return node->inputs[0];
      if (is_number(node->inputs[0], number)) return node->inputs[1];
      nodes_.pop_back();
    }
    if (const Node* node = maker(value, "Div")) {
      if (is_number(node->inputs[1], 1 / number)) return node->inputs[0];
      nodes_.pop_back();
    }
    return ValueId::none;
  }

  ValueId erf_argument(ValueId value) { return times(value, std::sqrt(0.5)); }

  ValueId tanh_argument(ValueId value) {
    const ValueId inner = times(value, std::sqrt(2 / M_PI));
    const Node* sum = maker(inner, "Add");
    if (sum == nullptr) return ValueId::none;
    const std::vector<ValueId> terms = sum->inputs;
    const size_t before = nodes_.size();
    for (const size_t i : {size_t{0}, size_t{1}}) {
      if (is_cube(times(terms[i], 0.044715), terms[1 - i])) return terms[1 - i];
      nodes_.resize(before);
    }
    return ValueId::none;
  }

  bool is_cube(ValueId value, ValueId x) {
    if (const Node* power = maker(value, "Pow")) {
      return power->inputs[0] == x && is_number(power->inputs[1], 3);
    }
    const Node* product = maker(value, "Mul");
    if (product == nullptr) return false;
    for (const size_t i : {size_t{0}, size_t{1}}) {
      if (product->inputs[i] != x) continue;
      const Node* square = maker(product->inputs[1 - i], "Mul");
      return square != nullptr && square->inputs[0] == x && square->inputs[1] == x;
    }
    return false;
  }

  /// The value x * factor / 2, in whichever order it is computed.
  ValueId half_product(ValueId x, ValueId factor) {
    const NodeId first = only_reader(factor);
    if (first == NodeId::none) return ValueId::none;
    const ValueId beside = other_operand(first, "Mul", factor);
    if (beside == ValueId::none) return ValueId::none;
    nodes_.push_back(first);
    if (beside == x) {
      const NodeId half = reader(result(first), "Mul", 0.5);
      return half == NodeId::none ? ValueId::none : result(half);
    }
    if (is_number(beside, 0.5)) {
      const NodeId second = only_reader(result(first));
      if (second == NodeId::none || other_operand(second, "Mul", result(first)) != x)
        return ValueId::none;
      nodes_.push_back(second);
      return result(second);
    }
    return times(beside, 0.5) == x ? result(first) : ValueId::none;
  }

  const Graph& graph_;
  const std::set<ValueId>& kept_;
  std::vector<NodeId> nodes_;
};

void replace(Graph& graph, const Matcher::Match& match) {
  Node gelu;
  gelu.op = {"com.microsoft", match.by_tanh ? "FastGelu" : "Gelu"};
  gelu.name = graph.node(graph.value(match.y).producer).name;
  gelu.inputs = {match.x};
  std::vector<ValueId> inner;
  for (const NodeId id : match.nodes) {
    for (const ValueId output : graph.node(id).outputs) {
      if (output != match.y) inner.push_back(output);
    }
    graph.erase(id);
  }
  for (const ValueId value : inner) graph.erase(value);
  gelu.outputs = {match.y};
  graph.add_node(std::move(gelu));
  graph.model.opsets.try_emplace("com.microsoft", 1);
}

}  // namespace

std::optional<Graph> with_gelu(const Graph& graph, const std::set<ValueId>& kept) {
  std::optional<Graph> edited;
  for (const NodeId id : graph.topological_order()) {
    const Graph& current = edited ? *edited : graph;
    if (!current.has(id)) continue;
    const auto match = Matcher(current, kept).around(id);
    if (!match) continue;
    if (!edited) edited = graph;
    replace(*edited, *match);
  }
  return edited;
}

}  // namespace qtool
