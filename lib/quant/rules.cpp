// SPDX-License-Identifier: Apache-2.0
#include "quant/rules.h"

namespace qtool {

namespace {

template <class T>
void replace(std::optional<T>& old, const std::optional<T>& wish) {
  if (wish) old = wish;
}

void overlay(Wishes& wishes, const Wishes& later) {
  replace(wishes.activation_method, later.activation_method);
  replace(wishes.weight_method, later.weight_method);
  replace(wishes.weight_bits, later.weight_bits);
  replace(wishes.activation_bits, later.activation_bits);
  replace(wishes.activation_scheme, later.activation_scheme);
  replace(wishes.per_channel, later.per_channel);
  replace(wishes.block, later.block);
}

}  // namespace

Rules::Rules(const PlanContext& context) {
  if (context.recipe.rules.empty()) return;
  nodes_.resize(context.graph.node_id_bound());
  values_.resize(context.graph.value_id_bound());
  for (const RecipeRule& rule : context.recipe.rules) {
    const auto matched = matched_nodes(context.graph, rule);
    for (const NodeId id : context.graph.nodes()) {
      if (!matched[static_cast<size_t>(id)]) continue;
      overlay(nodes_[static_cast<size_t>(id)], rule.wishes);
      for (const ValueId input : data_inputs(context, id))
        overlay(values_[static_cast<size_t>(input)], rule.wishes);
    }
  }
}

const Wishes& Rules::of(NodeId id) const {
  static const Wishes none;
  return nodes_.empty() ? none : nodes_[static_cast<size_t>(id)];
}

Wishes Rules::reading(std::span<const ValueId> values) const {
  Wishes wishes;
  if (values_.empty()) return wishes;
  for (const ValueId id : values) overlay(wishes, values_[static_cast<size_t>(id)]);
  return wishes;
}

}  // namespace qtool
