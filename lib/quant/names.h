// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>

#include "ir/fresh_names.h"

namespace qtool {

/// The node's name, or its first output's where it has none.
std::string own_name(const Graph& graph, NodeId id);

/// Keys for nodes that are unique and that a person knows: the name where it is unique among the
/// nodes and no other node's output has it, otherwise the first output's name.
class NodeKeys {
 public:
  explicit NodeKeys(const Graph& graph);
  const std::string& key(NodeId id) const { return keys_.at(id); }

  /// Errors (input): no node has the key; with the nearest that exist.
  NodeId find(const std::string& key) const;

 private:
  std::map<NodeId, std::string> keys_;
  std::map<std::string, NodeId> nodes_;
};

}  // namespace qtool
