// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace qtool {

// How the report's tables write numbers. An absent value is "-".

/// About three digits: "0.0512", "0.612", "6.12", "61.2", "1612".
std::string three_digits(double value);

/// "91.73 %" of a fraction.
std::string percent(std::optional<double> fraction, int decimals = 2);

/// "+0.04 points" of a difference of fractions; "no change" for 0. More decimals where two would
/// show zero.
std::string points(double difference);

/// "0.294x (-70.6 %)".
std::string size_change(double ratio);

/// "3.15x faster", "1.25x slower".
std::string speed_change(double speedup);

/// "10,000".
std::string grouped(uint64_t count);

/// "1 sample", "10,000 samples".
std::string counted(uint64_t count, const std::string& noun);

/// At most `width` columns, printable, with ".." for the middle of what is longer.
std::string elided(const std::string& text, size_t width);

}  // namespace qtool
