// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "report/records.h"
#include "report/sections.h"

namespace qtool {

/// One piece for the terminal.
std::string terminal_text(const Section& section);

/// The report for the terminal: plain text, gates last, where the eye is.
std::string terminal_report(const ReportRecord& report);

/// The same in GitHub's Markdown, gates first and details folded, below the 65,536 characters that
/// a comment may have.
std::string markdown_report(const ReportRecord& report);

}  // namespace qtool
