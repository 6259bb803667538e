// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "calib/calibrate.h"
#include "quant/planner.h"

namespace qtool {

/// Of one grid for activations: what it was taken by, what is best, and what each costs where the
/// grid's values are read: the squared errors of the readers' results over their power, summed.
struct SearchedRange {
  std::vector<std::string> tensors;  ///< that share the grid
  RangeMethod method;                ///< of the least error; as wished where none wins a decibel
  double error = 0;
  double error_before = 0;  ///< with the wished one
};

/// For each grid that the plan would have, the recipe's range method against percentiles 99, 99.9,
/// 99.99, 99.999 and 100 (Wu et al. 2020, arXiv:2004.09602, choose one for a whole network), by
/// measurement: every node that reads the values as codes computes from floats, of which only this
/// grid's are rounded, with its weights in float, and what changes in its results counts. Nodes
/// that only move codes are looked through; results of the model count as they are. Ranges that
/// are known, written by hand or wished by a rule are left alone. Tensors of `samples` are held so
/// many at a time as fit into `memory` bytes; `samples` begins anew for each such part.
std::vector<SearchedRange> search_percentiles(const Graph& graph, const OpRegistry& ops,
                                              const CalibrationTable& table, const Target& target,
                                              const Recipe& recipe,
                                              const std::function<FeedSource()>& samples,
                                              uint64_t memory);

/// Those that are better than what was wished, for Recipe::found_methods.
std::map<std::string, RangeMethod> found_methods(const std::vector<SearchedRange>& ranges);

}  // namespace qtool
