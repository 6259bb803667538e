// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>

#include "support/error.h"

namespace qtool {

/// Help texts in the form that qtool's have: "--runs N=50", "--runner onednn|reference".
void style_help(CLI::App& app);

/// What was wrong with the command line, with the nearest flags. Not for --help and --version,
/// which CLI11 reports as errors too.
Error command_line_error(const CLI::App& app, const CLI::ParseError& failure);

}  // namespace qtool
