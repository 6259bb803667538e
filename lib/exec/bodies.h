// SPDX-License-Identifier: Apache-2.0
// Internal to this room: bodies of If, Loop and Scan as sessions of their own.
#pragma once

#include <list>
#include <memory>
#include <span>
#include <vector>

#include "exec/session.h"
#include "ops/body.h"

namespace qtool {

/// How often bodies have run since the outermost run began.
struct BodyRuns {
  int64_t count = 0;
};

/// Bodies run in one execution before it is taken for one that does not end.
inline constexpr int64_t kMostBodyRuns = int64_t{1} << 20;

/// The bodies of one node, each compiled once for each set of shapes that it meets (the last few
/// are kept). What a body captures is a constant of its session where it is one outside.
class Bodies {
 public:
  static bool any(const Node& node);

  Bodies(const Node& node, const ModelInfo& model, const OpRegistry& ops, Backend backend,
         std::shared_ptr<BodyRuns> runs);

  /// For one evaluation of the node; `captures` in the order of its captures. Everything given
  /// must outlive the runner. The runner's errors (input): more than kMostBodyRuns.
  SubgraphRunner runner(const Node& node, const Facts& facts,
                        std::span<const Tensor* const> captures);

 private:
  struct Compiled {
    std::vector<TensorType> types;  ///< of the feeds
    Session session;
  };
  struct Body {
    std::string attribute;
    SubgraphPtr graph;
    std::list<Compiled> compiled;  ///< latest first
  };

  std::vector<Tensor> run(Body& body, const Node& node, const Facts& facts,
                          std::span<const Tensor* const> captures,
                          const std::vector<Tensor>& inputs);

  ModelInfo model_;
  const OpRegistry& ops_;
  Backend backend_;
  std::shared_ptr<BodyRuns> runs_;
  std::vector<Body> bodies_;
};

}  // namespace qtool
