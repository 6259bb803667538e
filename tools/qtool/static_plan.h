// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "calibration.h"

namespace qtool {

/// What recipe.equalize asks for, as find_equalizations finds it for the recipe's bits.
std::vector<Equalization> equalizations(const Graph& graph, const CalibrationTable& table,
                                        const Target& target, const Recipe& recipe);

/// The data that a plan may read beside a table, and how.
struct PlanningData {
  const LoadedModel& model;
  const DataOptions& data;
  const PlanOptions& plan;
  CalibrationOptions how;
  const Globals& globals;
  Log& log;

  CalibrationTable table(const Graph& graph) const;
};

/// Equalizes and smooths the graph where the recipe says so, then plans for it. The table is that
/// of the graph before; equalization changes its statistics exactly, but for histograms: with
/// `data` they are collected anew, and high biases are absorbed as well. Percentiles are searched
/// only with data.
QuantPlan static_plan(Graph& graph, CalibrationTable& table, const Target& target,
                      const Recipe& recipe, const PlanningData* data = nullptr);

/// The edit: insert_qdq, then the nodes that are quantized at run time.
void carry_out(Graph& graph, const QuantPlan& plan);

}  // namespace qtool
