// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <vector>

#include "ops/shapes.h"

namespace qtool {

// What the ops that read and write at computed places share. Indices come from outside: each is
// checked before it becomes an address.

/// An index as a place in [0, extent); negative ones count from the end. Errors (input): outside.
int64_t wrapped_index(int64_t index, int64_t extent);

/// All of a tensor's elements so. Errors (input): outside; elements that are no integers.
std::vector<int64_t> wrapped_indices(const Tensor& indices, int64_t extent);

/// Errors (input): input `slot` is known to hold something else than int32 or int64.
void check_indices(const NodeView& node, size_t slot);

/// The attribute batch_dims. Errors (input): outside of both ranks, a scalar among the inputs, or
/// batches of different extents.
int64_t batch_dims(const NodeView& node, const std::vector<Dim>& data,
                   const std::vector<Dim>& indices);

/// How many axes an index tuple (the last axis of `indices`) selects; nothing where it is not
/// known. Errors (input): more than there are.
std::optional<int64_t> tuple_length(const std::vector<Dim>& data, const std::vector<Dim>& indices,
                                    int64_t batch);

/// The places that the index tuples of GatherND and ScatterND name in data seen as [blocks,
/// inner]. Errors (input): outside.
struct TuplePlaces {
  int64_t depth = 0;            ///< axes that a tuple selects
  int64_t inner = 1;            ///< elements of a block
  std::vector<int64_t> blocks;  ///< one for each tuple

  TuplePlaces(const Shape& data, const Tensor& indices, int64_t batch);
};

}  // namespace qtool
