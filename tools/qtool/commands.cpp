// SPDX-License-Identifier: Apache-2.0
// The table of commands.
#include <array>

#include "command.h"
#include "support/error.h"
#include "support/text.h"

namespace qtool {

namespace {

constexpr std::array kCommands{
    Command{"inspect", "what is in a model, what can be quantized, what not and why",
            declare_inspect},
    Command{"calibrate", "run data through a model and record the ranges of its tensors",
            declare_calibrate},
    Command{"ptq", "quantize a model after training", declare_ptq},
    Command{"tune", "try settings of ptq from cheap to dear until the accuracy is kept",
            declare_tune},
    Command{"methods", "the methods of ptq: when to use each, what it costs and needs",
            declare_methods},
    Command{"qat", "fine-tune a model with quantization in the loop", declare_qat},
    Command{"eval", "accuracy of a model on labelled data", declare_eval},
    Command{"compare", "every tensor of a quantized model against the float one, worst first",
            declare_compare},
    Command{"bench", "latency and memory of a model", declare_bench},
    Command{"report", "size, latency and accuracy of models side by side; gates for CI",
            declare_report},
    Command{"doctor", "what this machine and this build can do, and what to do about the rest",
            declare_doctor},
};

}  // namespace

std::span<const Command> commands() { return kCommands; }

void check_command_name(int argc, const char* const* argv) {
  if (argc < 2 || argv[1][0] == '-') return;
  std::vector<std::string> names;
  for (const Command& command : kCommands) {
    if (argv[1] == std::string_view(command.name)) return;
    names.emplace_back(command.name);
  }
  std::string advice = did_you_mean(argv[1], names);
  if (advice.empty()) advice = "The commands are " + join(names, ", ") + '.';
  throw usage_error("no command \"" + std::string(argv[1]) + '"', advice);
}

LogLevel Globals::log_level() const {
  if (quiet) return LogLevel::quiet;
  return verbosity == 0 ? LogLevel::warn : verbosity == 1 ? LogLevel::info : LogLevel::debug;
}

}  // namespace qtool
