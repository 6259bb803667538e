// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "report/records.h"
#include "report/svg.h"

namespace qtool {

/// The report as one HTML page that needs nothing beside it: no scripts, no other files. The
/// tables of the terminal, gates first, with charts of accuracy against size and latency and of
/// the worst layers, and of trainings. It is also well-formed XML.
std::string html_report(const ReportRecord& report, const std::vector<Scatter>& trainings = {});

/// Charts of what `qtool qat --log` writes, a JSON object an epoch: loss, and accuracy where it was
/// measured. Errors (input): another text, with the line.
std::vector<Scatter> training_curves(const std::string& log, const std::string& name);

/// The gates as JUnit's XML, one test case a gate and candidate, which CI systems show.
std::string junit_report(const ReportRecord& report);

}  // namespace qtool
