// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "quant/target.h"

namespace qtool {

/// A recipe to try, as the file that reproduces it.
struct Trial {
  std::string name;
  std::string yaml;
  bool learns = false;  ///< from samples, for minutes
  /// Only where all else fails, as it computes in float; takes seconds, in any time.
  bool last = false;
};

/// What is the same in all of them.
struct TrialBase {
  std::string target;      ///< name or file
  std::string bits;        ///< as --bits, or empty
  bool one_scale = false;  ///< the target's weights have one scale a tensor
  bool cpu = false;        ///< the target computes in float what is not quantized, and well
  bool packed = false;     ///< codes of 4 bits and fewer in 4-bit types
  bool few = false;        ///< widths below 8 come with rules
};

/// From cheap to dear: ranges, then biases and channels, then what learns, then what is no int8
/// model any more.
std::vector<Trial> trials(const TrialBase& base);

/// The trial with these nodes left in float.
Trial without(const Trial& trial, const std::vector<std::string>& nodes);

}  // namespace qtool
