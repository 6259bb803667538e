// SPDX-License-Identifier: Apache-2.0
#include "passes/normed_layers.h"

#include <array>
#include <optional>

#include "passes/edit_constant.h"

namespace qtool {

namespace {

/// The dimension of the weights that counts output channels; nothing where there is no such.
std::optional<size_t> channel_axis(const Node& layer) {
  if (layer.op == OpKey{"", "Conv"}) return 0;
  if (layer.op != OpKey{"", "Gemm"}) return {};
  return layer.attributes.integer("transB", 0) != 0 ? 0 : 1;
}

bool only_reader(const Graph& graph, NodeId id, size_t slot) {
  const ValueId value = graph.node(id).inputs[slot];
  return graph.value(value).uses.size() == 1 && !graph.is_output(value);
}

std::optional<NormedLayer> normed_layer(const Graph& unfolded, const Node& norm,
                                        const Graph& folded) {
  if (norm.op != OpKey{"", "BatchNormalization"} || norm.inputs.size() != 5) return {};
  const NodeId before = unfolded.value(norm.inputs[0]).producer;
  const auto result = folded.find_value(unfolded.value(norm.outputs[0]).name);
  if (before == NodeId::none || !result) return {};
  NormedLayer layer;
  layer.node = folded.value(*result).producer;
  if (layer.node == NodeId::none) return {};
  const Node& was = unfolded.node(before);
  const Node& is = folded.node(layer.node);
  const auto axis = channel_axis(is);
  const Constant raw = float_constant(unfolded, was, 1);
  const Constant weight = float_constant(folded, is, 1);
  if (!axis || was.op != is.op || raw == nullptr || weight == nullptr || !has_input(is, 2) ||
      raw->shape() != weight->shape()) {
    return {};
  }
  if (!only_reader(folded, layer.node, 1) || !only_reader(folded, layer.node, 2)) return {};
  const Shape channels{raw->shape()[*axis]};
  const std::array<Tensor*, 4> parts{&layer.gamma, &layer.beta, &layer.mean, &layer.variance};
  for (size_t i = 0; i < parts.size(); ++i) {
    const Constant part = float_constant(unfolded, norm, i + 1);
    if (part == nullptr || part->shape() != channels) return {};
    *parts[i] = part->clone();
  }
  const Constant own = has_input(was, 2) ? float_constant(unfolded, was, 2) : nullptr;
  if (has_input(was, 2) && (own == nullptr || own->shape() != channels)) return {};
  for (size_t c = 0; own != nullptr && c < layer.mean.data<float>().size(); ++c) {
    layer.mean.data<float>()[c] -= own->data<float>()[c];
  }
  layer.axis = *axis;
  layer.weight = is.inputs[1];
  layer.bias = is.inputs[2];
  layer.raw = raw->clone();
  layer.epsilon = norm.attributes.real("epsilon", 1e-5F);
  return layer;
}

}  // namespace

std::vector<NormedLayer> normed_layers(const Graph& unfolded, const Graph& folded) {
  std::vector<NormedLayer> layers;
  for (const NodeId id : unfolded.topological_order()) {
    if (auto layer = normed_layer(unfolded, unfolded.node(id), folded)) {
      layers.push_back(std::move(*layer));
    }
  }
  return layers;
}

}  // namespace qtool
