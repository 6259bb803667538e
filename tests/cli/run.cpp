// SPDX-License-Identifier: Apache-2.0
#include "run.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <thread>

#include "catch.h"
#include "support/file.h"

extern char** environ;

namespace qtool::test {

namespace fs = std::filesystem;

namespace {

/// Starts the program; nothing on its standard input, what it prints goes into files (not pipes: no
/// output is too long for them).
pid_t start(const std::vector<std::string>& arguments, const fs::path& folder) {
  const std::string out = folder / "out";
  const std::string err = folder / "err";
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, out.c_str(), O_WRONLY | O_CREAT, 0600);
  posix_spawn_file_actions_addopen(&actions, 2, err.c_str(), O_WRONLY | O_CREAT, 0600);
  std::vector<std::string> line = words({"qtool"}, arguments);
  std::vector<char*> pointers;
  for (std::string& word : line) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  pid_t child = 0;
  const int failure =
      posix_spawn(&child, QTOOL_PROGRAM, &actions, nullptr, pointers.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  REQUIRE(failure == 0);
  return child;
}

}  // namespace

Outcome run(const std::vector<std::string>& arguments) {
  const TemporaryFolder folder;
  const pid_t child = start(arguments, folder.path());
  int status = 0;
  rusage usage{};
  REQUIRE(wait4(child, &status, 0, &usage) == child);
  Outcome outcome;
  outcome.peak_bytes = static_cast<uint64_t>(usage.ru_maxrss) * 1024;
  outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  outcome.out = read_file(folder / "out");
  outcome.err = read_file(folder / "err");
  return outcome;
}

void run_and_kill(const std::vector<std::string>& arguments, const std::function<bool()>& ready) {
  const TemporaryFolder folder;
  const pid_t child = start(arguments, folder.path());
  int status = 0;
  while (waitpid(child, &status, WNOHANG) == 0) {
    if (ready()) kill(child, SIGKILL);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

Json run_json(std::vector<std::string> arguments, int code) {
  arguments.emplace_back("--json");
  const Outcome outcome = run(arguments);
  INFO(outcome.err);
  REQUIRE(outcome.code == code);
  return Json::parse(outcome.out);
}

std::string shipped(const std::string& file) {
  return std::string(QTOOL_SOURCE_DIR "/models/") + file;
}

std::vector<std::string> train_data() {
  return {"--data", shipped("glyphs_train.npz"), "--preprocess", shipped("glyphs.yaml")};
}

std::vector<std::string> test_data() {
  return {"--data", shipped("glyphs_test.npz"), "--preprocess", shipped("glyphs.yaml")};
}

std::string blank_images() {
  std::string header = "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3, 24, 24), }";
  header.resize(117, ' ');
  header += '\n';  // 0x76 bytes
  return std::string("\x93NUMPY\x01\x00\x76\x00", 10) + header +
         std::string(size_t{2} * 3 * 24 * 24, '\0');
}

const Quantized& quantized() {
  static const TemporaryFolder folder;
  static const Quantized files = [] {
    Quantized made{folder / "table.json", folder / "plan.json", folder / "glyphs_cnn.int8.onnx"};
    const std::string model = shipped("glyphs_cnn.onnx");
    const Outcome calibrated =
        run(words({"calibrate", model, "--samples", "500", "-o", made.table}, train_data()));
    INFO(calibrated.err);
    REQUIRE(calibrated.code == 0);
    const Outcome ptq =
        run({"ptq", model, "--calibration", made.table, "--plan", made.plan, "-o", made.model});
    INFO(ptq.err);
    REQUIRE(ptq.code == 0);
    return made;
  }();
  return files;
}

std::vector<std::string> files_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
  std::ranges::sort(names);
  return names;
}

}  // namespace qtool::test
