// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "exec/runner.h"

namespace qtool {

struct OnnxRuntimeOptions {
  enum class Optimization { off, basic, extended, all };

  std::filesystem::path library = {};  ///< empty: what find_onnxruntime() finds
  std::filesystem::path model = {};
  int threads = 1;  ///< 0: one per core
  Optimization optimization = Optimization::all;

  /// Where ONNX Runtime writes the graph that it really runs, after its rewrites; empty: nowhere.
  /// With Optimization::all that file suits this machine's CPU only.
  std::filesystem::path optimized_model = {};
};

/// The library to load: `named` (from a flag), or what the environment's QTOOL_ORT_LIBRARY names,
/// or what `scripts/setup` put under the project at `root`, or the system's; nothing where there
/// is none. Errors (input): the flag or the environment names a file that does not exist.
std::optional<std::filesystem::path> find_onnxruntime(const std::filesystem::path& named = {},
                                                      const std::filesystem::path& root = {});

/// The version of the ONNX Runtime in this file, such as "1.30.0". Errors (input): it cannot be
/// loaded, is none, or is too new or too old.
std::string onnxruntime_version(const std::filesystem::path& library);

/// Loads the model in ONNX Runtime, on the CPU. Inputs are read where they lie, outputs are
/// copied. Errors (input): the library cannot be loaded, is none, or is too new or too old; the
/// model is broken or uses what this ONNX Runtime does not support, with its own message.
std::unique_ptr<Runner> open_onnxruntime(const OnnxRuntimeOptions& options);

}  // namespace qtool
