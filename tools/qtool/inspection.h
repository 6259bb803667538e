// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "input_shapes.h"
#include "ir/graph.h"

namespace qtool {

/// How a node stands to quantization, by its op's record.
struct Standing {
  std::string verdict;  ///< "can be int8", "follows its input", "float"
  std::string reason;
};

struct OpRow {
  size_t count = 0;
  uint64_t macs = 0;
  Standing standing;
};

struct LayerRow {
  std::string node;
  std::string op;
  std::string result;  ///< its type
  uint64_t macs = 0;
  bool open = false;  ///< its work is not known, because extents are not
  Standing standing;
};

/// What `qtool inspect` finds of a graph's nodes.
struct Inspection {
  std::map<std::string, OpRow> ops;
  std::map<std::string, size_t> body_ops;  ///< in bodies of If, Loop and Scan
  std::vector<LayerRow> layers;
  uint64_t macs = 0;      ///< multiply-accumulates of the layers that are not open
  size_t open_nodes = 0;  ///< nodes that multiply, of open extents
};

/// Open extents of inputs are as asked, else 1. Errors (usage): a shape that does not suit the
/// model.
Inspection inspect_graph(const Graph& graph, const InputShapes& asked);

}  // namespace qtool
