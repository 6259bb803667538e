// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <vector>

#include "calib/calibrate.h"
#include "ops/op_def.h"
#include "quant/plan.h"
#include "quant/recipe.h"

namespace qtool {

/// Some of the rows that products read, by value: [rows, channels].
using ProductRows = std::map<ValueId, Tensor>;

/// Up to `most` rows of each float value that products with constant weights read, evenly from
/// all samples of the source.
ProductRows rows_of_products(const Graph& graph, const OpRegistry& ops, const FeedSource& samples,
                             size_t most = 256);

/// AWQ (Lin et al. 2023, arXiv:2306.00978): channels whose data are large are multiplied in the
/// weights, and divided in the data, by s_j = (mean |x_j|)^a around 1, so that the grid is finer
/// for the weights that count (equation 4). a is the multiple of 1/20 from 0 to 1 with the least
/// squared error of the products for these rows, on the grids that plan_weights would choose; all
/// products of a tensor share s. Taken where what makes the tensor can divide (a normalization, a
/// product, no Mul is added) and the error falls by 2 %. The search for clipped ranges that the
/// paper adds is not part of it: --weights mse, hqq and seqmse are there for that.
std::vector<Smoothing> find_awq(const Graph& graph, const OpRegistry& ops, const Recipe& recipe,
                                const ProductRows& rows);

}  // namespace qtool
