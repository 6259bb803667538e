// SPDX-License-Identifier: Apache-2.0
#include "train/differentiate.h"

namespace qtool {

namespace {

size_t at(ValueId id) { return static_cast<size_t>(id); }

class Differentiator {
 public:
  Differentiator(const Graph& forward, const OpRegistry& ops, std::span<const ValueId> parameters)
      : forward_(forward), ops_(ops), facts_(infer_facts(forward, ops)),
        order_(forward.topological_order()), parameters_(parameters), result_{forward, {}},
        source_(forward.value_id_bound(), ValueId::none), given_(forward.value_id_bound()) {
    result_.graph.model.opsets[kTrainingDomain] = 1;
  }

  Differentiated run(ValueId loss) {
    find_dependents();
    const TensorType& type = facts_[loss].type;
    QTOOL_CHECK(is_floating(type.dtype), "a loss is a real number");
    const ValueId seed = add_fresh_value(result_.graph, "seed");
    Tensor one = cast(Tensor::scalar(1.0F), type.dtype);
    result_.graph.set_constant(
        seed, make_constant(std::move(one).reshaped(type.concrete_shape().value_or(Shape{}))));
    given_[at(loss)].push_back(seed);
    for (auto it = order_.rbegin(); it != order_.rend(); ++it) visit(*it);
    for (const ValueId parameter : parameters_) {
      const ValueId gradient = total(parameter);
      if (gradient != ValueId::none) result_.gradient_of.emplace(parameter, gradient);
    }
    return std::move(result_);
  }

 private:
  /// For each value the first parameter that it depends on by way of real numbers, or none.
  void find_dependents() {
    for (const ValueId parameter : parameters_) source_[at(parameter)] = parameter;
    for (const NodeId id : order_) {
      const Node& node = forward_.node(id);
      ValueId from = ValueId::none;
      for (const ValueId input : node.inputs) {
        if (from == ValueId::none && depends(input)) from = source_[at(input)];
      }
      for (const ValueId output : node.outputs) {
        if (output == ValueId::none || source_[at(output)] != ValueId::none) continue;
        if (is_floating(facts_[output].type.dtype)) source_[at(output)] = from;
      }
    }
  }

  bool depends(ValueId id) const {
    return id != ValueId::none && source_[at(id)] != ValueId::none &&
           facts_[id].constant == nullptr;
  }

  void visit(NodeId id) {
    const Node& node = forward_.node(id);
    std::vector<bool> wanted;
    bool any_wanted = false;
    for (const ValueId input : node.inputs) {
      wanted.push_back(depends(input));
      any_wanted = any_wanted || wanted.back();
    }
    if (!any_wanted) return;
    std::vector<ValueId> upstream;
    bool reached = false;
    for (const ValueId output : node.outputs) {
      upstream.push_back(output == ValueId::none ? ValueId::none : total(output));
      reached = reached || upstream.back() != ValueId::none;
    }
    if (reached) emit(id, std::move(upstream), std::move(wanted));
  }

  void emit(NodeId id, std::vector<ValueId> upstream, std::vector<bool> wanted) {
    const OpDef* def = ops_.find(forward_.node(id), forward_.model);
    within_frame([&] { return forward_.describe(id); },
                 [&] {
                   if (def == nullptr || def->gradient == nullptr) throw no_gradient(id);
                   const NodeView view(forward_, id, facts_,
                                       forward_.model.opset(forward_.node(id).op.domain));
                   GradContext context(forward_, view, *def, id, result_.graph, std::move(upstream),
                                       std::move(wanted));
                   def->gradient(context);
                   for (const auto& [slot, gradient] : context.given()) {
                     given_[at(context.input(slot))].push_back(gradient);
                   }
                 });
  }

  Error no_gradient(NodeId id) const {
    const Node& node = forward_.node(id);
    std::string name;
    for (const ValueId input : node.inputs) {
      if (name.empty() && depends(input)) name = forward_.value(source_[at(input)]).name;
    }
    return unsupported_error(
        to_string(node.op) + " has no gradient, but lies between the parameter \"" + name +
            "\" and the loss",
        "Leave it and what stands before it out of the training with --freeze.");
  }

  /// The gradient of a value whose readers have all been visited, or none.
  ValueId total(ValueId id) {
    std::vector<ValueId>& parts = given_[at(id)];
    if (parts.empty()) return ValueId::none;
    while (parts.size() > 1) {
      const ValueId sum = add_fresh_value(result_.graph, "sum");
      Node node;
      node.op = {"", "Add"};
      node.inputs = {parts[0], parts[1]};
      node.outputs = {sum};
      result_.graph.add_node(std::move(node));
      parts.erase(parts.begin());
      parts[0] = sum;
    }
    return parts[0];
  }

  const Graph& forward_;
  const OpRegistry& ops_;
  Facts facts_;
  std::vector<NodeId> order_;
  std::span<const ValueId> parameters_;
  Differentiated result_;
  std::vector<ValueId> source_;              ///< by value
  std::vector<std::vector<ValueId>> given_;  ///< by value: what its readers contribute
};

}  // namespace

Differentiated differentiate(const Graph& forward, const OpRegistry& ops, ValueId loss,
                             std::span<const ValueId> parameters) {
  return Differentiator(forward, ops, parameters).run(loss);
}

}  // namespace qtool
