// SPDX-License-Identifier: Apache-2.0
#include "measure.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <fstream>

#include "support/json.h"
#include "support/rng.h"
#include "support/text.h"

namespace qtool {

std::vector<std::vector<double>> time_interleaved(std::span<const std::function<void()>> jobs,
                                                  const TimingOptions& options) {
  using Clock = std::chrono::steady_clock;
  for (size_t i = 0; i < options.warmup; ++i) {
    for (const auto& job : jobs) job();
  }
  std::vector<std::vector<double>> times(jobs.size());
  std::vector<double> sums(jobs.size(), 0.0);
  double least = 0;
  for (size_t round = 0; round < options.runs || least < options.least_seconds * 1000; ++round) {
    least = 1e300;
    for (size_t j = 0; j < jobs.size(); ++j) {
      const auto start = Clock::now();
      jobs[j]();
      times[j].push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
      sums[j] += times[j].back();
      least = std::min(least, sums[j]);
    }
  }
  return times;
}

TensorMap timing_feeds(std::span<const RunnerValue> inputs, size_t batch,
                       const InputShapes& asked) {
  check_input_shapes(inputs, asked);
  TensorMap result;
  Rng rng(1);
  for (const RunnerValue& input : inputs) {
    Shape shape;
    for (size_t i = 0; i < input.dims.size(); ++i) {
      const int64_t open = i == 0 ? static_cast<int64_t>(batch) : 1;
      shape.push_back(input.dims[i] < 0 ? open : input.dims[i]);
    }
    if (const auto found = asked.find(input.name); found != asked.end()) shape = found->second;
    Tensor tensor(input.dtype, shape);
    if (input.dtype == DType::float32) {
      for (float& value : tensor.data<float>()) value = rng.normal();
    }
    result.emplace(input.name, std::move(tensor));
  }
  return result;
}

std::optional<uint64_t> peak_rss_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stoull(line.substr(6)) * 1024;
  }
  return std::nullopt;
}

namespace {

/// Standard output of a child process; nothing where it could not start or did not exit with 0.
std::optional<std::string> output_of(const std::vector<std::string>& command) {
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) return std::nullopt;
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDOUT_FILENO);
    close(ends[0]);
    close(ends[1]);
    std::vector<char*> arguments;
    for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    execv("/proc/self/exe", arguments.data());
    _exit(127);
  }
  close(ends[1]);
  std::string text;
  std::array<char, 4096> buffer{};
  for (ssize_t got = 0; (got = read(ends[0], buffer.data(), buffer.size())) > 0;) {
    text.append(buffer.data(), static_cast<size_t>(got));
  }
  close(ends[0]);
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) return std::nullopt;
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? std::optional(text) : std::nullopt;
}

}  // namespace

std::optional<uint64_t> peak_rss_alone(const std::filesystem::path& model, size_t batch,
                                       int threads) {
  const auto text =
      output_of({"qtool", "bench", model.string(), "--json", "-q", "--runs", "3", "--seconds", "0",
                 "--batch", std::to_string(batch), "--threads", std::to_string(threads)});
  if (!text) return std::nullopt;
  try {
    return member<uint64_t>(Json::parse(*text), "peak_rss_bytes");
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

}  // namespace qtool
