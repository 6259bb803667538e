// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "calib/calibrate.h"
#include "quant/planner.h"

namespace qtool {

/// What recipe.equalize asks for, as find_equalizations finds it for the recipe's bits.
std::vector<Equalization> equalizations(const Graph& graph, const CalibrationTable& table,
                                        const Target& target, const Recipe& recipe);

/// Equalizes and smooths the graph where the recipe says so, then plans for it. The table is that
/// of the graph before; equalization changes its statistics exactly, but for histograms: with
/// `recalibrate` they are collected anew, and with `samples` high biases are absorbed as well.
QuantPlan static_plan(Graph& graph, CalibrationTable& table, const Target& target,
                      const Recipe& recipe,
                      const std::function<CalibrationTable(const Graph&)>& recalibrate = nullptr,
                      const std::function<FeedSource()>& samples = nullptr);

/// The edit: insert_qdq, then the nodes that are quantized at run time.
void carry_out(Graph& graph, const QuantPlan& plan);

}  // namespace qtool
