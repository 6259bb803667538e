// SPDX-License-Identifier: Apache-2.0
#include "support/error.h"

#include <utility>

namespace qtool {

Error::Error(Kind kind, std::string message, std::string advice)
    : kind_(kind), message_(std::move(message)), advice_(std::move(advice)) {
  compose();
}

Error& Error::within(std::string_view frame) {
  if (!frames_.empty() && frames_.back() == frame) return *this;  // said already
  frames_.emplace_back(frame);
  compose();
  return *this;
}

void Error::compose() {
  text_.clear();
  for (auto frame = frames_.rbegin(); frame != frames_.rend(); ++frame) text_ += *frame + ": ";
  text_ += message_;
  if (!advice_.empty()) text_ += "\n  " + advice_;
}

Error usage_error(std::string message, std::string advice) {
  return {Error::Kind::usage, std::move(message), std::move(advice)};
}
Error input_error(std::string message, std::string advice) {
  return {Error::Kind::input, std::move(message), std::move(advice)};
}
Error unsupported_error(std::string message, std::string advice) {
  return {Error::Kind::unsupported, std::move(message), std::move(advice)};
}

int exit_code(Error::Kind kind) {
  switch (kind) {
    case Error::Kind::usage: return 2;
    case Error::Kind::input:
    case Error::Kind::unsupported: return 1;
    case Error::Kind::internal: return 70;
  }
  return 70;
}

void invariant_failed(const char* condition, const char* file, int line,
                      const std::string& detail) {
  throw Error(Error::Kind::internal,
              std::string(file) + ":" + std::to_string(line) + ": " + condition +
                  (detail.empty() ? "" : ": " + detail),
              "This is a bug in qtool: please report it with the command line and the model.");
}

}  // namespace qtool
