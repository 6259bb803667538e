// SPDX-License-Identifier: Apache-2.0
#include "passes/divide_channels.h"

#include <algorithm>

#include "support/error.h"

namespace qtool {

namespace {

constexpr size_t kDeepest = 8;  ///< nodes to go back through

/// A constant whose elements are divided by the scale of their channel.
struct Divided {
  NodeId node;
  int slot;
  bool by_row;  ///< channel i / (elements / channels) instead of i % channels
};

bool is_op(const Node& node, const char* type) { return node.op == OpKey{"", type}; }

Constant float_constant(const Graph& graph, const Node& node, size_t slot) {
  if (slot >= node.inputs.size() || node.inputs[slot] == ValueId::none) return nullptr;
  Constant constant = graph.constant(node.inputs[slot]);
  return constant != nullptr && constant->dtype() == DType::float32 ? constant : nullptr;
}

/// One number for each channel, along the last dimension.
bool by_channel(const Constant& constant, int64_t channels) {
  return constant != nullptr && constant->rank() > 0 && constant->size() == channels &&
         constant->shape().back() == channels;
}

class Absorber {
 public:
  Absorber(const Graph& graph, int64_t channels) : graph_(graph), channels_(channels) {}

  /// Which constants to divide so that the value's channels are; false where it cannot be done.
  bool into(ValueId value) {
    const NodeId id = graph_.value(value).producer;
    if (id == NodeId::none || values_.size() == kDeepest) return false;
    values_.push_back(value);
    const Node& node = graph_.node(id);
    if (is_op(node, "LayerNormalization")) return normalization(id);
    if (is_op(node, "MatMul") || is_op(node, "Gemm")) return product(id);
    if (is_op(node, "Mul") || is_op(node, "Add")) return vector(id);
    return false;
  }
  const std::vector<Divided>& constants() const { return constants_; }
  const std::vector<ValueId>& values() const { return values_; }

 private:
  bool take(NodeId id, int slot) {
    const Constant constant = float_constant(graph_, graph_.node(id), static_cast<size_t>(slot));
    if (!by_channel(constant, channels_)) return false;
    constants_.push_back({id, slot, false});
    return true;
  }

  bool normalization(NodeId id) {
    const Node& node = graph_.node(id);
    const bool last = node.attributes.integer("axis", -1) == -1;
    const bool biased = node.inputs.size() > 2 && node.inputs[2] != ValueId::none;
    return last && node.outputs.size() == 1 && take(id, 1) && (!biased || take(id, 2));
  }

  bool product(NodeId id) {
    const Node& node = graph_.node(id);
    const Constant weights = float_constant(graph_, node, 1);
    if (weights == nullptr || weights->rank() != 2) return false;
    const bool transposed = node.attributes.integer("transB", 0) != 0;
    if (weights->shape()[transposed ? 0 : 1] != channels_) return false;
    constants_.push_back({id, 1, transposed});
    const bool biased = node.inputs.size() > 2 && node.inputs[2] != ValueId::none;
    return !biased || take(id, 2);
  }

  bool vector(NodeId id) {
    const Node& node = graph_.node(id);
    if (node.inputs.size() != 2) return false;
    for (const int slot : {1, 0}) {
      const ValueId other = node.inputs[static_cast<size_t>(1 - slot)];
      if (!take(id, slot)) continue;
      return is_op(node, "Mul") || (only_reader(other, id) && into(other));
    }
    return false;
  }

  bool only_reader(ValueId value, NodeId id) const {
    const auto& uses = graph_.value(value).uses;
    return uses.size() == 1 && uses[0].node == id && uses[0].slot < kCaptureSlot &&
           !graph_.is_output(value);
  }

  const Graph& graph_;
  int64_t channels_;
  std::vector<ValueId> values_;
  std::vector<Divided> constants_;
};

/// The node reads a copy of its constant with every element times the factor of its channel.
void rescale(Graph& graph, const Divided& place, const std::vector<double>& factors) {
  const ValueId old = graph.node(place.node).inputs.at(static_cast<size_t>(place.slot));
  Tensor elements = graph.constant(old)->clone();
  const auto values = elements.data<float>();
  const size_t run = values.size() / factors.size();
  for (size_t i = 0; i < values.size(); ++i) {
    const double factor = factors[place.by_row ? i / run : i % factors.size()];
    values[i] = static_cast<float>(static_cast<double>(values[i]) * factor);
  }
  const std::string name = graph.unique_name(graph.value(old).name + "_smoothed");
  graph.set_input(place.node, place.slot,
                  graph.add_constant(name, make_constant(std::move(elements))));
}

void put_mul(Graph& graph, ValueId value, std::span<const NodeId> readers,
             const std::vector<double>& factors) {
  const std::string name = graph.value(value).name;  // adding values moves the others
  Tensor elements(DType::float32, {static_cast<int64_t>(factors.size())});
  std::ranges::transform(factors, elements.data<float>().begin(),
                         [](double factor) { return static_cast<float>(factor); });
  Node mul;
  mul.op = {"", "Mul"};
  mul.name = graph.unique_name(name + "_smooth");
  mul.inputs = {value, graph.add_constant(graph.unique_name(name + "_smooth_scale"),
                                          make_constant(std::move(elements)))};
  const ValueId smooth =
      graph.add_value(graph.unique_name(name + "_smoothed"), graph.value(value).type);
  mul.outputs = {smooth};
  graph.add_node(std::move(mul));
  for (const NodeId reader : readers) graph.set_input(reader, 0, smooth);
}

}  // namespace

std::optional<ProductWeights> product_weights(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  const bool gemm = is_op(node, "Gemm");
  if (!gemm && !is_op(node, "MatMul")) return std::nullopt;
  if (gemm && node.attributes.integer("transA", 0) != 0) return std::nullopt;
  const Constant weights = float_constant(graph, node, 1);
  if (weights == nullptr || weights->rank() != 2 || weights->size() == 0) return std::nullopt;
  const bool last = gemm && node.attributes.integer("transB", 0) != 0;
  return ProductWeights{weights->shape()[last ? 1 : 0], last};
}

std::vector<ValueId> divided_at_source(const Graph& graph, ValueId value,
                                       std::span<const NodeId> readers) {
  const auto& uses = graph.value(value).uses;
  if (graph.is_output(value) || readers.empty()) return {};
  const bool all = std::ranges::all_of(uses, [&](const Use& use) {
    return use.slot == 0 && std::ranges::find(readers, use.node) != readers.end();
  });
  const auto weights = product_weights(graph, readers[0]);
  if (!all || !weights) return {};
  Absorber absorber(graph, weights->channels);
  return absorber.into(value) ? absorber.values() : std::vector<ValueId>{};
}

void divide_channels(Graph& graph, ValueId value, std::span<const NodeId> readers,
                     std::span<const float> scale, bool at_source) {
  const std::vector<double> factors(scale.begin(), scale.end());
  std::vector<double> inverses;
  for (const double factor : factors) inverses.push_back(1 / factor);
  std::vector<Divided> divided;
  if (at_source) {
    Absorber absorber(graph, static_cast<int64_t>(factors.size()));
    QTOOL_CHECK(absorber.into(value), "what makes the value cannot divide it");
    divided = absorber.constants();
  }
  for (const NodeId reader : readers) {
    const auto weights = product_weights(graph, reader);
    QTOOL_CHECK(weights && weights->channels == static_cast<int64_t>(factors.size()),
                graph.describe(reader));
    rescale(graph, {reader, 1, !weights->channels_last}, factors);
  }
  for (const Divided& place : divided) rescale(graph, place, inverses);
  if (!at_source) put_mul(graph, value, readers, inverses);
}

}  // namespace qtool
