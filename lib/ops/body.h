// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "ops/op_def.h"

namespace qtool {

// Bodies of If, Loop and Scan, and of functions, seen as graphs of their own or laid into the graph
// around them.

/// A value that a body captures, with what is known of it outside.
struct Captured {
  ValueId inner = ValueId::none;
  ValueId outer = ValueId::none;
  ValueFacts facts;
};

/// What the body in `attribute` captures, in the order of the node's captures.
std::vector<Captured> captured_facts(const Node& node, const std::string& attribute,
                                     const Facts& facts);

/// A body as a main graph: its inputs with these types, then what it captures as further inputs,
/// or as constants where the elements are known. Value ids are the body's. Errors (input): another
/// number of inputs.
Graph standalone_body(const Graph& body, const ModelInfo& model,
                      const std::vector<TensorType>& inputs, std::span<const Captured> captured);

/// Names that a graph and its bodies use already.
class TakenNames {
 public:
  explicit TakenNames(const Graph& graph) { collect(graph); }

  /// `stem`, or stem_1, stem_2 ...: free until now.
  std::string take(const std::string& stem);

 private:
  void collect(const Graph& graph);
  std::set<std::string> names_;
};

/// Lays a body's nodes into `graph`. `bound` gives the graph's values for the body's inputs and
/// captures (none: absent); `results` are values without producer that become the body's outputs
/// (none: not wanted). Node names get `prefix` in front.
void inline_body(Graph& graph, const Graph& body, std::map<ValueId, ValueId> bound,
                 std::span<const ValueId> results, const std::string& prefix, TakenNames& names);

/// Replaces every If whose condition is known by the branch that runs, also those that this brings
/// up. Its results keep their ids. Returns how many. Errors as infer_facts.
int inline_known_branches(Graph& graph, const OpRegistry& ops, const InferOptions& options = {});

/// Whether there is something for inline_known_branches to look at.
bool has_branches(const Graph& graph);

}  // namespace qtool
