// SPDX-License-Identifier: Apache-2.0
#include "passes/mode_report.h"

#include <fmt/format.h>

#include <map>

#include "support/text.h"

namespace qtool {

std::string kept_text(const ModeReport& report) {
  constexpr size_t kNamed = 3;
  std::map<std::string, std::vector<std::string>> by_reason;
  for (const auto& [node, reason] : report.kept) by_reason[reason].push_back(node);
  std::string text;
  for (auto& [reason, nodes] : by_reason) {
    const size_t more = nodes.size() > kNamed ? nodes.size() - kNamed : 0;
    nodes.resize(nodes.size() - more);
    text += fmt::format("  left: {}{}: {}\n", join(nodes, ", "),
                        more > 0 ? fmt::format(" and {} more", more) : "", reason);
  }
  return text;
}

}  // namespace qtool
