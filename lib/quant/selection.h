// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "ops/op_def.h"
#include "quant/recipe.h"
#include "quant/target.h"

namespace qtool {

/// What every step of planning reads.
struct PlanContext {
  const Graph& graph;
  const OpRegistry& ops;
  const Facts& facts;
  const Target& target;
  const Recipe& recipe;

  const OpDef* def(NodeId id) const { return ops.find(graph.node(id), graph.model); }
  NodeView view(NodeId id) const {
    return {graph, id, facts, graph.model.opset(graph.node(id).op.domain)};
  }
};

/// A present input that has a part in quantization.
struct Operand {
  int slot = 0;
  ValueId value = ValueId::none;
  OperandRole role = OperandRole::none;  ///< weights that are computed count as activations
  Constant constant;                     ///< null: computed or fed
};

std::vector<Operand> operands(const PlanContext& context, NodeId id);

/// The operands of role activation that are not constants.
std::vector<ValueId> data_inputs(const PlanContext& context, NodeId id);

/// An op that moves data can also put in elements of its own (Pad's value), given as a float input
/// without a role; then its result has a range of its own.
bool adds_elements(const PlanContext& context, NodeId id);

/// Which nodes work on codes, and which values are codes for that.
///
/// A node is quantized if the target has a kernel for it, its types fit, nothing excludes it and
/// its data is known. Those that the target always wants come first; the others join in where all
/// of their inputs are codes anyway and somebody reads their result as codes. Nodes that move data
/// do so on codes where a quantized node reads the result, which moves the rounding in front of
/// them. It is the largest set with these properties, found by dropping nodes until none violates
/// them: linear in the graph's size for each sweep, and sweeps are few.
struct Selection {
  std::vector<bool> computes;       ///< by node
  std::vector<bool> moves;          ///< by node
  std::vector<NodeId> activation;   ///< by computing node: the Relu or Clip behind it, or none
  std::vector<bool> coded;          ///< by value: has parameters
  std::vector<bool> whole;          ///< by value: all readers read the dequantized one
  std::vector<ValueId> unrounded;   ///< results of layers that go into a residual op as floats
  std::vector<std::string> reason;  ///< by node that could compute on codes: why it does not
};

Selection select_nodes(const PlanContext& context, const std::function<bool(ValueId)>& observed);

/// The value that a computing node gives: behind its Relu or Clip if it has one.
ValueId result_of(const Graph& graph, const Selection& selection, NodeId id);

}  // namespace qtool
