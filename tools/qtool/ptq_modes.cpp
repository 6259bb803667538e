// SPDX-License-Identifier: Apache-2.0
#include "ptq_modes.h"

#include <algorithm>
#include <cmath>

#include "passes/half_precision.h"
#include "passes/quantize_dynamically.h"
#include "support/text.h"

namespace qtool {

namespace {

constexpr int64_t kOpset = 13;  ///< the first in which Cast, Clip and all else take what is made

/// Every float32 value that is no constant, by name, with the largest magnitude that data gave.
std::map<std::string, float> largest_magnitudes(const CalibrationTable& table) {
  std::map<std::string, float> largest;
  for (const auto& [name, entry] : table.tensors) {
    const Range& range = entry.stats.range;
    largest[name] = std::max(std::abs(range.low), std::abs(range.high));
  }
  return largest;
}

std::vector<ValueId> float_values(const Graph& graph) {
  const Facts facts = infer_facts(graph, builtin_ops());
  std::vector<ValueId> values;
  for (const ValueId id : graph.values()) {
    if (facts[id].type.dtype == DType::float32 && facts[id].constant == nullptr)
      values.push_back(id);
  }
  return values;
}

/// Infinities are no overflow of float16: it has them.
std::map<std::string, float> observed(const LoadedModel& model, const Graph& graph,
                                      const DataOptions& data, const Globals& globals, Log& log,
                                      bool& random) {
  const CalibrationTable table = calibrate_values(model, graph, float_values(graph), data,
                                                  {.non_finite = NonFinite::count}, globals, log);
  random = is_random(table.data);
  return largest_magnitudes(table);
}

ModeReport convert_graph(Graph& graph, const LoadedModel& model, const ModeFlags& flags,
                         const DataOptions& data, const PlanOptions& plan, const Globals& globals,
                         Log& log, bool& random) {
  const std::vector<std::string> excluded = exclusions(graph, plan.recipe());
  if (flags.mode == "dynamic") return quantize_dynamically(graph, builtin_ops(), excluded);
  if (flags.mode == "bfloat16") return store_as_bfloat16(graph, excluded);
  HalfOptions options{.excluded = excluded, .half_io = flags.half_io, .largest = {}};
  if (data.given()) options.largest = observed(model, graph, data, globals, log, random);
  ModeReport report = to_float16(graph, builtin_ops(), options);
  if (!data.given()) {
    report.notes.emplace_back(
        "activations were not checked against the end of float16, 65504; --data does so");
  }
  return report;
}

}  // namespace

void ModeFlags::declare(CLI::App& app) {
  app.add_option(
         "--mode", mode,
         "static: integers with ranges from data; dynamic: weights of MatMul, Gemm and Conv "
         "in 8 bits, activations quantized at run time, without data; float16: where the "
         "op allows it, checked against overflow with --data; bfloat16: weights stored so, "
         "computed in float; weight-only: weights in 2 to 8 bits (--bits w4), for all of a result "
         "or "
         "--block elements a scale, activations in float")
      ->check(CLI::IsMember({"static", "dynamic", "float16", "bfloat16", "weight-only"}))
      ->capture_default_str();
  app.add_flag("--half-io", half_io, "with --mode float16: the model's inputs and outputs as well");
}

ConvertedModel convert(const LoadedModel& model, const ModeFlags& flags, const DataOptions& data,
                       const PlanOptions& plan, const Globals& globals, Log& log) {
  if (data.given() && flags.mode != "float16") {
    throw usage_error("--mode " + flags.mode + " takes no --data",
                      "It needs no ranges: leave the flag out.");
  }
  ConvertedModel result;
  Target any;
  any.opset = kOpset;
  result.graph = quantizable_graph(model, any, log);
  ModeReport report = within_frame([&] { return model.path.string(); },
                                   [&] {
                                     return convert_graph(result.graph, model, flags, data, plan,
                                                          globals, log, result.random);
                                   });
  const char* what = flags.mode == "bfloat16" ? "tensors" : "nodes";
  result.text = fmt::format("mode {}: {} {} converted, {} left as they were\n{}", flags.mode,
                            report.converted, what, report.kept.size(), kept_text(report));
  if (report.converted == 0) {
    throw unsupported_error(fmt::format("{}: nothing for --mode {} to convert\n{}",
                                        model.path.string(), flags.mode, kept_text(report)));
  }
  result.converted = report.converted;
  result.kept = report.kept.size();
  result.notes = std::move(report.notes);
  return result;
}

}  // namespace qtool
