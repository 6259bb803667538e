// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "run.h"
#include "support/file.h"

using namespace qtool;
using namespace qtool::test;

namespace {
const std::vector<std::string> kCommands{"inspect", "calibrate", "ptq",   "tune",
                                         "methods", "qat",       "eval",  "compare",
                                         "bench",   "report",    "doctor"};
}

TEST_CASE("help, on stdout: every command with an example, in 100 columns") {
  const Outcome all = run({"--help"});
  CHECK(all.code == 0);
  CHECK(all.err.empty());
  CHECK(has(all.out, "Exit codes"));
  for (const std::string& command : kCommands) {
    INFO(command);
    CHECK(has(all.out, command));
    const Outcome one = run({command, "--help"});
    CHECK(one.code == 0);
    CHECK(one.err.empty());
    CHECK(has(one.out, "Example: qtool " + command));
    CHECK(has(one.out, "--json"));
  }
}

TEST_CASE("README's table of commands has them all") {
  const std::string readme = read_file(QTOOL_SOURCE_DIR "/README.md");
  for (const std::string& command : kCommands) CHECK(has(readme, "| `qtool " + command));
}

TEST_CASE("--version names what computes") {
  const Outcome outcome = run({"--version"});
  CHECK(outcome.code == 0);
  CHECK(outcome.out.starts_with("qtool "));
  CHECK(has(outcome.out, "\noneDNN "));
  CHECK(has(outcome.out, "\nonnx 1."));
  CHECK(has(outcome.out, "\nprotobuf "));
}

TEST_CASE("results on stdout, all else on stderr") {
  const TemporaryFolder folder;
  const Outcome outcome =
      run(words({"eval", shipped("glyphs_cnn.onnx"), "--samples", "10", "--quiet"}, test_data()));
  CHECK(outcome.code == 0);
  CHECK(has(outcome.out, "top-1"));
  CHECK(outcome.err.empty());
}
