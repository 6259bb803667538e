// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "command.h"
#include "data/batch.h"
#include "data/open.h"
#include "exec/runner.h"
#include "ir/graph.h"
#include "onnx_io/onnx_io.h"
#include "report/records.h"

namespace qtool {

// Groups of flags that several commands share, and what follows from them.

/// A model file as loaded, with what a report says of it.
struct LoadedModel {
  std::filesystem::path path;
  Graph graph;  ///< as in the file
  ModelFile file;
};
LoadedModel open_model(const std::filesystem::path& path);

/// The model made ready for computing: constants lifted and folded, batch norms folded.
std::shared_ptr<const Graph> prepared(const LoadedModel& model, Log& log);

struct DataOptions {
  std::string data;
  std::string preprocess = "none";
  std::string labels;
  std::string split;
  std::vector<std::string> shapes;
  std::string dtype;
  std::optional<size_t> samples;
  size_t skip = 0;
  std::optional<size_t> usual_samples;  ///< at most so many without --samples; none: all
  std::optional<size_t> batch;

  void declare(CLI::App& app, bool required, const char* what);
  bool given() const { return !data.empty(); }

  struct Opened {
    std::unique_ptr<Dataset> dataset;
    Order order;
    Preprocessing preprocessing;
    std::shared_future<Json> origin;  ///< hashed by a thread of its own; goes before the data set

    /// Waits for it. Errors (input): the files cannot be read any more.
    const Json& provenance() const { return origin.get(); }
  };

  /// `inputs` are the model's, for random data; the log is told where the data are random.
  Opened open(std::span<const RunnerValue> inputs = {}, Log* log = nullptr) const;
};

/// Whether a data set's provenance says random numbers.
bool is_random(const Json& provenance);
inline constexpr const char* kRandomWarning =
    "RANDOM NUMBERS as data: ranges and errors say nothing about real use";

/// What --external-data asks for.
SaveOptions save_options(bool external_data);
inline constexpr const char* kExternalDataHelp =
    "put tensors of 1 KiB and more into OUTPUT.data beside the model; by itself only beyond 2 GB";

struct RunnerOptions {
  std::string runner = "onednn";
  std::string ort_library;

  void declare(CLI::App& app);
  /// `batch`: as asked for by a flag; a model exported for one sample is widened to it. Errors
  /// (input): its graph does not allow that.
  std::unique_ptr<Runner> open(const LoadedModel& model, const Globals& globals, Log& log,
                               std::optional<size_t> batch = {}) const;
};

/// The batch size to use: what was asked, or what the model's first input fixes, or `otherwise`.
/// Errors (usage): asked for another than the model fixes.
size_t batch_size(std::span<const RunnerValue> inputs, std::optional<size_t> asked,
                  size_t otherwise);

/// A batch as feeds for a model: names matched (a single array goes to a single input whatever its
/// name), 8-bit pixels widened where the model wants floats. Errors (input): names, types or shapes
/// that do not fit, with both sides.
TensorMap feeds(Batch& batch, std::span<const RunnerValue> inputs);

/// Seconds of "90s", "10m" or "2h". Errors (usage): another text, with the flag.
double parse_time(const std::string& flag, const std::string& text);

/// Every --threads 0 resolved.
int threads_used();

/// Refuses, before any work, an output that could not be written, or that would overwrite an input
/// (usage). The flag is for the message.
void check_output(const std::string& flag, const std::filesystem::path& output,
                  const std::vector<std::filesystem::path>& inputs);

}  // namespace qtool
