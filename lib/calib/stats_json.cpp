// SPDX-License-Identifier: Apache-2.0
#include "calib/stats_json.h"

#include <algorithm>
#include <cmath>

#include "support/text.h"

namespace qtool {

namespace {

float finite_float(const Json& json, std::string_view key) {
  const double value = json.is_number() ? json.get<double>() : std::nan("");
  const auto narrowed = static_cast<float>(value);
  if (!std::isfinite(narrowed)) {
    throw input_error(fmt::format("the key \"{}\" has the value {}, expected a finite float", key,
                                  json.dump().substr(0, 80)));
  }
  return narrowed;
}

const Json& part(const Json& object, std::string_view key) {
  if (!object.is_object())
    throw input_error(fmt::format("expected an object with the key \"{}\"", key));
  const auto found = object.find(key);
  if (found == object.end()) throw input_error(fmt::format("the key \"{}\" is missing", key));
  return *found;
}

const Json& array_part(const Json& object, std::string_view key) {
  const Json& array = part(object, key);
  if (!array.is_array()) throw input_error(fmt::format("the key \"{}\" is no list", key));
  return array;
}

int64_t integer_member(const Json& object, std::string_view key) {
  const Json& value = part(object, key);
  const bool fits = value.is_number_integer() &&
                    !(value.is_number_unsigned() && value.get<uint64_t>() > uint64_t{INT64_MAX});
  if (!fits) {
    throw input_error(fmt::format("the key \"{}\" has the value {}, expected an integer", key,
                                  value.dump().substr(0, 80)));
  }
  return value.get<int64_t>();
}

int int_member(const Json& object, std::string_view key) {
  const int64_t value = integer_member(object, key);
  if (value < -100000 || value > 100000) {
    throw input_error(
        fmt::format("the key \"{}\" has the value {}, far beyond what it can be", key, value));
  }
  return static_cast<int>(value);
}

uint64_t count_of(const Json& value, std::string_view key) {
  if (!value.is_number_unsigned()) {
    throw input_error(fmt::format("the key \"{}\" has the value {}, expected a count", key,
                                  value.dump().substr(0, 80)));
  }
  return value.get<uint64_t>();
}

}  // namespace

uint64_t count_member(const Json& object, std::string_view key) {
  return count_of(part(object, key), key);
}

void check_keys(const Json& object, std::initializer_list<std::string_view> known) {
  if (!object.is_object()) throw input_error("expected an object");
  for (const auto& [key, value] : object.items()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    const std::vector<std::string> words(known.begin(), known.end());
    throw input_error(fmt::format("the key \"{}\" is unknown", key), did_you_mean(key, words));
  }
}

Json to_json(const Range& range) {
  return {{"low", shortest(range.low)}, {"high", shortest(range.high)}};
}

Range range_from_json(const Json& json) {
  check_keys(json, {"low", "high"});
  const Range range{finite_float(part(json, "low"), "low"),
                    finite_float(part(json, "high"), "high")};
  if (range.low > range.high) {
    throw input_error(fmt::format("\"low\" is {}, above \"high\", {}", range.low, range.high));
  }
  return range;
}

namespace {

Json to_json(const Histogram& histogram) {
  return {{"exponent", histogram.exponent()},
          {"first_bin", histogram.first_bin()},
          {"counts", histogram.counts()}};
}

Histogram histogram_from_json(const Json& json) {
  check_keys(json, {"exponent", "first_bin", "counts"});
  const Json& list = array_part(json, "counts");
  if (list.size() > Histogram::kBins) {
    throw input_error(fmt::format("\"counts\" has {} bins, at most {} are possible", list.size(),
                                  Histogram::kBins));
  }
  std::vector<uint64_t> counts;
  for (const Json& count : list) counts.push_back(count_of(count, "counts"));
  return Histogram::from_parts(int_member(json, "exponent"), integer_member(json, "first_bin"),
                               std::move(counts));
}

Json channels_to_json(const TensorStats& stats) {
  Json lows = Json::array();
  Json highs = Json::array();
  for (const Range& range : stats.channel_ranges) {
    lows.push_back(shortest(range.low));
    highs.push_back(shortest(range.high));
  }
  // One text for all: a line each would bury the rest of the table.
  std::string sums;
  for (const ExactSum& sum : stats.channel_sums) sums += (sums.empty() ? "" : " ") + sum.to_text();
  return {{"axis", *stats.channel_axis}, {"low", lows}, {"high", highs}, {"sums", sums}};
}

void read_channels(const Json& json, TensorStats& stats) {
  check_keys(json, {"axis", "low", "high", "sums"});
  stats.channel_axis = int_member(json, "axis");
  const Json& lows = array_part(json, "low");
  const Json& highs = array_part(json, "high");
  if (lows.size() != highs.size()) {
    throw input_error(
        fmt::format("\"low\" has {} channels, \"high\" has {}", lows.size(), highs.size()));
  }
  for (size_t c = 0; c < lows.size(); ++c) {
    const Range range{finite_float(lows[c], "low"), finite_float(highs[c], "high")};
    if (range.low > 0 || range.high < 0 || range.low < std::min(stats.range.low, 0.0F) ||
        range.high > std::max(stats.range.high, 0.0F)) {
      throw input_error(
          fmt::format("channel {} has the range {} to {}, which does not hold 0 or exceeds "
                      "the tensor's range",
                      c, range.low, range.high));
    }
    stats.channel_ranges.push_back(range);
  }
  const auto sums = member<std::string>(json, "sums");
  if (!sums.empty()) {
    for (const std::string& text : split(sums, ' '))
      stats.channel_sums.push_back(ExactSum::from_text(text));
  }
  if (stats.channel_sums.size() != lows.size()) {
    throw input_error(fmt::format("\"sums\" has {} channels, \"low\" has {}",
                                  stats.channel_sums.size(), lows.size()));
  }
}

void contradiction(bool found, std::string_view what) {
  if (!found) return;
  throw input_error(
      fmt::format("its statistics contradict each other: {}", what),
      "To set a range by hand, add \"override\": {\"low\": ..., \"high\": ...} instead.");
}

/// What select_range relies on.
void check(const TensorStats& stats) {
  const Histogram& histogram = stats.histogram;
  contradiction(histogram.total() != stats.elements, "\"elements\" is not the sum of \"counts\"");
  contradiction(stats.zeros > histogram.count(0), "\"zeros\" exceeds the count of bin 0");
  contradiction((stats.samples == 0) != (stats.elements == 0) || stats.samples > stats.elements,
                "\"samples\" does not fit \"elements\"");
  if (stats.empty()) {
    contradiction(stats.range != Range{}, "a \"range\" of no elements");
    return;
  }
  contradiction(stats.zeros > 0 && (stats.range.low > 0 || stats.range.high < 0),
                "there are \"zeros\", but 0 is not in \"range\"");
  const int64_t last = histogram.first_bin() + static_cast<int64_t>(histogram.counts().size()) - 1;
  contradiction(histogram.bin_of(stats.range.low) != histogram.first_bin() ||
                    histogram.bin_of(stats.range.high) != last,
                "\"range\" does not lie in the first and the last bin of \"histogram\"");
}

}  // namespace

Json to_json(const TensorStats& stats) {
  Json json{{"samples", stats.samples},
            {"elements", stats.elements},
            {"zeros", stats.zeros},
            {"nans", stats.nans},
            {"infinities", stats.infinities},
            {"range", to_json(stats.range)},
            {"sample_lows", stats.sample_lows.to_text()},
            {"sample_highs", stats.sample_highs.to_text()},
            {"histogram", to_json(stats.histogram)}};
  if (stats.channel_axis) json["channels"] = channels_to_json(stats);
  return json;
}

TensorStats stats_from_json(const Json& json) {
  const auto in = [&](std::string_view key, auto&& read) {
    return within_frame([&] { return fmt::format("\"{}\"", key); },
                        [&] { return read(part(json, key)); });
  };
  TensorStats stats;
  stats.samples = count_member(json, "samples");
  stats.elements = count_member(json, "elements");
  stats.zeros = count_member(json, "zeros");
  stats.nans = count_member(json, "nans");
  stats.infinities = count_member(json, "infinities");
  stats.range = in("range", range_from_json);
  stats.sample_lows = ExactSum::from_text(member<std::string>(json, "sample_lows"));
  stats.sample_highs = ExactSum::from_text(member<std::string>(json, "sample_highs"));
  stats.histogram = in("histogram", histogram_from_json);
  if (json.contains("channels"))
    in("channels", [&](const Json& channels) { read_channels(channels, stats); });
  check(stats);
  return stats;
}

}  // namespace qtool
