// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace qtool {

/// Progress of long work, on stderr: a bar with rate and remaining time on a terminal, a line
/// every ten seconds elsewhere, nothing when quiet. advance() is for one thread.
class Progress {
 public:
  enum class Mode { automatic, bar, lines, silent };

  /// `unit` names what is counted, such as "images"; total 0 means unknown.
  Progress(std::string label, std::string unit, uint64_t total, Mode mode = Mode::automatic);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void advance(uint64_t items = 1);

  /// Text shown behind the rate, such as "top-1 91.7 %".
  void note(std::string text) { note_ = std::move(text); }

  /// Ends the bar. The destructor does it too.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;
  void print(bool last);

  std::string label_;
  std::string unit_;
  std::string note_;
  uint64_t total_;
  uint64_t done_ = 0;
  Mode mode_;
  Clock::time_point start_;
  Clock::time_point printed_;
  bool finished_ = false;
};

/// "1:04", "2:03:10".
std::string human_duration(double seconds);

}  // namespace qtool
