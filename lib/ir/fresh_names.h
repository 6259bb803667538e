// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "ir/graph.h"

namespace qtool {

/// Hands out names that nothing in a graph has, in time that does not grow with the graph.
class FreshNames {
 public:
  explicit FreshNames(const Graph& graph);

  /// `stem`, or stem_1, stem_2 ...; never the same twice.
  std::string take(std::string_view stem);

 private:
  void collect(const Graph& graph);
  std::set<std::string, std::less<>> taken_;
};

}  // namespace qtool
