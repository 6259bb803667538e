// SPDX-License-Identifier: Apache-2.0
#include "support/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

namespace qtool {

Log::Log(LogLevel level)
    : level_(level), logger_(std::make_shared<spdlog::logger>(
                         "qtool", std::make_shared<spdlog::sinks::stderr_color_sink_mt>())) {
  logger_->set_pattern("qtool: %^%l%$: %v");
  switch (level) {
    case LogLevel::quiet: logger_->set_level(spdlog::level::err); break;
    case LogLevel::warn: logger_->set_level(spdlog::level::warn); break;
    case LogLevel::info: logger_->set_level(spdlog::level::info); break;
    case LogLevel::debug: logger_->set_level(spdlog::level::debug); break;
  }
}

Log::~Log() = default;

void Log::warn(std::string_view message) {
  if (warned_.emplace(message).second) logger_->warn("{}", message);
}
void Log::info(std::string_view message) { logger_->info("{}", message); }
void Log::debug(std::string_view message) { logger_->debug("{}", message); }

}  // namespace qtool
