// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "report/records.h"

namespace qtool {

/// The report as one HTML page that needs nothing beside it: no scripts, no other files. The
/// tables of the terminal, gates first, with charts of accuracy against size and latency and of
/// the worst layers. It is also well-formed XML.
std::string html_report(const ReportRecord& report);

/// The gates as JUnit's XML, one test case a gate and candidate, which CI systems show.
std::string junit_report(const ReportRecord& report);

}  // namespace qtool
