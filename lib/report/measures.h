// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "report/records.h"

namespace qtool {

enum class Unit { fraction, points, ratio, decibel, milliseconds, bytes, per_second, plain };

/// What can be gated. `value` is infinite for the SQNR of an exact candidate.
struct Measure {
  std::string_view name;
  Unit unit;
  std::string_view meaning;
  std::string_view needs;  ///< completes "not measured: it needs ..."
  std::optional<double> (*value)(const Candidate&);
};

std::span<const Measure> measures();

/// Null where there is none of this name.
const Measure* find_measure(std::string_view name);

/// Why the candidate has no value, as a sentence part.
std::string reason_absent(const Measure& measure, const Candidate& candidate);

/// The number with its unit, such as "0.04 points".
std::string in_unit(Unit unit, const std::string& number);

}  // namespace qtool
