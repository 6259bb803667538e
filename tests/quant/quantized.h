// SPDX-License-Identifier: Apache-2.0
// Small graphs with statistics, and what a plan says of them.
#pragma once

#include <algorithm>

#include "calib/observer.h"
#include "passes/graphs.h"
#include "quant/insert_qdq.h"
#include "quant/names.h"
#include "quant/planner.h"

namespace qtool::test {

/// Statistics of one sample with just these elements.
inline TableEntry observed(const std::vector<float>& elements) {
  Observer observer;
  observer.observe_sample(elements.data(), 1, 1, static_cast<int64_t>(elements.size()));
  return {observer.stats(), std::nullopt};
}

/// Every float value of the graph as the references compute it.
inline CalibrationTable calibrated(const Graph& graph, const TensorMap& feeds) {
  CalibrationTable table;
  for (const auto& [name, tensor] : run_graph(graph, feeds)) {
    if (tensor.dtype() == DType::float32) table.tensors.emplace(name, observed(to_floats(tensor)));
  }
  return table;
}

inline CalibrationTable ranges(std::initializer_list<std::pair<const char*, Range>> entries) {
  CalibrationTable table;
  for (const auto& [name, range] : entries)
    table.tensors.emplace(name, observed({range.low, range.high}));
  return table;
}

/// A plan together with the graph that it is about.
struct Planned {
  const Graph& graph;
  QuantPlan plan;

  Planned(const Graph& of, const CalibrationTable& table, const Recipe& recipe = {},
          const Target& target = load_target("ort-cpu"))
      : graph(of), plan(plan_quantization(of, builtin_ops(), table, target, recipe)) {}

  std::vector<const Placement*> placements(const std::string& tensor) const {
    std::vector<const Placement*> found;
    for (const Placement& placement : plan.placements) {
      if (graph.value(placement.value).name == tensor) found.push_back(&placement);
    }
    return found;
  }
  bool has(const std::string& tensor) const { return !placements(tensor).empty(); }
  const QuantParams& params(const std::string& tensor) const {
    const auto found = placements(tensor);
    INFO(tensor);
    REQUIRE(found.size() == 1);
    return found[0]->params;
  }
  const BiasPlacement& bias(const std::string& tensor) const {
    const auto found = std::ranges::find_if(plan.biases, [&](const BiasPlacement& bias) {
      return graph.value(bias.value).name == tensor;
    });
    REQUIRE(found != plan.biases.end());
    return *found;
  }
  bool quantized(const std::string& node) const { return names(plan.quantized).contains(node); }
  bool moved(const std::string& node) const { return names(plan.moved).contains(node); }
  bool removed(const std::string& node) const {
    return std::ranges::any_of(
        plan.removed, [&](const RemovedNode& r) { return own_name(graph, r.node) == node; });
  }
  std::string skipped(const std::string& node) const {
    for (const SkippedNode& skip : plan.skipped) {
      if (own_name(graph, skip.node) == node) return skip.reason;
    }
    return {};
  }
  bool noted(const std::string& part) const {
    return std::ranges::any_of(plan.notes,
                               [&](const std::string& note) { return contains(note, part); });
  }

 private:
  std::set<std::string> names(const std::vector<NodeId>& ids) const {
    std::set<std::string> result;
    for (const NodeId id : ids) result.insert(own_name(graph, id));
    return result;
  }
};

inline std::string message_of(const auto& body, Error::Kind kind) {
  try {
    body();
  } catch (const Error& error) {
    CHECK(error.kind() == kind);
    return error.what();
  }
  return "nothing was thrown";
}

}  // namespace qtool::test
