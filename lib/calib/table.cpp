// SPDX-License-Identifier: Apache-2.0
#include "calib/table.h"

#include <algorithm>

#include "calib/stats_json.h"
#include "support/checked.h"
#include "support/text.h"

namespace qtool {

namespace {

constexpr std::string_view kSchema = "qtool.calibration/1";

/// Frames of errors: where in the table.
std::string at_tensor(const std::string& name) { return fmt::format("tensor \"{}\"", name); }

void check_utf8(const std::string& name) {
  try {
    static_cast<void>(Json(name).dump());
  } catch (const Json::exception&) {
    throw input_error("the tensor name \"" +
                          Json(name).dump(-1, ' ', true, Json::error_handler_t::replace) +
                          "\" is not UTF-8, so that no table can hold it",
                      "Rename the value in the model.");
  }
}

}  // namespace

Json to_json(const CalibrationTable& table) {
  Json tensors = Json::object();
  for (const auto& [name, entry] : table.tensors) {
    check_utf8(name);
    Json json = to_json(entry.stats);
    if (entry.override_range) json["override"] = to_json(*entry.override_range);
    tensors[name] = std::move(json);
  }
  return {{"schema", kSchema},
          {"model", {{"name", table.model_name}, {"sha256", table.model_sha256}}},
          {"data", table.data},
          {"preprocessing", table.preprocessing},
          {"samples", table.samples},
          {"tensors", std::move(tensors)}};
}

CalibrationTable table_from_json(const Json& json) {
  check_schema(json, kSchema);
  check_keys(json, {"schema", "model", "data", "preprocessing", "samples", "tensors"});
  CalibrationTable table;
  within_frame([] { return std::string("\"model\""); },
               [&] {
                 const auto model = member<Json>(json, "model");
                 check_keys(model, {"name", "sha256"});
                 table.model_name = member<std::string>(model, "name");
                 table.model_sha256 = member<std::string>(model, "sha256");
               });
  table.data = member<Json>(json, "data");
  table.preprocessing = member<Json>(json, "preprocessing");
  table.samples = count_member(json, "samples");
  const auto tensors = json.find("tensors");
  if (tensors == json.end() || !tensors->is_object()) {
    throw input_error("the key \"tensors\" is missing or no object");
  }
  for (const auto& [name, value] : tensors->items()) {
    within_frame([&, &key = name] { return at_tensor(key); },
                 [&, &key = name, &entry = value] {
                   check_keys(entry,
                              {"samples", "elements", "zeros", "nans", "infinities", "range",
                               "sample_lows", "sample_highs", "histogram", "channels", "override"});
                   TableEntry& read = table.tensors[key];
                   read.stats = stats_from_json(entry);
                   const auto found = entry.find("override");
                   if (found == entry.end()) return;
                   read.override_range = within_frame([] { return std::string("\"override\""); },
                                                      [&] { return range_from_json(*found); });
                 });
  }
  return table;
}

CalibrationTable read_table(const std::filesystem::path& path) {
  const Json json = read_json(path);
  return within_frame([&] { return path.string(); }, [&] { return table_from_json(json); });
}

void write_table(const std::filesystem::path& path, const CalibrationTable& table) {
  write_json(path, to_json(table));
}

namespace {

/// Provenances as one sorted list, so that the order of merging leaves no trace.
Json joined(const Json& a, const Json& b) {
  std::vector<Json> parts;
  for (const Json* data : {&a, &b}) {
    if (data->is_array()) {
      parts.insert(parts.end(), data->begin(), data->end());
    } else {
      parts.push_back(*data);
    }
  }
  std::sort(parts.begin(), parts.end(),
            [](const Json& x, const Json& y) { return x.dump() < y.dump(); });
  return parts;
}

[[noreturn]] void refuse(const std::string& why) {
  throw input_error("the tables cannot be merged: " + why,
                    "Calibrate both with the same model, preprocessing and options.");
}

void check_same_tensors(const CalibrationTable& a, const CalibrationTable& b) {
  for (const auto& [name, entry] : a.tensors) {
    if (!b.tensors.contains(name)) refuse(at_tensor(name) + " is in one of them only");
  }
  for (const auto& [name, entry] : b.tensors) {
    if (!a.tensors.contains(name)) refuse(at_tensor(name) + " is in one of them only");
  }
}

}  // namespace

CalibrationTable merge(const CalibrationTable& a, const CalibrationTable& b) {
  if (a.model_sha256 != b.model_sha256) {
    refuse(fmt::format("one is of {} ({}), the other of {} ({})", a.model_name,
                       a.model_sha256.substr(0, 12), b.model_name, b.model_sha256.substr(0, 12)));
  }
  if (a.preprocessing != b.preprocessing) refuse("their preprocessing differs");
  check_same_tensors(a, b);
  CalibrationTable merged = a;
  merged.model_name = std::min(a.model_name, b.model_name);
  merged.data = joined(a.data, b.data);
  const auto samples = checked_add(a.samples, b.samples);
  if (!samples) refuse("together they have more than 2^64 samples");
  merged.samples = *samples;
  for (auto& [name, entry] : merged.tensors) {
    const TableEntry& other = b.tensors.at(name);
    within_frame([&, &key = name] { return at_tensor(key); },
                 [&, &mine = entry] {
                   mine.stats.merge(other.stats);
                   if (!mine.override_range) mine.override_range = other.override_range;
                   if (other.override_range && mine.override_range != other.override_range) {
                     refuse("they override its range in different ways");
                   }
                 });
  }
  return merged;
}

Range chosen_range(const TableEntry& entry, QuantType type, Scheme scheme,
                   const RangeMethod& method) {
  if (!entry.override_range) return select_range(entry.stats, type, scheme, method);
  return {std::min(entry.override_range->low, 0.0F), std::max(entry.override_range->high, 0.0F)};
}

}  // namespace qtool
