// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>

#include "ops/op_def.h"
#include "quant/plan.h"
#include "quant/recipe.h"

namespace qtool {

/// Grids for weights alone; activations stay float. Weights of products (matrices) share a scale
/// `recipe.block` elements of a row at a time, or a scale a result where that is 0; those of other
/// layers always the latter. Grids of 8 bits are symmetric and signed, those of 2 to 7 unsigned
/// with a zero point. Ranges are of the recipe's weight method. Errors (usage): as of exclusions;
/// blocks that are no power of two from 16 on; (input): weights with NaN or infinity;
/// (unsupported): no weights at all.
QuantPlan plan_weights(const Graph& graph, const OpRegistry& ops, const Recipe& recipe);

/// How plan_weights makes the grid of one weight.
struct WeightGrid {
  int bits = 8;
  int axis = 0;       ///< of the scales
  int64_t block = 0;  ///< along the axis; 0: one a slice
  bool least = true;  ///< least squared error, otherwise minmax
};
/// Of every node that has weights.
std::map<NodeId, WeightGrid> wished_grids(const Graph& graph, const OpRegistry& ops,
                                          const Recipe& recipe);
QuantParams weight_grid(const Tensor& weights, const WeightGrid& grid);

/// To the plan of the other nodes: grids for the weights of those that a rule of the recipe has as
/// weight-only, and the names of those that it has as dynamic (passes/quantize_dynamically.h does
/// the rest, behind insert_qdq). Nodes without weights stay float. Errors: as above.
void add_modes(const Graph& graph, const OpRegistry& ops, const Recipe& recipe, QuantPlan& plan);

/// Whether such rules, or the recipe's own mode, make what only opset 21 has: 4-bit types, blocks.
bool needs_packed_weights(const Recipe& recipe);

/// HQQ (Badri and Shaji 2023, Half-Quadratic Quantization of Large Machine Learning Models):
/// alternates between sparse errors e, by the shrinkage of the 0.7-norm, and a grid that is best
/// for w - e in squares, so that outliers weigh less. Zero points are rounded to codes, as formats
/// have them; scales move too, which the original leaves alone, for what that costs. Without data;
/// never worse in the 0.7-norm than the plan was.
void improve_by_hqq(const Graph& graph, QuantPlan& plan);

}  // namespace qtool
