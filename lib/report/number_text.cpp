// SPDX-License-Identifier: Apache-2.0
#include "report/number_text.h"

#include <fmt/format.h>

#include <cmath>
#include <vector>

#include "report/escape.h"

namespace qtool {

std::string three_digits(double value) {
  const double size = std::abs(value);
  if (size >= 1e7 || (size < 0.1 && size > 0)) return fmt::format("{:#.3g}", value);
  const int decimals = size >= 99.95 ? 0 : size >= 9.995 ? 1 : size >= 0.9995 ? 2 : 3;
  return fmt::format("{:.{}f}", value, decimals);
}

std::string percent(std::optional<double> fraction, int decimals) {
  return fraction ? fmt::format("{:.{}f} %", *fraction * 100, decimals) : "-";
}

std::string points(double difference) {
  if (difference == 0) return "no change";
  const double value = difference * 100;
  for (int decimals = 2; decimals < 6; ++decimals) {
    if (std::abs(value) >= 0.5 * std::pow(10, -decimals)) {
      return fmt::format("{:+.{}f} points", value, decimals);
    }
  }
  return fmt::format("{:+.1e} points", value);
}

std::string size_change(double ratio) {
  const std::string times = three_digits(ratio) + "x";
  if (ratio == 1) return "same size";
  return times + fmt::format(" ({:+.1f} %)", (ratio - 1) * 100);
}

std::string speed_change(double speedup) {
  if (speedup > 1.005) return three_digits(speedup) + "x faster";
  if (speedup > 0 && speedup < 0.995) return three_digits(1 / speedup) + "x slower";
  return "same speed";
}

std::string grouped(uint64_t count) {
  std::string digits = std::to_string(count);
  for (size_t at = digits.size(); at > 3;) {
    at -= 3;
    digits.insert(at, 1, ',');
  }
  return digits;
}

std::string counted(uint64_t count, const std::string& noun) {
  return grouped(count) + ' ' + noun + (count == 1 ? "" : "s");
}

std::string elided(const std::string& text, size_t width) {
  const std::string shown = printable(text);
  std::vector<size_t> starts;
  for (size_t i = 0; i < shown.size(); ++i) {
    if ((static_cast<unsigned char>(shown[i]) & 0xC0) != 0x80) starts.push_back(i);
  }
  if (starts.size() <= width || width < 4) return shown;
  const size_t head = (width - 2) / 2;
  const size_t tail = width - 2 - head;
  return shown.substr(0, starts[head]) + ".." + shown.substr(starts[starts.size() - tail]);
}

}  // namespace qtool
