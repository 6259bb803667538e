// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "calibration.h"

namespace qtool {

/// Which number formats ptq makes.
struct ModeFlags {
  std::string mode = "static";
  bool half_io = false;

  void declare(CLI::App& app);
  bool is_static() const { return mode == "static"; }
};

/// A model in another mode than static.
struct ConvertedModel {
  Graph graph;
  size_t converted = 0;
  size_t kept = 0;
  std::vector<std::string> notes;
  std::string text;  ///< for the terminal
  bool random = false;
};

/// Errors (usage): data where the mode takes none; (unsupported): nothing of the model changes.
ConvertedModel convert(const LoadedModel& model, const ModeFlags& flags, const DataOptions& data,
                       const PlanOptions& plan, const Globals& globals, Log& log);

}  // namespace qtool
