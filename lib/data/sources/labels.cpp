// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>

#include "data/sources/csv.h"
#include "data/sources/sources.h"
#include "support/file.h"
#include "support/text.h"

namespace qtool {

namespace {

constexpr uint64_t kMaxTable = 1 << 30;

struct Columns {
  size_t file = 0;
  size_t label = 1;
};

/// Nothing if the line is data.
std::optional<Columns> heading(const std::vector<std::string>& fields) {
  if (fields.size() == 2 && parse_integer(fields[1])) return std::nullopt;
  const auto find = [&](std::string_view name) {
    const auto found = std::find(fields.begin(), fields.end(), name);
    if (found == fields.end()) {
      throw input_error("no column \"" + std::string(name) + '"',
                        "The first line should name the columns, as \"file,label\".");
    }
    return static_cast<size_t>(found - fields.begin());
  };
  return Columns{find("file"), find("label")};
}

void check_inside(const std::string& file) {
  const std::filesystem::path path(file);
  const bool climbs = std::find(path.begin(), path.end(), "..") != path.end();
  if (file.empty()) throw input_error("the file has no name");
  if (path.is_absolute() || climbs || file.find('\0') != std::string::npos) {
    throw input_error("the file \"" + file.substr(0, 200) + "\" is not inside the folder",
                      "Give paths relative to the table.");
  }
}

LabelRow row_of(const std::vector<std::string>& fields, const Columns& columns, size_t line) {
  if (fields.size() <= std::max(columns.file, columns.label)) {
    throw input_error(fmt::format("{} fields, expected at least {}", fields.size(),
                                  std::max(columns.file, columns.label) + 1));
  }
  const auto label = parse_integer(fields[columns.label]);
  if (!label)
    throw input_error("the label \"" + fields[columns.label].substr(0, 40) +
                      "\" is not an integer");
  check_label(*label);
  check_inside(fields[columns.file]);
  return {fields[columns.file], *label, line};
}

}  // namespace

void check_label(int64_t label) {
  if (label < 0 || label > kMaxLabel) {
    throw input_error(fmt::format("the label {} is outside of 0 to {}", label, kMaxLabel));
  }
}

std::vector<LabelRow> read_labels(const std::filesystem::path& csv) {
  std::vector<LabelRow> rows;
  std::map<std::string, size_t> seen;
  std::optional<Columns> columns;
  for_each_line(read_file(csv, kMaxTable), [&](std::string_view text, size_t line) {
    within_frame([&] { return csv.string() + ':' + std::to_string(line); },
                 [&] {
                   const std::vector<std::string> fields = csv_fields(text);
                   if (!columns) {
                     const auto named = heading(fields);
                     columns = named.value_or(Columns{});
                     if (named) return;
                   }
                   rows.push_back(row_of(fields, *columns, line));
                   const auto [earlier, fresh] = seen.emplace(rows.back().file, line);
                   if (!fresh)
                     throw input_error(fmt::format("{} is listed already in line {}",
                                                   rows.back().file, earlier->second));
                 });
  });
  return rows;
}

}  // namespace qtool
