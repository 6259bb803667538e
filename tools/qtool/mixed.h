// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "calibration.h"
#include "quant/algorithms/mixed_widths.h"
#include "rounding/sensitivity.h"

namespace qtool {

/// Flags of tune for widths that differ from layer to layer.
struct MixedFlags {
  bool mixed = false;
  std::optional<double> target_bits;
  std::string max_size;
  std::vector<int> widths;
  std::string metric = "sqnr";
  std::string file;
  std::string page;

  void declare(CLI::App& app);
  bool wanted() const { return mixed || budgeted(); }
  bool budgeted() const { return target_bits || packed(); }
  bool packed() const { return !max_size.empty(); }  ///< 4-bit codes in 4-bit types

  /// Errors (usage): flags that do not go together.
  void check() const;
};

/// "300kB" or a share of the float file, "0.2", in bytes. Errors (usage): neither.
uint64_t parse_size(const std::string& flag, const std::string& text, uint64_t float_bytes);

/// The widths of a model's layers and what each is expected to cost.
class MixedWidths {
 public:
  /// Measures what the file does not have yet; keeps the file up to date. Errors (input): a file
  /// for another model or other samples; (unsupported): nothing to measure.
  MixedWidths(const LoadedModel& model, const Graph& graph, const CalibrationTable& table,
              const Target& target, const DataOptions& data, const MixedFlags& flags,
              const Globals& globals, Log& log);

  uint64_t weights() const { return weights_; }
  double mean_bits(const WidthAssignment& widths) const;

  /// Of so many bits for all weights together. Errors (usage): not even the least widths fit, with
  /// what they need.
  WidthAssignment within(uint64_t bits) const;
  std::vector<WidthAssignment> front() const { return search_->front(25); }

  /// As a recipe has it: a rule a width.
  std::string rules(const WidthAssignment& widths) const;

  /// Mean bits, size of the codes, expected SQNR; the chosen one is marked.
  std::vector<std::vector<std::string>> front_rows(const WidthAssignment* chosen) const;
  std::string front_page(const WidthAssignment* chosen, const std::string& model) const;
  Json json(const WidthAssignment& chosen) const;

 private:
  void measure(const LoadedModel& model, const Graph& graph, const CalibrationTable& table,
               const Target& target, const DataOptions& data, const MixedFlags& flags,
               const Globals& globals, Log& log);
  void resume(const std::string& file);
  std::string expected(double error) const;
  std::vector<std::vector<std::string>> layer_rows(const WidthAssignment& widths) const;

  SensitivityMetric metric_;
  std::vector<int> widths_;
  std::vector<std::string> ops_;  ///< op types, which no pattern for a name may equal
  Sensitivity sensitivity_;
  std::optional<WidthSearch> search_;
  uint64_t weights_ = 0;
};

}  // namespace qtool
