// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "calib/table.h"
#include "quant/plan.h"

namespace qtool {

/// Cross-layer equalization (Nagel et al. 2019, arXiv:1906.04721, section 4.1; Meller et al. 2019,
/// arXiv:1902.01917): for two convolutions with only a Relu between, the channels of the first
/// are divided by s_c and those of the second multiplied. With r1_c and r2_c the largest weights of
/// the channel in both, equation 11 takes s_c = sqrt(r1_c / r2_c), which brings all to like ranges
/// but leaves what lies between on fewer codes. So s is (r1_c / r2_c)^(a / 2) here, a the multiple
/// of 1/10 with the least expected error of what the second makes,
///   mean over n of  sum over c ((e1 + dx²/12) s_c² |w2_nc|² + (d2 / s_c)²/12 E[x_c²] k) / E[y_n²],
/// e1 the error that the steps d1 of the first weights leave in x, dx and d2 the steps of the grids
/// of x and of the second weights, k the kernel's positions. Pairs that share a layer are swept
/// until none gains.
///
/// Through a Clip from 0 to h only channels move that never came to h where the table was made,
/// and only as far as they then stay below it: the largest value, with a quarter more for what
/// calibration has not seen, is at most h. Pairs without statistics by channel are left alone.
struct EqualizeOptions {
  bool per_tensor = false;  ///< one scale a weight, otherwise one an output channel
  int weight_bits = 8;
  int activation_bits = 8;
};
std::vector<Equalization> find_equalizations(const Graph& graph, const CalibrationTable& table,
                                             const EqualizeOptions& options);

/// Edits the graph, what is absorbed after all scales. Its results stay as they were, up to
/// rounding and to what meets the end of a Clip. Errors (input): names that the graph does not
/// have, scales that do not fit.
void equalize(Graph& graph, const std::vector<Equalization>& equalizations);

/// What calibration of the edited graph would have found: tensors that are divided have the
/// ranges of their channels, divided, and no other statistics; without channels nothing at all.
void equalize(CalibrationTable& table, const Graph& graph,
              const std::vector<Equalization>& equalizations);

}  // namespace qtool
