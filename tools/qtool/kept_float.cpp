// SPDX-License-Identifier: Apache-2.0
#include "kept_float.h"

#include <stdlib.h>

#include <algorithm>
#include <system_error>

#include "exec/onnxruntime_runner.h"
#include "exec/session.h"
#include "measure.h"
#include "onnx_io/onnx_io.h"

namespace qtool {

namespace fs = std::filesystem;

namespace {

/// A folder of its own, gone with all that is in it.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (fs::temp_directory_path() / "qtool-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) {
      throw input_error("cannot make a folder " + name, "TMPDIR names where it may be.");
    }
    path_ = name;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

/// Whether ops of this name multiply by weights, in floats. ONNX Runtime's own are named after
/// ONNX's: FusedConv, and Conv of other domains.
bool is_float_layer(const std::string& type, int64_t opset) {
  const std::string fused = "Fused";
  const OpKey key{"", type.starts_with(fused) ? type.substr(fused.size()) : type};
  const OpDef* def = builtin_ops().find(key, opset);
  return def != nullptr && std::ranges::any_of(def->quant.inputs, [](const OperandRule& rule) {
           return rule.role == OperandRole::weight;
         });
}

std::vector<KeptFloat> kept_by_onnxruntime(const LoadedModel& model, const RunnerOptions& runner) {
  const auto library = find_onnxruntime(runner.ort_library);
  if (!library) return {};
  const ScratchFolder folder;
  OnnxRuntimeOptions options;
  options.library = *library;
  options.model = model.path;
  options.optimized_model = folder.path() / "optimized.onnx";
  open_onnxruntime(options);
  const Graph graph = load_model(options.optimized_model);
  constexpr int64_t kAnyOpset = 17;  // names and roles are the same in all
  std::vector<KeptFloat> result;
  for (const NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    if (!is_float_layer(node.op.type, kAnyOpset)) continue;
    result.push_back({node.name, to_string(node.op), "a float kernel in ONNX Runtime's graph"});
  }
  return result;
}

}  // namespace

std::vector<KeptFloat> kept_float(const LoadedModel& model, const RunnerOptions& runner,
                                  std::span<const RunnerValue> inputs, Log& log) {
  if (runner.runner == "onnxruntime") return kept_by_onnxruntime(model, runner);
  std::vector<KeptFloat> result;
  const auto graph = prepared(model, log);
  SessionOptions options;
  for (const auto& [name, tensor] : timing_feeds(inputs, 1)) {
    options.input_shapes.emplace(name, tensor.shape());
  }
  const Session session(*graph, builtin_ops(), options);
  for (const StepInfo& step : session.steps()) {
    if (step.macs == 0 || step.integer) continue;
    result.push_back(
        {step.name, step.op, step.fallback.empty() ? "no Q/DQ around it" : step.fallback});
  }
  return result;
}

}  // namespace qtool
