// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "ir/graph.h"

namespace qtool {

/// What inference knows of one value: its type, and its elements if they cannot change between
/// runs with these input shapes (constants, and what follows from shapes).
struct ValueFacts {
  TensorType type;
  Constant constant;
};

/// Facts by ValueId; values the graph does not have are unknown.
class Facts {
 public:
  Facts() = default;
  explicit Facts(size_t bound) : facts_(bound) {}
  const ValueFacts& operator[](ValueId id) const { return facts_.at(static_cast<size_t>(id)); }
  ValueFacts& operator[](ValueId id) { return facts_.at(static_cast<size_t>(id)); }

 private:
  std::vector<ValueFacts> facts_;
};

/// A node with what is known of its inputs: all that an op's functions may look at.
class NodeView {
 public:
  NodeView(const Graph& graph, NodeId id, const Facts& facts, int64_t opset)
      : graph_(&graph), node_(&graph.node(id)), id_(id), facts_(&facts), opset_(opset) {}

  const Attributes& attributes() const { return node_->attributes; }
  const OpKey& op() const { return node_->op; }
  int64_t opset() const { return opset_; }  ///< version of the op's domain that the model imports

  size_t input_count() const { return node_->inputs.size(); }
  size_t output_count() const { return node_->outputs.size(); }
  bool has_input(size_t i) const {
    return i < node_->inputs.size() && node_->inputs[i] != ValueId::none;
  }
  bool has_output(size_t i) const {
    return i < node_->outputs.size() && node_->outputs[i] != ValueId::none;
  }

  /// Unknown for an absent input.
  const TensorType& input_type(size_t i) const {
    static const TensorType unknown;
    return has_input(i) ? (*facts_)[node_->inputs[i]].type : unknown;
  }
  const TensorType& output_type(size_t i) const {
    static const TensorType unknown;
    return has_output(i) ? (*facts_)[node_->outputs[i]].type : unknown;
  }
  /// Null where the elements are not known before the run, or the input is absent.
  Constant input_constant(size_t i) const {
    return has_input(i) ? (*facts_)[node_->inputs[i]].constant : nullptr;
  }

  /// For messages.
  std::string description() const { return graph_->describe(id_); }

 private:
  const Graph* graph_;
  const Node* node_;
  NodeId id_;
  const Facts* facts_;
  int64_t opset_;
};

}  // namespace qtool
