// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <vector>

#include "ops/op_def.h"

namespace qtool {

/// First element, step and count along each axis.
struct Sliced {
  std::vector<int64_t> start;
  std::vector<int64_t> step;
  Shape shape;
};

struct SliceLists {
  std::vector<int64_t> starts;
  std::vector<int64_t> ends;
  std::vector<int64_t> axes;
  std::vector<int64_t> steps;
};

/// What a Slice takes of a tensor. Errors (input): lists that do not fit each other or the shape.
Sliced sliced(const Shape& shape, SliceLists lists);

/// The lists of a Slice node of any opset; nothing where they are computed at run time.
std::optional<SliceLists> slice_lists(const NodeView& node);

/// Elements that a Pad adds per dimension, negative ones are taken away; nothing where that is
/// computed at run time. Nodes of any opset.
struct Padding {
  std::vector<int64_t> begin;
  std::vector<int64_t> end;
};
std::optional<Padding> known_padding(const NodeView& node, size_t rank);

}  // namespace qtool
