// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace qtool {

/// What a rewrite of a model's number formats did.
struct ModeReport {
  size_t converted =
      0;  ///< nodes that compute, or constants that are stored, otherwise than before
  std::vector<std::pair<std::string, std::string>> kept;  ///< nodes left as they were, and why
  std::vector<std::string> notes;                         ///< what a person should know of the rest
};

/// For the terminal: the nodes left, by reason.
std::string kept_text(const ModeReport& report);

}  // namespace qtool
