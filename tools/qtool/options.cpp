// SPDX-License-Identifier: Apache-2.0
#include "options.h"

#include "exec/onnxruntime_runner.h"
#include "exec/session_runner.h"
#include "onnx_io/onnx_io.h"
#include "ops/op_def.h"
#include "passes/batch.h"
#include "passes/passes.h"
#include "passes/pipelines.h"
#include "support/parallel.h"
#include "support/text.h"

namespace qtool {

namespace fs = std::filesystem;

LoadedModel open_model(const fs::path& path) {
  LoadedModel model;
  model.path = path;
  std::vector<fs::path> data_files;
  model.graph = load_model(path, {.data_folder = {}, .data_files = &data_files});
  const FileIdentity identity = identify(path, data_files);
  model.file = {path.filename().string(), identity.sha256, identity.bytes};
  return model;
}

SaveOptions save_options(bool external_data) {
  SaveOptions options;
  if (external_data) options.external_data = SaveOptions::ExternalData::always;
  return options;
}

std::shared_ptr<const Graph> prepared(const LoadedModel& model, Log& log) {
  auto graph = std::make_shared<Graph>(model.graph);
  within_frame([&] { return model.path.string(); },
               [&] {
                 run_pipeline(*graph, preparation_pipeline(), {builtin_ops(), &log});
               });
  return graph;
}

void RunnerOptions::declare(CLI::App& app) {
  app.add_option(
         "--runner", runner,
         "what computes: onednn (qtool's executor), reference (its slow oracle), onnxruntime")
      ->check(CLI::IsMember({"onednn", "reference", "onnxruntime"}))
      ->default_str("onednn");
  app.add_option("--ort-library", ort_library,
                 "ONNX Runtime's shared library; default: $QTOOL_ORT_LIBRARY, then the system's")
      ->type_name("FILE");
}

std::unique_ptr<Runner> RunnerOptions::open(const LoadedModel& model, const Globals&, Log& log,
                                            std::optional<size_t> batch) const {
  if (runner == "onnxruntime") {
    const auto library = find_onnxruntime(ort_library);
    if (!library) {
      throw input_error("no ONNX Runtime library was found",
                        "Name it with --ort-library; npm's package onnxruntime-node has one.");
    }
    OnnxRuntimeOptions options;
    options.library = *library;
    options.model = model.path;
    options.threads = threads_used();
    return open_onnxruntime(options);
  }
  std::shared_ptr<const Graph> graph;
  if (runner == "reference") {
    auto plain = std::make_shared<Graph>(model.graph);
    inline_functions()->run(*plain, {builtin_ops(), &log});
    graph = std::move(plain);
  } else {
    graph = prepared(model, log);
  }
  if (batch && std::in_range<int64_t>(*batch) && *batch > 0) {
    within_frame([&] { return model.path.string(); },
                 [&] {
                   graph = std::make_shared<const Graph>(
                       with_batch(*graph, builtin_ops(), static_cast<int64_t>(*batch)));
                 });
  }
  return open_session(std::move(graph), builtin_ops(),
                      runner == "reference" ? Backend::reference : Backend::onednn);
}

int threads_used() { return thread_count(); }

void check_output(const std::string& flag, const fs::path& output,
                  const std::vector<fs::path>& inputs) {
  std::error_code ignored;
  for (const fs::path& input : inputs) {
    if (fs::equivalent(output, input, ignored)) {
      throw usage_error(flag + ' ' + output.string() + " would overwrite an input",
                        "Name another file.");
    }
  }
  if (fs::is_directory(output, ignored)) {
    throw input_error(flag + ' ' + output.string() + " is a folder", "Name a file in it.");
  }
  const fs::path folder = output.parent_path();
  if (!folder.empty() && !fs::is_directory(folder, ignored)) {
    throw input_error(flag + ' ' + output.string() + ": there is no folder " + folder.string(),
                      "Make it first.");
  }
}

double parse_time(const std::string& flag, const std::string& text) {
  double number = 0;
  size_t read = 0;
  try {
    number = std::stod(text, &read);
  } catch (const std::exception&) {
    read = 0;
  }
  const std::string unit = text.substr(std::min(read, text.size()));
  const double seconds = unit == "s" ? 1 : unit == "m" ? 60 : unit == "h" ? 3600 : 0;
  if (read == 0 || seconds == 0 || !(number > 0 && number < 1e6)) {
    throw usage_error(flag + " \"" + text + "\" is no time", "Write 90s, 10m or 2h.");
  }
  return number * seconds;
}

}  // namespace qtool
