// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "train/fake_quantize.h"
#include "train/trainer.h"

namespace qtool {

/// Grids that a training begins with before it takes the ones that are exported.
struct Stage {
  std::string bits;  ///< "w4a4"; empty: the recipe's own
  int until = 0;     ///< its last epoch, counted from 1
};

/// The stages of "w4a4:4,w3a3:6" (bits, epochs each), then the rest of `epochs` with the recipe's
/// own bits; of an empty text that alone. Errors (usage): another text, no epochs left.
std::vector<Stage> parse_stages(const std::string& text, int epochs);

/// The stage of an epoch, counted from 1 (0: that of the first).
size_t stage_of(const std::vector<Stage>& stages, int epoch);

/// Begins a stage with what the one before has learned, its running averages where it has any:
/// weights and biases as they are; scales by as much as they changed from where `plan` had them;
/// momentum likewise. Zero points begin anew. What is best starts over, since other grids were
/// measured; epochs, steps and history go on.
void carry_over(const QuantizedTraining& from, const QuantPlan& plan, QuantizedTraining& to,
                TrainState& state, const OptimizerSpec& optimizer);

}  // namespace qtool
