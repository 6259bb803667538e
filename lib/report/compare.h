// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "ir/graph.h"
#include "ops/op_def.h"
#include "report/records.h"

namespace qtool {

/// Compares every tensor that a float model and its quantized copy share, over all samples fed:
///   - the error that arrives, with that of all layers before (sqnr_db, cosine, max_abs_error);
///   - the error that the layer itself adds (added_sqnr_db): its inputs are the float model's
///     tensors, rounded to their own grids, so that it is due to these grids, the layer's weights
///     and the grid of its result;
///   - saturation: the share of the float model's elements that lie beyond the grid by more than
///     half a step.
/// Each batch runs three times: the float graph, the quantized one, and the quantized one cut at
/// every shared tensor. The tensors of one batch are held in memory.
class TensorComparison {
 public:
  /// Prepared graphs (preparation_pipeline); `ops` must live on. Errors (input): they share no
  /// tensor that is computed.
  TensorComparison(std::shared_ptr<const Graph> reference, std::shared_ptr<const Graph> candidate,
                   const OpRegistry& ops);
  ~TensorComparison();

  /// One batch, by the names of the float model's inputs. Errors (input): tensors of unlike shapes.
  void add(const TensorMap& feeds);

  /// Worst first by the error of their own, those without a number before all.
  std::vector<LayerError> result() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// Worst first: by added_sqnr_db where any tensor has it, else by sqnr_db; exact ones last.
void sort_worst_first(std::vector<LayerError>& layers);

}  // namespace qtool
