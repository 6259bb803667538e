// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qtool {

std::vector<std::string> split(std::string_view text, char separator);
std::string join(std::span<const std::string> parts, std::string_view separator);

/// The candidates nearest to `word` by edit distance, best first, at most `limit`, none that
/// differs in more than half of its letters.
std::vector<std::string> nearest(std::string_view word, std::span<const std::string> candidates,
                                 size_t limit = 3);

/// 'Did you mean "a" or "b"?' or nothing, for the advice line of an error.
std::string did_you_mean(std::string_view word, std::span<const std::string> candidates);

/// The same behind a sentence: with a space in front, or nothing.
std::string or_did_you_mean(std::string_view word, std::span<const std::string> candidates);

/// "1.10 MB", "842 B": decimal units, as file managers show them.
std::string human_bytes(uint64_t bytes);

/// "41.2 M", "903": for counts of parameters and operations.
std::string human_count(uint64_t count);

/// The shortest decimal text that reads back as the same float, as a double that prints so.
double shortest(float value);

/// A table in plain text: the first row is the heading; columns are aligned, numbers to the
/// right. Every row has as many cells as the heading.
std::string text_table(std::span<const std::vector<std::string>> rows);

/// "resnet20 · 3 layers" → display width in columns (UTF-8 code points).
size_t display_width(std::string_view text);

}  // namespace qtool
