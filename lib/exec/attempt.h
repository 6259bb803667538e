// SPDX-License-Identifier: Apache-2.0
// Internal to this room.
#pragma once

#include <optional>
#include <vector>

#include "exec/group.h"
#include "exec/values.h"

namespace qtool {

/// Some links of a chain, to be computed by one kernel, on codes where DequantizeLinears stand in
/// front, or on what these give.
struct Links {
  const Chain& chain;
  size_t begin = 0;
  size_t length = 1;
  bool codes = false;

  NodeId anchor() const { return chain.members[begin]; }
  NodeId last() const { return chain.members[begin + length - 1]; }
};

/// What such a group hands to the lowering of its anchor's op. Holds what the context points to.
class Attempt {
 public:
  /// `wanted` are the layouts that readers would like, by value.
  Attempt(const Graph& graph, const OpRegistry& ops, Values& values,
          const std::vector<Layout>& wanted, const Links& links);
  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;

  const LowerContext& context() const { return context_; }
  const std::vector<ValueId>& operands() const { return operands_; }  ///< kernel order
  /// The value of the group's output i.
  ValueId output(size_t i) const;

  /// All of a step's description that does not come from its kernel.
  StepInfo describe() const;

 private:
  void add_operand(ValueId value);
  LowerInput lower_input(size_t i);
  LowerOutput lower_output(ValueId value) const;
  const OpDef& def(NodeId id) const { return *ops_.find(graph_.node(id), graph_.model); }

  const Graph& graph_;
  const OpRegistry& ops_;
  Values& values_;
  const std::vector<Layout>& wanted_;
  Links links_;
  NodeView node_;
  std::vector<ValueId> operands_;
  std::vector<std::optional<QuantParams>> params_;  ///< by operand
  std::optional<QuantParams> result_params_;
  LowerContext context_;
};

/// The node's first output that is not left out, or none.
ValueId first_output(const Graph& graph, NodeId id);

}  // namespace qtool
