// SPDX-License-Identifier: Apache-2.0
#include "support/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "support/text.h"

namespace qtool {

namespace {
constexpr std::chrono::milliseconds kBarInterval{100};
constexpr std::chrono::seconds kLineInterval{10};
constexpr int kBarWidth = 24;
}  // namespace

std::string human_duration(double seconds) {
  const auto whole = static_cast<int64_t>(seconds + 0.5);
  if (whole >= 3600) {
    return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  }
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

Progress::Progress(std::string label, std::string unit, uint64_t total, Mode mode)
    : label_(std::move(label)), unit_(std::move(unit)), total_(total), mode_(mode),
      start_(Clock::now()), printed_(start_) {
  if (mode_ == Mode::automatic) mode_ = isatty(STDERR_FILENO) != 0 ? Mode::bar : Mode::lines;
}

Progress::~Progress() { finish(); }

void Progress::advance(uint64_t items) {
  done_ += items;
  if (mode_ == Mode::silent) return;
  const auto now = Clock::now();
  const auto interval = mode_ == Mode::bar ? Clock::duration(kBarInterval) : kLineInterval;
  if (now - printed_ < interval) return;
  printed_ = now;
  print(false);
}

void Progress::finish() {
  if (finished_) return;
  finished_ = true;
  // Without a terminal, work shorter than one interval leaves no line behind.
  if (mode_ == Mode::bar || (mode_ == Mode::lines && printed_ != start_)) print(true);
}

void Progress::print(bool last) {
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  const double rate = seconds > 0 ? static_cast<double>(done_) / seconds : 0;
  std::string text = label_ + ' ';
  if (total_ > 0) {
    const double share = std::min(1.0, static_cast<double>(done_) / static_cast<double>(total_));
    if (mode_ == Mode::bar) {
      const int filled = static_cast<int>(share * kBarWidth);
      text += '[' + std::string(static_cast<size_t>(filled), '#') +
              std::string(static_cast<size_t>(kBarWidth - filled), '.') + "] ";
    }
    text += fmt::format("{}/{} {}", done_, total_, unit_);
  } else {
    text += fmt::format("{} {}", done_, unit_);
  }
  text += fmt::format(", {:.{}f}/s", rate, rate < 10 ? 2 : 0);
  if (last) {
    text += ", " + human_duration(seconds);
  } else if (total_ > done_ && rate > 0) {
    text += ", " + human_duration(static_cast<double>(total_ - done_) / rate) + " left";
  }
  if (!note_.empty()) text += ", " + note_;
  if (mode_ == Mode::bar) {
    std::fprintf(stderr, "\r\x1b[K%s%s", text.c_str(), last ? "\n" : "");
    std::fflush(stderr);
  } else {
    std::fprintf(stderr, "%s\n", text.c_str());
  }
}

}  // namespace qtool
