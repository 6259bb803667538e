// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <exception>
#include <string>
#include <string_view>
#include <vector>

namespace qtool {

/// The one exception type. Its kind decides the exit code, its frames say where it happened,
/// its advice says what the user can do about it.
class Error : public std::exception {
 public:
  enum class Kind {
    usage,        ///< the command line is wrong: exit code 2
    input,        ///< a file holds something wrong: exit code 1
    unsupported,  ///< legal, but qtool cannot do it: exit code 1
    internal,     ///< a broken invariant, a bug in qtool: exit code 70
  };

  Error(Kind kind, std::string message, std::string advice = {});

  /// Adds an outer frame, such as the file, the pass or the node. Call it while unwinding:
  /// the frame added last is printed first.
  Error& within(std::string_view frame);

  Kind kind() const { return kind_; }
  const std::string& message() const { return message_; }
  const std::string& advice() const { return advice_; }
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  void compose();

  Kind kind_;
  std::string message_;
  std::string advice_;
  std::vector<std::string> frames_;
  std::string text_;
};

Error usage_error(std::string message, std::string advice = {});
Error input_error(std::string message, std::string advice = {});
Error unsupported_error(std::string message, std::string advice = {});

/// The process's exit code for an error of this kind.
int exit_code(Error::Kind kind);

[[noreturn]] void invariant_failed(const char* condition, const char* file, int line,
                                   const std::string& detail);

/// Runs `body` and adds `frame()` to any Error that leaves it.
template <class Frame, class Body>
auto within_frame(Frame&& frame, Body&& body) -> decltype(body()) {
  try {
    return body();
  } catch (Error& error) {
    error.within(frame());
    throw;
  }
}

}  // namespace qtool

/// For invariants of qtool itself, never for what a file or a flag can cause.
#define QTOOL_CHECK(condition, detail)                                     \
  do {                                                                     \
    if (!(condition)) {                                                    \
      ::qtool::invariant_failed(#condition, __FILE__, __LINE__, (detail)); \
    }                                                                      \
  } while (false)
