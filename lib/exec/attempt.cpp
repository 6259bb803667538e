// SPDX-License-Identifier: Apache-2.0
#include "exec/attempt.h"

#include <algorithm>

#include "support/text.h"

namespace qtool {

Attempt::Attempt(const Graph& graph, const OpRegistry& ops, Values& values,
                 const std::vector<Layout>& wanted, const Links& links)
    : graph_(graph), ops_(ops), values_(values), wanted_(wanted), links_(links),
      node_(view(graph, values.facts(), links.anchor())), context_{node_, {}, {}, {}} {
  const NodeId anchor = links.anchor();
  for (const ValueId input : graph.node(anchor).inputs) add_operand(input);
  std::vector<PostOp> posts;
  for (size_t i = links.begin + 1; i < links.begin + links.length; ++i) {
    const NodeId member = links.chain.members[i];
    const NodeView member_view = view(graph, values.facts(), member);
    if (def(member).qdq == QdqRole::quantize) {
      result_params_ = constant_params(member_view);
      continue;
    }
    posts.push_back(*def(member).post_op(member_view));
    if (const int slot = links.chain.residual_slots[i]; slot >= 0) {
      add_operand(graph.node(member).inputs[static_cast<size_t>(slot)]);
    }
  }
  // Filled in when the operands' places in memory no longer move.
  const size_t slots = graph.node(anchor).inputs.size();
  for (size_t i = 0; i < slots; ++i) context_.inputs.push_back(lower_input(i));
  size_t residual = slots;
  for (const PostOp& post : posts) {
    GroupPostOp group_post{post, {}};
    if (post.kind == PostOp::Kind::add) group_post.operand = lower_input(residual++);
    context_.post_ops.push_back(std::move(group_post));
  }
  for (size_t i = 0; i < graph.node(anchor).outputs.size(); ++i) {
    context_.outputs.push_back(lower_output(output(i)));
  }
  context_.outputs[0].params = result_params_ ? &*result_params_ : nullptr;
}

ValueId Attempt::output(size_t i) const {
  return graph_.node(i == 0 ? links_.last() : links_.anchor()).outputs[i];
}

void Attempt::add_operand(ValueId value) {
  if (links_.codes) {
    if (auto found = dequantized(graph_, ops_, values_.facts(), value)) {
      operands_.push_back(found->codes);
      params_.emplace_back(std::move(found->params));
      return;
    }
  }
  operands_.push_back(value);
  params_.emplace_back(std::nullopt);
}

LowerInput Attempt::lower_input(size_t i) {
  LowerInput input;
  const ValueId value = operands_[i];
  if (value == ValueId::none) return input;
  input.present = true;
  input.dtype = values_.facts()[value].type.dtype;
  input.shape = *values_.facts()[value].type.concrete_shape();
  input.layout = values_.layout(value);
  input.constant = values_.known_constant(value);
  input.params = params_[i] ? &*params_[i] : nullptr;
  return input;
}

LowerOutput Attempt::lower_output(ValueId value) const {
  LowerOutput output;
  if (value == ValueId::none) return output;
  output.present = true;
  output.dtype = values_.facts()[value].type.dtype;
  output.shape = *values_.facts()[value].type.concrete_shape();
  output.wanted = wanted_[static_cast<size_t>(value)];
  return output;
}

StepInfo Attempt::describe() const {
  StepInfo info;
  const NodeId anchor = links_.anchor();
  info.name = graph_.node(anchor).name.empty() ? graph_.value(first_output(graph_, anchor)).name
                                               : graph_.node(anchor).name;
  for (size_t i = links_.begin; i < links_.begin + links_.length; ++i) {
    info.op += (i > links_.begin ? " + " : "") + to_string(graph_.node(links_.chain.members[i]).op);
  }
  for (const LowerInput& input : context_.inputs) {
    if (!input.present || info.types.size() > 24) continue;
    info.types += (info.types.empty() ? "" : ",") + std::string(name(input.dtype));
  }
  const auto shown = std::ranges::find_if(context_.outputs, &LowerOutput::present);
  if (shown != context_.outputs.end()) {
    info.types += " -> " + std::string(name(shown->dtype));
    info.shape = to_string(shown->shape);
  }
  info.integer = !context_.inputs.empty() && context_.inputs[0].params != nullptr;
  if (def(anchor).macs != nullptr) info.macs = def(anchor).macs(node_);
  return info;
}

ValueId first_output(const Graph& graph, NodeId id) {
  const auto& outputs = graph.node(id).outputs;
  const auto present =
      std::ranges::find_if(outputs, [](ValueId output) { return output != ValueId::none; });
  return present == outputs.end() ? ValueId::none : *present;
}

}  // namespace qtool
