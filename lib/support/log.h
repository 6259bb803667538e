// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <set>
#include <string>
#include <string_view>

namespace spdlog {
class logger;
}

namespace qtool {

enum class LogLevel { quiet, warn, info, debug };

/// Messages for the person at the terminal, all on stderr. It is passed to whoever speaks; there
/// is no global one. A warning with the same text is printed once.
class Log {
 public:
  explicit Log(LogLevel level = LogLevel::warn);
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  LogLevel level() const { return level_; }
  void warn(std::string_view message);
  void info(std::string_view message);
  void debug(std::string_view message);

 private:
  LogLevel level_;
  std::shared_ptr<spdlog::logger> logger_;
  std::set<std::string, std::less<>> warned_;
};

}  // namespace qtool
