// SPDX-License-Identifier: Apache-2.0
#include "help.h"

#include <algorithm>

#include "support/text.h"

namespace qtool {

namespace {

/// What stands for a flag's value. CLI11 says "UINT:INT in [0 - 9]" and "TEXT:{a,b}".
std::string value_word(const CLI::Option& option) {
  std::string word = option.get_type_name();
  const size_t colon = word.find(':');
  if (colon != std::string::npos && word[colon + 1] == '{') {
    std::string choices = word.substr(colon + 2, word.size() - colon - 3);
    std::ranges::replace(choices, ',', '|');
    return choices;
  }
  word.resize(std::min(colon, word.size()));
  if (word == "UINT" || word == "INT" || word == "FLOAT") return "N";
  return word == "TEXT" ? "VALUE" : word;
}

class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_option_opts(const CLI::Option* option) const override {
    const bool repeats = option->get_expected_max() > 1;
    std::string text = repeats ? " ..." : "";
    if (option->get_positional() && option->get_lnames().empty()) return text;
    if (option->get_type_size() == 0) return "";
    text = ' ' + value_word(*option) + text;
    if (!option->get_default_str().empty()) text += '=' + option->get_default_str();
    return option->get_required() ? text + " (required)" : text;
  }
};

}  // namespace

void style_help(CLI::App& app) {
  auto formatter = std::make_shared<HelpFormatter>();
  formatter->label("SUBCOMMAND", "COMMAND");
  formatter->label("Positionals", "Arguments");
  formatter->column_width(32);
  app.formatter(formatter);
}

Error command_line_error(const CLI::App& app, const CLI::ParseError& failure) {
  const auto chosen = app.get_subcommands();
  if (chosen.empty()) return usage_error("which command?", "qtool --help lists them.");
  const CLI::App& command = *chosen.front();
  std::vector<std::string> flags;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) flags.push_back("--" + name);
  }
  std::string advice = "qtool " + command.get_name() + " --help explains the flags.";
  for (const std::string& word : command.remaining()) {
    const std::string near = did_you_mean(word, flags);
    if (word.starts_with("--") && !near.empty()) {
      advice = near;
      break;
    }
  }
  return usage_error(command.get_name() + ": " + failure.what(), advice);
}

}  // namespace qtool
