// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "ops/op_def.h"

namespace qtool {

/// The domain of the ops that gradients are made of and that ONNX lacks.
inline constexpr const char* kTrainingDomain = "ai.qtool";

/// builtin_ops() and the ops of kTrainingDomain. A registry of its own, so that no model file can
/// reach them.
const OpRegistry& training_ops();

/// What an OpDef's `gradient` works with: a node of the forward graph, and a copy of that graph
/// into which it emits nodes. Ids of forward values are the same in both. Gradients have their
/// value's type and shape; they do not depend on extents that the forward graph leaves open.
class GradContext {
 public:
  /// `target` is a copy of the node's graph. `upstream` by output (none: nothing reaches it),
  /// `wanted` by input.
  GradContext(const Graph& forward, const NodeView& view, const OpDef& def, NodeId id,
              Graph& target, std::vector<ValueId> upstream, std::vector<bool> wanted);

  const NodeView& node;
  const OpDef& def;

  size_t input_count() const { return wanted_.size(); }
  size_t output_count() const { return upstream_.size(); }
  ValueId input(size_t slot) const;  ///< none where absent
  ValueId output(size_t slot) const;
  bool has(size_t slot) const { return input(slot) != ValueId::none; }

  /// Whether somebody asks for the gradient of this input.
  bool wants(size_t slot) const { return slot < wanted_.size() && wanted_[slot]; }

  /// The loss's gradient with respect to an output, or none.
  ValueId upstream(size_t slot = 0) const { return upstream_.at(slot); }

  /// A node of kTrainingDomain, or one of ONNX's ops that every opset since 7 has alike; its
  /// outputs, of which those not `present` are absent (none).
  ValueId emit(const char* op, std::vector<ValueId> inputs, Attributes attributes = {});
  std::vector<ValueId> emit_several(const char* op, std::vector<ValueId> inputs,
                                    Attributes attributes, const std::vector<bool>& present);
  ValueId emit_onnx(const char* op, std::vector<ValueId> inputs, Attributes attributes = {});
  ValueId constant(Tensor tensor);

  /// Adds to the gradient of an input; nothing where nobody asks for it.
  void give(size_t slot, ValueId gradient);

  /// What was given: by slot, in the order of giving.
  const std::vector<std::pair<size_t, ValueId>>& given() const { return given_; }

 private:
  std::vector<ValueId> add(OpKey key, std::vector<ValueId> inputs, Attributes attributes,
                           const std::vector<bool>& present);

  const Node* forward_;
  Graph& target_;
  std::vector<ValueId> upstream_;
  std::vector<bool> wanted_;
  std::vector<std::pair<size_t, ValueId>> given_;
};

/// What a Softmax over the classes makes probabilities `scores` [N, C, ...] of, or `scores` itself
/// where none does.
ValueId logits_of(const Graph& graph, ValueId scores);

/// What a Sigmoid makes `scores` of, or `scores` itself where none does.
ValueId before_sigmoid(const Graph& graph, ValueId scores);

/// A new value of a name that no value has.
ValueId add_fresh_value(Graph& graph, std::string_view stem);

}  // namespace qtool
