// SPDX-License-Identifier: Apache-2.0
#include "calib/table.h"

#include <cmath>
#include <functional>

#include "calib/observer.h"
#include "calib/stats_json.h"
#include "catch.h"
#include "support/file.h"
#include "support/rng.h"
#include "support/text.h"

using namespace qtool;

namespace {

TensorStats random_stats(uint64_t seed, int samples, std::optional<int> axis = {}) {
  Rng rng(seed);
  Observer observer(axis);
  for (int s = 0; s < samples; ++s) {
    std::vector<float> values(60);
    const float spread = std::exp2(30 * (rng.uniform() - 0.5F));
    for (float& value : values)
      value = std::max(spread * rng.normal(), seed % 2 == 0 ? -1e9F : 0.0F);
    observer.observe_sample(values.data(), 1, 3, 20);
  }
  return observer.stats();
}

CalibrationTable small_table(uint64_t seed = 1) {
  CalibrationTable table;
  table.model_sha256 = std::string(64, 'a');
  table.model_name = "net.onnx";
  table.data = {{"kind", "npz"}, {"first", 4 * seed}};
  table.preprocessing = {{"mean", {0.5, 0.25}}};
  table.samples = 4;
  table.tensors["x"].stats = random_stats(2 * seed, 4, 1);
  table.tensors["relu \"1\""].stats = random_stats(2 * seed + 1, 4);
  table.tensors["never"];
  return table;
}

std::string error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

bool contains(const std::string& text, const std::string& part) {
  INFO(text);
  CHECK(text.find(part) != std::string::npos);
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("reading gives back what was written, and writing again the same bytes") {
  const test::TemporaryFolder folder;
  for (uint64_t seed = 1; seed < 20; ++seed) {
    CalibrationTable table = small_table(seed);
    if (seed % 3 == 0) table.tensors["x"].override_range = Range{-0.1F, 3.3e38F};
    write_table(folder / "table.json", table);
    const CalibrationTable again = read_table(folder / "table.json");
    CHECK(again == table);
    write_table(folder / "again.json", again);
    CHECK(read_file(folder / "again.json") == read_file(folder / "table.json"));
  }
}

TEST_CASE("every float comes back from its shortest text") {
  Rng rng(4);
  for (int i = 0; i < 1000000; ++i) {
    const float value = std::bit_cast<float>(i < 1000 ? static_cast<uint32_t>(i) : rng.next());
    if (!std::isfinite(value)) continue;
    if (static_cast<float>(shortest(value)) != value) {
      CAPTURE(value);
      REQUIRE(static_cast<float>(shortest(value)) == value);
    }
  }
}

// The sums: 0.1F is 13421773 / 2^27, less 1 is -120795955 / 2^27; 0.5 and 2047 are 4095 / 2.
TEST_CASE("the file, written out by hand") {
  CalibrationTable table;
  table.model_sha256 = "00ff";
  table.model_name = "net.onnx";
  table.data = {{"kind", "npz"}};
  table.samples = 2;
  Observer observer(1);
  const std::vector<float> one{0, 0.1F, 0.5F, 2047};
  const std::vector<float> two{-1, 0, 0, 0};
  observer.observe_sample(one.data(), 1, 2, 2);
  observer.observe_sample(two.data(), 1, 2, 2);
  table.tensors["y"].stats = observer.stats();
  table.tensors["y"].override_range = Range{-1, 6};
  Json json = to_json(table);
  // Bins of width 2: -1, 0 and 1023. Taken out as the line is long.
  const Json counts = json["tensors"]["y"]["histogram"]["counts"];
  REQUIRE(counts.size() == 1025);
  CHECK(counts[0] == 1);
  CHECK(counts[1] == 6);
  CHECK(counts[1024] == 1);
  json["tensors"]["y"]["histogram"]["counts"] = {1, 6};
  CHECK(to_text(json) == R"({
  "data": {
    "kind": "npz"
  },
  "model": {
    "name": "net.onnx",
    "sha256": "00ff"
  },
  "preprocessing": {},
  "samples": 2,
  "schema": "qtool.calibration/1",
  "tensors": {
    "y": {
      "channels": {
        "axis": 1,
        "high": [0.1,2047.0],
        "low": [-1.0,0.0],
        "sums": "-0x7333333p-27 0xfffp-1"
      },
      "elements": 8,
      "histogram": {
        "counts": [1,6],
        "exponent": 1,
        "first_bin": -1
      },
      "infinities": 0,
      "nans": 0,
      "override": {
        "high": 6.0,
        "low": -1.0
      },
      "range": {
        "high": 2047.0,
        "low": -1.0
      },
      "sample_highs": "0x7ffp0",
      "sample_lows": "-0x1p0",
      "samples": 2,
      "zeros": 4
    }
  }
}
)");
}

TEST_CASE("tables of shards merge into the table of the whole") {
  CalibrationTable a = small_table(1);
  CalibrationTable b = small_table(2);
  const CalibrationTable ab = merge(a, b);
  CHECK(ab == merge(b, a));
  CHECK(ab.samples == 8);
  CHECK(ab.data == Json::array({a.data, b.data}));
  TensorStats x = a.tensors["x"].stats;
  x.merge(b.tensors["x"].stats);
  CHECK(ab.tensors.at("x").stats == x);
  const CalibrationTable c = small_table(3);
  CHECK(merge(ab, c) == merge(a, merge(b, c)));

  a.tensors["x"].override_range = Range{-1, 1};
  CHECK(merge(a, b).tensors.at("x").override_range == Range{-1, 1});
  CHECK(merge(b, a).tensors.at("x").override_range == Range{-1, 1});
  b.tensors["x"].override_range = Range{-1, 2};
  contains(error_of([&] { merge(a, b); }), "override its range in different ways");
}

TEST_CASE("tables that do not belong together") {
  const CalibrationTable a = small_table();
  CalibrationTable b = small_table(2);
  b.model_sha256 = std::string(64, 'b');
  contains(error_of([&] { merge(a, b); }),
           "one is of net.onnx (aaaaaaaaaaaa), the other of net.onnx (bbbb");
  b = small_table(2);
  b.preprocessing["mean"] = {0.5, 0.5};
  contains(error_of([&] { merge(a, b); }), "their preprocessing differs");
  b = small_table(2);
  b.tensors["z"];
  contains(error_of([&] { merge(a, b); }), "tensor \"z\" is in one of them only");
  contains(error_of([&] { merge(b, a); }), "tensor \"z\" is in one of them only");
  b = small_table(2);
  b.tensors["x"].stats = random_stats(2, 4);
  contains(error_of([&] { merge(a, b); }), "tensor \"x\"");
  b = small_table(2);
  b.samples = UINT64_MAX;
  contains(error_of([&] { merge(a, b); }), "samples");
}

TEST_CASE("an override takes the place of every method") {
  TableEntry entry;
  const QuantType u8{8, false, false};
  CHECK_THROWS_AS(chosen_range(entry, u8, Scheme::asymmetric, MinMax{}), Error);
  entry.override_range = Range{1, 6};
  for (const RangeMethod& method : {RangeMethod(MinMax{}), RangeMethod(MeanSquare{})}) {
    CHECK(chosen_range(entry, u8, Scheme::asymmetric, method) == Range{0, 6});
  }
  entry.stats = random_stats(3, 2);
  CHECK(chosen_range(entry, u8, Scheme::asymmetric, MinMax{}) == Range{0, 6});
  entry.override_range.reset();
  CHECK(chosen_range(entry, u8, Scheme::asymmetric, MinMax{}) == Range{0, entry.stats.range.high});
}

TEST_CASE("a damaged table: the message names file, tensor and key") {
  struct Case {
    const char* where;
    Json value;
    const char* expected;
  };
  const Json null;
  const std::vector<Case> cases{
      {"/schema", "qtool.calibration/2", "qtool.calibration/2"},
      {"/schema", 3, "schema"},
      {"/samples", -1, "\"samples\""},
      {"/samples", 1.5, "\"samples\""},
      {"/samples", "4", "\"samples\""},
      {"/tensors", Json::array(), "\"tensors\""},
      {"/model", 5, "model"},
      {"/model/sha256", 5, "sha256"},
      {"/tensor", 5, "Did you mean \"tensors\"?"},
      {"/tensors/x", 5, "tensor \"x\""},
      {"/tensors/x/overide", 5, "Did you mean \"override\"?"},
      {"/tensors/x/override", {{"low", 1}, {"high", 0}}, "\"override\""},
      {"/tensors/x/override", {{"low", 1}}, "\"high\" is missing"},
      {"/tensors/x/override", {{"low", 1}, {"high", 1e39}}, "expected a finite float"},
      {"/tensors/x/override", {{"low", 1}, {"high", "2"}}, "expected a finite float"},
      {"/tensors/x/override", {1, 2}, "tensor \"x\""},
      {"/tensors/x/elements", 7, "\"elements\" is not the sum"},
      {"/tensors/x/zeros", 1000000, "\"zeros\" exceeds"},
      {"/tensors/x/samples", 0, "\"samples\" does not fit"},
      {"/tensors/x/samples", 1000000, "\"samples\" does not fit"},
      {"/tensors/x/range/high", 1e30, "does not lie in the first and the last bin"},
      {"/tensors/x/range/high", null, "expected a finite float"},
      {"/tensors/x/sample_lows", "1.5", "not an exact sum"},
      {"/tensors/x/sample_lows", 1.5, "sample_lows"},
      {"/tensors/x/histogram/exponent", 400, "exponent"},
      {"/tensors/x/histogram/exponent", 1e30, "exponent"},
      {"/tensors/x/histogram/exponent", 4000000000U, "exponent"},
      {"/tensors/x/histogram/first_bin", INT64_MIN, "bin"},
      {"/tensors/x/histogram/first_bin", UINT64_MAX, "first_bin"},
      {"/tensors/x/histogram/counts", {1, -1, 1}, "expected a count"},
      {"/tensors/x/histogram/counts", 5, "no list"},
      {"/tensors/x/histogram/counts", std::vector<int>(2049, 1), "2049 bins"},
      {"/tensors/x/channels/low", {-1}, "channels"},
      {"/tensors/x/channels/low", {-1, -1, 1}, "channel 2"},
      {"/tensors/x/channels/low", {-1, "a", -1}, "expected a finite float"},
      {"/tensors/x/channels/axis", "1", "axis"},
  };
  const test::TemporaryFolder folder;
  for (const Case& c : cases) {
    Json json = to_json(small_table());
    json[Json::json_pointer(c.where)] = c.value;
    write_json(folder / "t.json", json);
    const std::string error = error_of([&] { read_table(folder / "t.json"); });
    INFO(c.where << ": " << error);
    CHECK(error.find("t.json") != std::string::npos);
    CHECK(error.find(c.expected) != std::string::npos);
    if (std::string(c.where).starts_with("/tensors/x"))
      CHECK(error.find("tensor \"x\"") != std::string::npos);
  }
  contains(error_of([&] { read_table(folder / "absent.json"); }), "absent.json");
}

TEST_CASE("any key taken away is missed") {
  const Json whole = to_json(small_table()).flatten();
  for (const auto& [pointer, value] : whole.items()) {
    const Json::json_pointer place(pointer);
    if (place.parent_pointer().to_string().ends_with("counts") || pointer.starts_with("/data") ||
        pointer.starts_with("/preprocessing")) {
      continue;
    }
    Json json = to_json(small_table());
    Json& parent = json[place.parent_pointer()];
    if (!parent.is_object()) continue;
    parent.erase(place.back());
    INFO(pointer);
    CHECK_THROWS_AS(table_from_json(json), Error);
  }
}

TEST_CASE("a name that is not UTF-8") {
  CalibrationTable table = small_table();
  table.tensors["caf\xE9"];
  contains(error_of([&] { to_json(table); }), "is not UTF-8");
}
