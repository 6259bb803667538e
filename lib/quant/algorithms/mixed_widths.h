// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace qtool {

/// One width that a layer could have: what it costs (bits or bytes, as the budget counts) and the
/// error that it leaves in the model's outputs when all other layers are exact.
struct WidthChoice {
  int bits = 8;
  uint64_t cost = 0;
  double error = 0;  ///< >= 0
};

/// A choice for each layer, by index.
struct WidthAssignment {
  std::vector<size_t> choice;
  uint64_t cost = 0;
  double error = 0;
};

/// Mixed precision as a knapsack: one width a layer, the least sum of errors for each total cost.
/// Errors of layers are taken to add up, as in Dong et al. 2019 (HAWQ-V2, arXiv:1911.03852,
/// equation 2) and Yao et al. 2021 (HAWQ-V3, arXiv:2011.10680). Solved by dynamic programming over
/// up to 16,384 steps of cost, which is exact where all costs are multiples of a step; what
/// rounding costs up leaves of a budget is then spent on the single changes that win most.
class WidthSearch {
 public:
  /// Each layer has at least one choice.
  explicit WidthSearch(std::vector<std::vector<WidthChoice>> layers);

  /// The least error for a total cost of at most `budget`; nothing where not even the cheapest
  /// choices fit.
  std::optional<WidthAssignment> best(uint64_t budget) const;

  /// Assignments that none beats in both, cheap ones first, at most `most` of them, evenly spread
  /// over the costs.
  std::vector<WidthAssignment> front(size_t most) const;

  uint64_t least_cost() const { return least_; }
  uint64_t most_cost() const { return most_; }

 private:
  WidthAssignment at_cell(size_t cell) const;
  void spend_rest(WidthAssignment& found, uint64_t budget) const;

  std::vector<std::vector<WidthChoice>> layers_;
  uint64_t least_ = 0;
  uint64_t most_ = 0;
  uint64_t step_ = 1;
  size_t cells_ = 1;
  std::vector<uint16_t> taken_;  ///< [layers, cells]: the choice of the best with at most that cost
};

}  // namespace qtool
