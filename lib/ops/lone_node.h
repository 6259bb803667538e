// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "ops/op_def.h"

namespace qtool {

/// A node of another op in the place of a given one, for ops that are defined by it: QLinearConv
/// and ConvInteger ask Conv for their shapes, QLinearAdd asks Add for its sum. It has the given
/// node's attributes, and inputs of these types; an undefined element type leaves an input out.
class LoneNode {
 public:
  /// Errors (unsupported): qtool does not know the op in that version of its domain.
  LoneNode(const NodeView& in_place_of, OpKey op, int64_t opset,
           const std::vector<TensorType>& inputs);

  LoneNode(const LoneNode&) = delete;

  NodeView view() const;

  /// What the op's inference says of output 0.
  TensorType result() const;

  /// Output 0 by the op's reference. Types are those that the inputs were declared with.
  Tensor evaluate(std::span<const Tensor* const> inputs) const;

 private:
  Graph graph_;
  NodeId id_ = NodeId::none;
  Facts facts_;
  const OpDef* def_ = nullptr;
};

}  // namespace qtool
