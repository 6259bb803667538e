// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "train/fake_quantize.h"

namespace qtool {

/// A weight that is learned and the grid that it is rounded to.
struct WeightGrid {
  size_t weight = 0;  ///< in the parameters
  size_t scale = 0;   ///< in the parameters
  std::optional<int> axis = {};
  int32_t lowest = 0;
  int32_t highest = 0;
  bool power_of_two = false;
};

/// Those of a training whose zero points are 0 and whose weights stand for themselves.
std::vector<WeightGrid> weight_grids(const QuantizedTraining& training, const QuantPlan& plan);

/// Against weights that jump between two codes from step to step (Nagel et al. 2022,
/// arXiv:2203.11086).
struct OscillationSpec {
  /// λ of the dampening loss λ Σ (rounded(w) - w)² over weights inside of their grid (section 4.1),
  /// reached at the end of the training: it rises as (1 - cos(π done)) / 2. 0: none.
  double damping = 0;
  /// A weight whose code turns back more often than this, as a share of the steps, stays for good
  /// on the code that it had on average (section 4.2, algorithm 1). 0: none.
  double freeze = 0;
  double momentum = 0.02;  ///< of the running averages of turns and codes

  bool any() const { return damping > 0 || freeze > 0; }
};

/// Adds the gradients of the dampening loss; `done` from 0 to 1.
void dampen(const OscillationSpec& spec, std::span<const WeightGrid> grids,
            std::span<const Parameter> parameters, double done, std::span<Tensor> gradients);

/// After a step: counts turns, and puts frozen weights on their codes. `state` is empty at first,
/// then has four tensors a grid, like its weights: the code, the direction of the last change, the
/// average of turns (-1: frozen), the average code. Errors (input): a state of other grids.
void freeze_oscillating(const OscillationSpec& spec, std::span<const WeightGrid> grids,
                        std::span<Parameter> parameters, std::vector<Tensor>& state);

}  // namespace qtool
