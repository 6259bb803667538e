// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "report/records.h"

namespace qtool {

enum class Comparison { less_equal, greater_equal, less, greater, equal };

/// A condition that every candidate must meet.
struct Gate {
  std::string expr;  ///< as written, without surrounding blanks
  std::string name;  ///< one of gate_names()
  Comparison comparison = Comparison::less_equal;
  double limit = 0;
};

/// What can be gated, and what each name means and in which unit, for help texts.
struct GateName {
  std::string_view name;
  std::string_view meaning;
};
std::vector<GateName> gate_names();

/// `NAME OP NUMBER` with OP one of <= >= < > ==, blanks where one likes. Shares (top1, top5,
/// agreement) are fractions from 0 to 1 or written with a per cent sign; drops are in points.
/// Errors (usage): anything else, with the nearest names.
Gate parse_gate(std::string_view text);

/// One gate a line; empty lines and what follows a # are skipped. Errors (usage) name the line;
/// errors (input): unreadable or without any gate.
std::vector<Gate> read_gates(const std::filesystem::path& path);

/// Every gate for every candidate, in this order. A gate whose value is not known fails and says
/// why. An exact candidate has an SQNR above any limit: value absent, `why` says so. Deltas must
/// have been filled (fill_deltas).
std::vector<GateResult> evaluate(const std::vector<Gate>& gates, const ReportRecord& report);

bool all_passed(const std::vector<GateResult>& results);

/// The value in its unit, such as "0.04 points", with as many digits as it takes to see on which
/// side of the limit it is; the reason where there is no value.
std::string gate_value_text(const GateResult& result);

}  // namespace qtool
