// SPDX-License-Identifier: Apache-2.0
// What the person at the terminal sees: progress and messages, both on stderr.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "catch.h"
#include "support/file.h"
#include "support/log.h"
#include "support/progress.h"

using namespace qtool;

namespace {

/// What `body` writes to stderr, which is a file meanwhile.
template <class Body>
std::string stderr_of(Body&& body) {
  const test::TemporaryFolder folder;
  std::fflush(stderr);
  const int saved = ::dup(STDERR_FILENO);
  const int file = ::open((folder / "stderr").c_str(), O_WRONLY | O_CREAT, 0600);
  REQUIRE(file >= 0);
  ::dup2(file, STDERR_FILENO);
  ::close(file);
  body();
  std::fflush(stderr);
  ::dup2(saved, STDERR_FILENO);
  ::close(saved);
  return read_file(folder / "stderr");
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("Progress without a terminal leaves no line behind short work") {
  for (const auto mode :
       {Progress::Mode::automatic, Progress::Mode::lines, Progress::Mode::silent}) {
    CHECK(stderr_of([&] {
            Progress progress("Calibrating", "images", 3, mode);
            for (int i = 0; i < 3; ++i) progress.advance();
          }).empty());
  }
}

TEST_CASE("A progress bar ends with what was done, once") {
  const std::string text = stderr_of([] {
    Progress progress("Calibrating", "images", 4, Progress::Mode::bar);
    progress.advance(4);
    progress.note("top-1 91.7 %");
    progress.finish();
    progress.finish();
  });
  CHECK(contains(text, "\r\x1b[KCalibrating [########################] 4/4 images, "));
  CHECK(contains(text, "/s, 0:00, top-1 91.7 %\n"));
  CHECK(std::count(text.begin(), text.end(), '\n') == 1);
}

TEST_CASE("A progress bar stops where the work stopped, and counts without a total") {
  CHECK(contains(stderr_of([] {
                   Progress progress("Loading", "files", 4, Progress::Mode::bar);
                   progress.advance(1);
                 }),
                 "Loading [######..................] 1/4 files"));
  CHECK(contains(stderr_of([] {
                   Progress progress("Loading", "files", 0, Progress::Mode::bar);
                   progress.advance(5);
                 }),
                 "Loading 5 files"));
}

TEST_CASE("Durations") {
  CHECK(human_duration(0.2) == "0:00");
  CHECK(human_duration(59.6) == "1:00");
  CHECK(human_duration(64) == "1:04");
  CHECK(human_duration(7390) == "2:03:10");
}

TEST_CASE("The log says what its level lets through, a warning once") {
  const auto all_of = [](LogLevel level) {
    return stderr_of([&] {
      Log log(level);
      for (int i = 0; i < 2; ++i) {
        log.warn("a warning with {braces}");
        log.info("an info");
        log.debug("a detail");
      }
    });
  };
  CHECK(all_of(LogLevel::quiet).empty());
  CHECK(all_of(LogLevel::warn) == "qtool: warning: a warning with {braces}\n");
  CHECK(all_of(LogLevel::info) ==
        "qtool: warning: a warning with {braces}\nqtool: info: an info\nqtool: info: an info\n");
  CHECK(contains(all_of(LogLevel::debug), "qtool: debug: a detail\n"));
}
