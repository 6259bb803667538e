// SPDX-License-Identifier: Apache-2.0
#include "support/text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <numeric>

#include "support/error.h"

namespace qtool {

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  for (size_t begin = 0;;) {
    const size_t end = text.find(separator, begin);
    parts.emplace_back(text.substr(begin, end - begin));
    if (end == std::string_view::npos) return parts;
    begin = end + 1;
  }
}

std::string join(std::span<const std::string> parts, std::string_view separator) {
  std::string text;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) text += separator;
    text += parts[i];
  }
  return text;
}

namespace {

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t substituted = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({row[j] + 1, diagonal + 1, substituted});
    }
  }
  return row.back();
}

std::string scaled(double value, std::span<const char* const> units, double base) {
  size_t unit = 0;
  while (value >= base && unit + 1 < units.size()) {
    value /= base;
    ++unit;
  }
  if (unit == 0) return fmt::format("{:.0f}{}", value, units[0]);
  return fmt::format("{:.{}f}{}", value, value < 10 ? 2 : 1, units[unit]);
}

bool looks_numeric(std::string_view cell) {
  return !cell.empty() && cell.find_first_of("0123456789") != std::string_view::npos &&
         cell.find_first_not_of("0123456789.+-eE%x× ") == std::string_view::npos;
}

}  // namespace

std::vector<std::string> nearest(std::string_view word, std::span<const std::string> candidates,
                                 size_t limit) {
  std::vector<std::pair<size_t, std::string>> scored;
  for (const std::string& candidate : candidates) {
    const size_t distance = edit_distance(word, candidate);
    const bool contains = !word.empty() && candidate.find(word) != std::string::npos;
    if (contains || distance * 2 <= std::max(word.size(), candidate.size())) {
      scored.emplace_back(contains ? 0 : distance, candidate);
    }
  }
  std::stable_sort(scored.begin(), scored.end());
  scored.erase(std::unique(scored.begin(), scored.end()), scored.end());
  std::vector<std::string> result;
  for (auto& [distance, candidate] : scored) {
    if (result.size() == limit) break;
    result.push_back(std::move(candidate));
  }
  return result;
}

std::string did_you_mean(std::string_view word, std::span<const std::string> candidates) {
  const auto best = nearest(word, candidates);
  if (best.empty()) return {};
  std::string text = "Did you mean ";
  for (size_t i = 0; i < best.size(); ++i) {
    if (i > 0) text += i + 1 == best.size() ? " or " : ", ";
    text += '"' + best[i] + '"';
  }
  return text + "?";
}

std::string or_did_you_mean(std::string_view word, std::span<const std::string> candidates) {
  const std::string question = did_you_mean(word, candidates);
  return question.empty() ? question : ' ' + question;
}

std::string human_bytes(uint64_t bytes) {
  static constexpr std::array units{" B", " kB", " MB", " GB", " TB"};
  return scaled(static_cast<double>(bytes), units, 1000);
}

std::string human_count(uint64_t count) {
  static constexpr std::array units{"", " k", " M", " G", " T"};
  return scaled(static_cast<double>(count), units, 1000);
}

double shortest(float value) {
  if (!std::isfinite(value)) return static_cast<double>(value);
  std::array<char, 32> buffer{};
  const auto written = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  QTOOL_CHECK(written.ec == std::errc{}, "a float needs at most 16 characters");
  double result = 0;
  std::from_chars(buffer.data(), written.ptr, result);
  return result;
}

size_t display_width(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

std::string text_table(std::span<const std::vector<std::string>> rows) {
  if (rows.empty()) return {};
  const size_t columns = rows[0].size();
  std::vector<size_t> width(columns, 0);
  std::vector<bool> numeric(columns, rows.size() > 1);
  for (size_t r = 0; r < rows.size(); ++r) {
    QTOOL_CHECK(rows[r].size() == columns, "a table row has another number of cells");
    for (size_t c = 0; c < columns; ++c) {
      width[c] = std::max(width[c], display_width(rows[r][c]));
      if (r > 0 && !rows[r][c].empty() && rows[r][c] != "-" && !looks_numeric(rows[r][c])) {
        numeric[c] = false;
      }
    }
  }
  std::string text;
  for (size_t r = 0; r < rows.size(); ++r) {
    std::string line;
    for (size_t c = 0; c < columns; ++c) {
      if (c > 0) line += "  ";
      const std::string padding(width[c] - display_width(rows[r][c]), ' ');
      line += numeric[c] ? padding + rows[r][c] : rows[r][c] + padding;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + '\n';
    if (r == 0) {
      std::string rule;
      for (size_t c = 0; c < columns; ++c) rule += (c > 0 ? "  " : "") + std::string(width[c], '-');
      text += rule + '\n';
    }
  }
  return text;
}

}  // namespace qtool
