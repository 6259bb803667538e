// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "ops/op_def.h"
#include "rounding/sample_store.h"

namespace qtool {

/// Of a node that is linear in its data: which input, which weights, and the axis of these that
/// counts results.
struct LinearLayer {
  NodeId node = NodeId::none;
  int data_slot = 0;
  int weight_slot = 1;
  int axis = 0;
  Shape weights;
  size_t groups = 1;
};

/// How the records of ops describe this node, or nothing where it is no such layer.
std::optional<LinearLayer> linear_layer(const Graph& graph, const OpRegistry& ops,
                                        const Facts& facts, NodeId id, int weight_slot,
                                        const Shape& weights);

/// Sums over samples and positions of the products of what each result is computed from,
/// [groups, columns, columns]: x x^T of a matrix product's rows, of a convolution's patches. The
/// node itself cuts the patches, with weights that pick one element each. `data`: its input for
/// all samples, of which at most `most` are read. `columns`: only of these.
struct ColumnRange {
  size_t first = 0;
  size_t count = 0;
};
std::vector<double> second_moments(const Graph& graph, const OpRegistry& ops,
                                   const LinearLayer& layer, const SampleStore& data, size_t most,
                                   const ColumnRange& columns);

/// Means over samples and positions of the channels of a layer's results, which are counted by
/// their `last` dimension or by the second; `batch` samples are read at a time. Empty where there
/// are not so many channels.
std::vector<double> channel_means(const SampleStore& results, size_t channels, bool last,
                                  size_t batch);

}  // namespace qtool
