// SPDX-License-Identifier: Apache-2.0
#include "passes/equal_pairs.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "passes/edit_constant.h"
#include "support/error.h"

namespace qtool {

namespace {

bool is_op(const Node& node, const char* type) { return node.op == OpKey{"", type}; }

/// Shape [M, C / groups, ...] with M and C multiples of the groups; null for anything else.
Constant conv_weights(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  if (!is_op(node, "Conv")) return nullptr;
  Constant weights = float_constant(graph, node, 1);
  const int64_t groups = node.attributes.integer("group", 1);
  const bool fits = weights != nullptr && weights->rank() >= 3 && weights->size() > 0 &&
                    groups > 0 && weights->shape()[0] % groups == 0;
  if (!fits) return nullptr;
  const bool bare = !has_input(node, 2);
  return bare || float_constant(graph, node, 2) != nullptr ? weights : nullptr;
}

/// The only node that reads the value, in slot 0.
NodeId only_reader(const Graph& graph, ValueId value) {
  const auto& uses = graph.value(value).uses;
  return uses.size() == 1 && uses[0].slot == 0 && !graph.is_output(value) ? uses[0].node
                                                                          : NodeId::none;
}

std::optional<float> number(const Graph& graph, const Node& node, size_t slot, const char* name,
                            float otherwise) {
  if (!has_input(node, slot)) return node.attributes.real(name, otherwise);
  const Constant constant = float_constant(graph, node, slot);
  if (constant == nullptr || constant->size() != 1) return std::nullopt;
  return constant->data<float>()[0];
}

/// Goes through a Relu or a Clip from 0.
bool pass_activation(const Graph& graph, EqualPair& pair) {
  const NodeId id = only_reader(graph, pair.between);
  if (id == NodeId::none) return false;
  const Node& node = graph.node(id);
  if (is_op(node, "Clip")) {
    constexpr float kFar = std::numeric_limits<float>::infinity();
    const auto low = number(graph, node, 1, "min", -kFar);
    const auto high = number(graph, node, 2, "max", kFar);
    if (!low || !high || *low != 0 || !(*high > 0)) return false;
    pair.bound = *high;
  } else if (!is_op(node, "Relu")) {
    return false;
  }
  pair.between = node.outputs.at(0);
  return true;
}

int64_t groups_of(const Graph& graph, NodeId id) {
  return graph.node(id).attributes.integer("group", 1);
}

/// For each element of a Conv's weights its input channel.
template <class Body>
void for_each_input(const Graph& graph, NodeId conv, const Tensor& weights, const Body& body) {
  const int64_t per_group = weights.shape()[1];
  const int64_t rows_of_group = weights.shape()[0] / groups_of(graph, conv);
  const int64_t run = weights.size() / weights.shape()[0] / per_group;
  for (int64_t i = 0; i < weights.size(); ++i) {
    const int64_t row = i / (run * per_group);
    const int64_t channel = row / rows_of_group * per_group + i / run % per_group;
    body(static_cast<size_t>(i), static_cast<size_t>(channel));
  }
}

void edit(Graph& graph, NodeId id, int slot, Tensor elements) {
  edit_constant(graph, {id, slot}, std::move(elements), stem_of(graph, id));
}

}  // namespace

std::vector<EqualPair> equal_pairs(const Graph& graph) {
  std::vector<EqualPair> pairs;
  for (const NodeId id : graph.topological_order()) {
    const Constant weights = conv_weights(graph, id);
    if (weights == nullptr) continue;
    EqualPair pair;
    pair.first = id;
    pair.result = pair.between = graph.node(id).outputs.at(0);
    pair.channels = weights->shape()[0];
    pass_activation(graph, pair);
    pair.second = only_reader(graph, pair.between);
    if (pair.second == NodeId::none) continue;
    const Constant next = conv_weights(graph, pair.second);
    if (next == nullptr || next->shape()[1] * groups_of(graph, pair.second) != pair.channels)
      continue;
    pairs.push_back(pair);
  }
  return pairs;
}

ConvSizes conv_sizes(const Graph& graph, NodeId conv) {
  const Constant weights = conv_weights(graph, conv);
  QTOOL_CHECK(weights != nullptr, graph.describe(conv));
  const auto values = weights->data<float>();
  const int64_t groups = groups_of(graph, conv);
  ConvSizes sizes;
  sizes.per_group = weights->shape()[1];
  sizes.rows_of_group = weights->shape()[0] / groups;
  sizes.positions = weights->size() / weights->shape()[0] / sizes.per_group;
  sizes.output.resize(static_cast<size_t>(weights->shape()[0]));
  sizes.input.resize(static_cast<size_t>(sizes.per_group * groups));
  sizes.energy.resize(sizes.output.size() * static_cast<size_t>(sizes.per_group));
  const size_t row = values.size() / sizes.output.size();
  for_each_input(graph, conv, *weights, [&](size_t i, size_t channel) {
    const double w = std::abs(static_cast<double>(values[i]));
    sizes.output[i / row] = std::max(sizes.output[i / row], w);
    sizes.input[channel] = std::max(sizes.input[channel], w);
    sizes.energy[i / static_cast<size_t>(sizes.positions)] += w * w;
  });
  return sizes;
}

bool passes_shifts(const Graph& graph, const EqualPair& pair) {
  const Node& second = graph.node(pair.second);
  const std::string mode = second.attributes.text("auto_pad", "NOTSET");
  const std::vector<int64_t> pads = second.attributes.integers("pads", {});
  const bool pads_none = (mode == "NOTSET" || mode == "VALID") &&
                         std::ranges::all_of(pads, [](int64_t pad) { return pad == 0; });
  return pair.result != pair.between && pads_none &&
         float_constant(graph, graph.node(pair.first), 2) != nullptr &&
         float_constant(graph, second, 2) != nullptr;
}

void shift_between(Graph& graph, const EqualPair& pair, std::span<const float> shift) {
  QTOOL_CHECK(static_cast<int64_t>(shift.size()) == pair.channels && passes_shifts(graph, pair),
              graph.describe(pair.first));
  Tensor less = float_constant(graph, graph.node(pair.first), 2)->clone();
  for (size_t c = 0; c < shift.size(); ++c) less.data<float>()[c] -= shift[c];
  Tensor more = float_constant(graph, graph.node(pair.second), 2)->clone();
  const Constant weights = float_constant(graph, graph.node(pair.second), 1);
  std::vector<double> given(static_cast<size_t>(more.size()), 0);
  const size_t row = static_cast<size_t>(weights->size()) / given.size();
  for_each_input(graph, pair.second, *weights, [&](size_t i, size_t channel) {
    given[i / row] +=
        static_cast<double>(weights->data<float>()[i]) * static_cast<double>(shift[channel]);
  });
  for (size_t n = 0; n < given.size(); ++n) more.data<float>()[n] += static_cast<float>(given[n]);
  edit(graph, pair.first, 2, std::move(less));
  edit(graph, pair.second, 2, std::move(more));
}

void divide_between(Graph& graph, const EqualPair& pair, std::span<const float> scale) {
  QTOOL_CHECK(static_cast<int64_t>(scale.size()) == pair.channels, graph.describe(pair.first));
  for (const int slot : {1, 2}) {
    const Constant constant =
        float_constant(graph, graph.node(pair.first), static_cast<size_t>(slot));
    if (constant == nullptr) continue;
    Tensor divided = constant->clone();
    const auto values = divided.data<float>();
    const size_t run = values.size() / scale.size();
    for (size_t i = 0; i < values.size(); ++i) values[i] /= scale[i / run];
    edit(graph, pair.first, slot, std::move(divided));
  }
  Tensor multiplied = float_constant(graph, graph.node(pair.second), 1)->clone();
  const auto values = multiplied.data<float>();
  for_each_input(graph, pair.second, multiplied,
                 [&](size_t i, size_t channel) { values[i] *= scale[channel]; });
  edit(graph, pair.second, 1, std::move(multiplied));
}

}  // namespace qtool
