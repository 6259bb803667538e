// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/graph.h"
#include "ops/op_def.h"
#include "support/log.h"

namespace qtool {

/// What a pass may use besides the graph.
struct PassContext {
  const OpRegistry& ops;
  Log* log = nullptr;  ///< null: silent
};

/// A rewrite of the main graph that keeps its meaning. Passes hold no state; bodies of If and Loop
/// are left as they are.
class Pass {
 public:
  virtual ~Pass() = default;
  virtual std::string_view name() const = 0;

  /// The number of rewrites. Errors: what the pass's file states.
  virtual int run(Graph& graph, const PassContext& context) const = 0;
};

using PassPtr = std::shared_ptr<const Pass>;

/// A local rewrite: `match` may refuse but cannot edit, `apply` may edit but cannot refuse, so that
/// none is ever half done.
template <class Match>
struct Rule {
  std::optional<Match> (*match)(const Graph&, NodeId) = nullptr;
  void (*apply)(Graph&, const Match&) = nullptr;
};

/// Applies a rule to each node once, producers first.
template <class Match>
class RulePass final : public Pass {
 public:
  RulePass(std::string_view name, Rule<Match> rule) : name_(name), rule_(rule) {}
  std::string_view name() const override { return name_; }

  int run(Graph& graph, const PassContext&) const override {
    int rewrites = 0;
    for (const NodeId id : graph.topological_order()) {
      if (!graph.has(id)) continue;
      within_frame([&] { return graph.has(id) ? graph.describe(id) : std::string("a node"); },
                   [&] {
                     const std::optional<Match> match = rule_.match(graph, id);
                     if (!match) return;
                     rule_.apply(graph, *match);
                     ++rewrites;
                   });
    }
    return rewrites;
  }

 private:
  std::string_view name_;
  Rule<Match> rule_;
};

/// A pass and why it stands where it stands.
struct PipelineEntry {
  PassPtr pass;
  std::string_view reason;
};
using Pipeline = std::vector<PipelineEntry>;

struct PipelineOptions {
  bool print_passes = false;    ///< each pass's name and number of rewrites, to the log
  std::string dump_after = {};  ///< the graph's text after this pass, to the log
  std::string stop_after = {};  ///< leaves out what comes behind this pass
};

struct PassCount {
  std::string name;
  int rewrites = 0;
};

/// Runs the passes in order and verifies the graph after each. Errors: what a pass throws, framed
/// with its name; internal where a pass leaves defects; usage where an option names no pass.
std::vector<PassCount> run_pipeline(Graph& graph, const Pipeline& pipeline,
                                    const PassContext& context,
                                    const PipelineOptions& options = {});

}  // namespace qtool
