// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qtool {

/// One line's fields (RFC 4180), without blanks around them. Quoted ones may hold commas and
/// doubled quotes, but no line end. Errors (input): a quote that is not closed.
std::vector<std::string> csv_fields(std::string_view line);

/// Calls visit(line, number from 1) for every line that is not empty; a byte order mark and
/// carriage returns at the end are taken off.
void for_each_line(std::string_view text,
                   const std::function<void(std::string_view, size_t)>& visit);

std::optional<int64_t> parse_integer(std::string_view text);
std::optional<double> parse_real(std::string_view text);  ///< finite

}  // namespace qtool
