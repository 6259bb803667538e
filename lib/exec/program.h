// SPDX-License-Identifier: Apache-2.0
// Internal to this room: what a session runs.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "exec/bodies.h"
#include "exec/session.h"

namespace qtool {

/// Where a run-time tensor lies.
struct Buffer {
  enum class Kind {
    arena,     ///< planned
    feed,      ///< the caller's memory, by feed index
    constant,  ///< a constant's elements
    dynamic,   ///< of a size known only at run time; owned by the last run
  };
  Kind kind = Kind::arena;
  size_t bytes = 0;
  size_t offset = 0;
  size_t feed = 0;
  Constant constant;
  Tensor dynamic;
};

/// A value as some buffer holds it.
struct Stored {
  int buffer = -1;
  Layout layout = Layout::plain;
};

struct TapPoint {
  ValueId id = ValueId::none;
  DType dtype = DType::undefined;
  Shape shape;
  Stored where;
};

struct Step {
  KernelPtr kernel;         ///< null: evaluate `node` by its reference
  std::vector<int> inputs;  ///< buffers in the kernel's order, then captures; -1: none
  std::vector<int> outputs;
  int copy_to_output = -1;  ///< position among inputs that output 0 starts as a copy of
  bool may_overwrite = false;
  const OpDef* def = nullptr;
  NodeId node = NodeId::none;
  std::unique_ptr<Bodies> bodies;  ///< of a node that has some
  std::vector<TapPoint> taps;
  StepInfo info;

  // Resolved pointers; those of feeds are patched at each run.
  std::vector<const void*> input_pointers;
  std::vector<void*> output_pointers;
};

struct FeedPatch {
  size_t step;
  size_t slot;
  size_t feed;
};

struct GraphOutput {
  std::string name;
  ValueId id = ValueId::none;
  DType dtype = DType::undefined;
  Shape shape;  ///< of dynamic ones: as of the last run
  int buffer = -1;
};

struct Session::Program {
  std::vector<Buffer> buffers;
  std::vector<Step> steps;
  std::vector<FeedPatch> patches;
  std::vector<std::string> input_names;
  std::vector<TensorType> input_types;
  std::vector<const void*> feeds;
  std::vector<TapPoint> input_taps;
  std::vector<GraphOutput> outputs;
  std::vector<std::string> output_names;
  std::vector<StepInfo> infos;
  std::shared_ptr<std::byte> arena;
  size_t arena_bytes = 0;
  void* scratch = nullptr;
  uint64_t macs = 0;
  bool profile = false;
  std::shared_ptr<BodyRuns> body_runs;  ///< shared with the sessions of bodies
  bool counts_runs = true;              ///< the outermost one: counts from 0 in each run

  /// Only where a step evaluates a node by its reference.
  std::shared_ptr<const Graph> graph;
  Facts facts;

  const void* address(int buffer) const;
};

/// Compiles `graph` into `program`; see session.h.
void compile(const Graph& graph, const OpRegistry& ops, const SessionOptions& options,
             Session::Program& program);

/// Shares buffers where a step may work in place, plans the arena, resolves pointers.
void place_buffers(Session::Program& program);

}  // namespace qtool
