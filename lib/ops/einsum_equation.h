// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace qtool {

/// An Einsum's equation over inputs of known ranks, every axis named by a label: letters keep
/// their character code, the axes under an ellipsis are kEllipsis + their distance from its end.
struct EinsumEquation {
  std::vector<std::vector<int>> inputs;  ///< labels of each input's axes; one may repeat
  std::vector<int> output;               ///< distinct labels
};

inline constexpr int kEllipsis = 1000;

/// Without "->" the output has the ellipsis, then the letters that occur once, in order of their
/// codes. Errors (input): other characters, another number of terms than inputs, a term that does
/// not fit its input's rank, an output label that no input has or that repeats.
EinsumEquation parse_equation(const std::string& text, const std::vector<size_t>& ranks);

/// Extents by label: equal wherever a label stands, or 1, which broadcasts. Unknown where no input
/// tells. Errors (input): extents that differ.
std::map<int, Dim> label_extents(const EinsumEquation& equation,
                                 const std::vector<std::vector<Dim>>& shapes);

}  // namespace qtool
