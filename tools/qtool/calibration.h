// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "calib/calibrate.h"
#include "options.h"
#include "quant/planner.h"

namespace qtool {

/// What is wished of a quantization: flags, over a recipe file, over the target's defaults.
struct PlanOptions {
  std::string target;  ///< empty: the recipe's, else ort-cpu
  std::string recipe_file;
  std::string activations;
  std::string weights;
  std::string bits;
  bool edges_too = false;
  std::vector<std::string> include;
  std::vector<std::string> exclude;
  bool per_tensor = false;
  bool pack = false;
  bool no_bias_correction = false;
  bool reduce_range = false;
  bool no_smooth_quant = false;
  bool allow_quantized = false;
  std::string method;
  std::optional<size_t> iterations;
  std::optional<int64_t> block;

  void declare_target(CLI::App& app);
  void declare(CLI::App& app);
  Recipe recipe() const;
  Target load() const;  ///< the target, with the wished activations of more than 8 bits

 private:
  Target plain_target() const;
};

/// The model ready to be calibrated and quantized: prepared, at an opset the target can use.
Graph quantizable_graph(const LoadedModel& model, const Target& target, Log& log);

struct CalibrationOptions {
  NonFinite non_finite = NonFinite::refuse;
  std::optional<uint64_t> memory_limit = {};  ///< bytes that the process may ever have resident
};

/// Runs the data through the model and gives the table, bound to the model's hash. Under a memory
/// limit the batch is cut (with a warning) to what will fit. Errors (input): not even one sample
/// fits, or the run took more than was foreseen; with what it needs.
CalibrationTable calibrate_model(const LoadedModel& model, const DataOptions& data,
                                 const PlanOptions& plan, const CalibrationOptions& options,
                                 const Globals& globals, Log& log);

/// The same for the model's graph as it was prepared and edited.
CalibrationTable calibrate_graph(const LoadedModel& model, const Graph& graph,
                                 const DataOptions& data, const PlanOptions& plan,
                                 const CalibrationOptions& options, const Globals& globals,
                                 Log& log);

/// The same for chosen values of a graph that was made from the model.
CalibrationTable calibrate_values(const LoadedModel& model, const Graph& graph,
                                  std::span<const ValueId> values, const DataOptions& data,
                                  const CalibrationOptions& options, const Globals& globals,
                                  Log& log);

/// The table in a file, which must have been made for this model. Errors (input): for another.
CalibrationTable table_of(const LoadedModel& model, const std::string& path);

/// Where the quantized model came from, in its metadata. A second quantization
/// replaces the first. For ptq in other modes than static, `target` is the mode.
void stamp(Graph& graph, const LoadedModel& model, const std::string& target);

}  // namespace qtool
