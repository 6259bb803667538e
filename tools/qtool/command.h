// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <span>
#include <string>

#include "support/log.h"
#include "support/progress.h"

namespace qtool {

/// Flags that every command has.
struct Globals {
  bool json = false;
  bool quiet = false;
  int verbosity = 0;
  int threads = 0;  ///< 0: one per core

  LogLevel log_level() const;
  Progress::Mode progress() const {
    return quiet ? Progress::Mode::silent : Progress::Mode::automatic;
  }
};

/// A subcommand: declares its flags and gives what runs after they were parsed. The result of
/// running is the exit code; errors are thrown.
struct Command {
  const char* name;
  const char* summary;
  std::function<int()> (*declare)(CLI::App& app, const Globals& globals);
};

std::span<const Command> commands();

/// Errors (usage): the first word of the command line is no command, with the nearest ones.
void check_command_name(int argc, const char* const* argv);

std::function<int()> declare_bench(CLI::App& app, const Globals& globals);
std::function<int()> declare_calibrate(CLI::App& app, const Globals& globals);
std::function<int()> declare_compare(CLI::App& app, const Globals& globals);
std::function<int()> declare_doctor(CLI::App& app, const Globals& globals);
std::function<int()> declare_eval(CLI::App& app, const Globals& globals);
std::function<int()> declare_inspect(CLI::App& app, const Globals& globals);
std::function<int()> declare_methods(CLI::App& app, const Globals& globals);
std::function<int()> declare_ptq(CLI::App& app, const Globals& globals);
std::function<int()> declare_qat(CLI::App& app, const Globals& globals);
std::function<int()> declare_report(CLI::App& app, const Globals& globals);
std::function<int()> declare_tune(CLI::App& app, const Globals& globals);

}  // namespace qtool
