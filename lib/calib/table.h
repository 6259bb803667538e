// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "numerics/range.h"
#include "support/json.h"

namespace qtool {

/// What the table says of one tensor.
struct TableEntry {
  TensorStats stats;
  std::optional<Range> override_range;  ///< written by hand; used in place of any range method
  friend bool operator==(const TableEntry&, const TableEntry&) = default;
};

/// The result of a calibration: statistics, not yet ranges, so that one run of the data serves
/// every range method. As a file it is JSON of the schema "qtool.calibration/1", sorted, without
/// dates and paths; reading gives back exactly what was written.
struct CalibrationTable {
  std::string model_sha256;
  std::string model_name;      ///< the file's name without its folder
  Json data = Json::object();  ///< where the samples come from; a list of such after merging
  Json preprocessing = Json::object();
  uint64_t samples = 0;
  std::map<std::string, TableEntry> tensors;  ///< by value name
  friend bool operator==(const CalibrationTable&, const CalibrationTable&) = default;
};

/// Errors (input): a name that JSON cannot hold, as it is not UTF-8.
Json to_json(const CalibrationTable& table);

/// Errors (input): another schema, a missing, unknown or wrongly typed key, statistics that
/// contradict each other; the message names the tensor and the key.
CalibrationTable table_from_json(const Json& json);

/// The same with files; errors name the file as well.
CalibrationTable read_table(const std::filesystem::path& path);
void write_table(const std::filesystem::path& path, const CalibrationTable& table);

/// The table of both runs' samples. Statistics merge exactly, so that the shards of a data set
/// give the table of the whole. Errors (input): another model, other preprocessing, other
/// tensors, overrides that disagree.
CalibrationTable merge(const CalibrationTable& a, const CalibrationTable& b);

/// The override where there is one (0 added), otherwise what the method selects. Errors (input):
/// nothing was observed.
Range chosen_range(const TableEntry& entry, QuantType type, Scheme scheme,
                   const RangeMethod& method);

}  // namespace qtool
