// SPDX-License-Identifier: Apache-2.0
#include "report/records.h"

#include <functional>

#include "catch.h"
#include "report/example.h"
#include "report/table.h"
#include "support/file.h"

using namespace qtool;
using Catch::Contains;

namespace {

EvalRecord example_eval() {
  return {.samples = 10'000,
          .metrics = {.top1 = 0.9173, .top5 = 0.9975, .nan_samples = 0},
          .model = {.file = "resnet20.onnx", .sha256 = "ab", .bytes = 1'099'188},
          .reference = "",
          .outputs = {},
          .data = {{"kind", "cifar"}},
          .preprocess = nullptr};
}

BenchRecord example_bench() {
  return {.conditions = {.threads = 2, .batch = 8, .runner = "onednn", .runs = 50},
          .latency_ms = {.median = 1.5, .p10 = 1.25, .p90 = 2},
          .peak_rss_bytes = 61'000'000,
          .throughput = 5333.5,
          .model = {.file = "resnet20.onnx", .sha256 = "ab", .bytes = 1'099'188}};
}

/// Every way to damage one value of the JSON, one at a time.
void damage_each(Json& root, Json& part, const std::function<void(const Json&)>& try_out) {
  const Json replacements[] = {nullptr,
                               "x",
                               -1,
                               1.5,
                               1e300,
                               18446744073709551615U,
                               true,
                               Json::array(),
                               Json::object(),
                               Json::array({1})};
  for (const auto& item : part.items()) {
    Json& value = item.value();
    const Json kept = value;
    for (const Json& replacement : replacements) {
      value = replacement;
      try_out(root);
    }
    value = kept;
    if (value.is_structured()) damage_each(root, value, try_out);
  }
}

}  // namespace

TEST_CASE("eval writes the contract's keys and reads them back") {
  const Json json = to_json(example_eval());
  CHECK(json == Json::parse(R"({"schema": "qtool.eval/1", "samples": 10000,
    "metrics": {"top1": 0.9173, "top5": 0.9975},
    "model": {"file": "resnet20.onnx", "sha256": "ab", "bytes": 1099188},
    "data": {"kind": "cifar"}})"));
  CHECK(eval_from_json(json) == example_eval());

  EvalRecord unlabelled = example_eval();
  unlabelled.metrics = {};
  CHECK(to_json(unlabelled)["metrics"] == Json::object());
  CHECK(eval_from_json(to_json(unlabelled)) == unlabelled);
}

TEST_CASE("bench writes the contract's keys and reads them back") {
  const Json json = to_json(example_bench());
  CHECK(json == Json::parse(R"({"schema": "qtool.bench/1", "threads": 2, "batch": 8, "runs": 50,
    "runner": "onednn", "latency_ms": {"median": 1.5, "p10": 1.25, "p90": 2.0},
    "peak_rss_bytes": 61000000, "throughput": 5333.5,
    "model": {"file": "resnet20.onnx", "sha256": "ab", "bytes": 1099188}})"));
  CHECK(bench_from_json(json) == example_bench());

  BenchRecord bare = example_bench();
  bare.peak_rss_bytes.reset();
  bare.throughput.reset();
  CHECK_FALSE(to_json(bare).contains("peak_rss_bytes"));
  CHECK(bench_from_json(to_json(bare)) == bare);
}

TEST_CASE("deltas of a worked example") {
  const ReportRecord report = test::example_report();
  const Delta& delta = report.candidates[0].delta;
  CHECK(delta.top1 == -0.0003);
  CHECK(delta.top5 == 0.0);
  CHECK(delta.size_ratio == 0.25);
  CHECK(delta.speedup == 4.0);
  CHECK(delta.rss_ratio == 0.8);
  CHECK(delta.fidelity == report.candidates[0].outputs[0].fidelity);
  CHECK(delta.outcome == PairedOutcome{.lost = 14, .gained = 11});
}

TEST_CASE("of several outputs the worst counts, and an unknown one is not passed over") {
  ReportRecord report = test::example_report();
  auto& outputs = report.candidates[0].outputs;
  Fidelity boxes;
  boxes.sqnr_db = 12;
  boxes.cosine = 0.9999;
  boxes.max_abs_error = 3;
  boxes.mse = 0.001;
  Fidelity exact;
  exact.exact = true;
  exact.cosine = 1;
  exact.max_abs_error = exact.mse = 0;
  outputs = {{"boxes", boxes}, outputs[0], {"count", exact}};
  fill_deltas(report);
  Fidelity worst = report.candidates[0].delta.fidelity;
  CHECK(worst.sqnr_db == 12);
  CHECK(worst.cosine == 0.9995);
  CHECK(worst.max_abs_error == 3);
  CHECK(worst.mse == 0.0125);
  CHECK(worst.agreement == 0.993);
  CHECK_FALSE(worst.exact);

  Fidelity broken;
  broken.nonfinite = 5;
  outputs.push_back({"broken", broken});
  fill_deltas(report);
  worst = report.candidates[0].delta.fidelity;
  CHECK_FALSE(worst.sqnr_db);
  CHECK_FALSE(worst.mse);
  CHECK(worst.nonfinite == 5);

  outputs = {{"count", exact}};
  fill_deltas(report);
  CHECK(report.candidates[0].delta.fidelity.exact);
}

TEST_CASE("nothing is made up where nothing was measured") {
  ReportRecord report;
  report.reference.file = "a.onnx";
  report.candidates.resize(1);
  report.candidates[0].model.file = "b.onnx";
  fill_deltas(report);
  CHECK(to_json(report) == Json::parse(R"({"schema": "qtool.report/1",
    "float": {"file": "a.onnx", "file_bytes": 0, "metrics": {}},
    "candidates": [{"file": "b.onnx", "file_bytes": 0, "metrics": {}, "delta": {}, "layers": []}],
    "gates": [], "provenance": {"versions": {}, "options": {}}})"));
  CHECK(report_from_json(to_json(report)) == report);
}

TEST_CASE("a report survives the way through a file") {
  ReportRecord report = test::example_report();
  report.gates = evaluate(test::gates_of({"top1_drop<=1.0", "speedup>=9", "sqnr_db>=20"}), report);
  report.candidates[0].outputs[0].fidelity.nonfinite = 0;
  const test::TemporaryFolder folder;
  write_json(folder / "report.json", to_json(report));
  CHECK(report_from_json(read_json(folder / "report.json")) == report);
  CHECK(to_text(to_json(report)) == read_file(folder / "report.json"));
}

TEST_CASE("an SQNR without bound is null beside \"exact\"") {
  ReportRecord report = test::example_report();
  Fidelity exact;
  exact.exact = true;
  report.candidates[0].outputs = {{"logits", exact}};
  fill_deltas(report);
  const Json delta = to_json(report)["candidates"][0]["delta"];
  CHECK(delta["sqnr_db"].is_null());
  CHECK(delta["exact"] == true);
  CHECK(report_from_json(to_json(report)) == report);
}

TEST_CASE("names that are not UTF-8 still make valid JSON") {
  ReportRecord report = test::example_report();
  report.candidates[0].layers[0].tensor = "conv\xff";
  report.data = {{"path", "\xfe/x"}, {"files", Json::array({"\xfd"})}};
  const std::string text = to_text(to_json(report));
  CHECK_THAT(text, Contains(R"(conv\\xff)") && Contains(R"(\\xfe/x)") && Contains(R"(\\xfd)"));
}

TEST_CASE("damaged files are errors that name the place") {
  const auto message = [](auto&& change) {
    Json json = to_json(test::example_report());
    change(json);
    try {
      report_from_json(json);
    } catch (const Error& error) {
      CHECK(error.kind() == Error::Kind::input);
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK_THAT(message([](Json& j) { j["schema"] = "qtool.report/2"; }), Contains("qtool.report/2"));
  CHECK_THAT(message([](Json& j) { j.erase("float"); }), Contains("\"float\" is missing"));
  CHECK_THAT(message([](Json& j) { j["float"]["metrics"]["top1"] = 91.7; }),
             Contains("float: metrics: \"top1\" is 91.7") && Contains("<= 1"));
  CHECK_THAT(message([](Json& j) { j["candidates"][0]["file_bytes"] = -1; }),
             Contains("candidates[0]: \"file_bytes\" is -1"));
  CHECK_THAT(message([](Json& j) { j["candidates"][0]["layers"][1].erase("tensor"); }),
             Contains("candidates[0]: layers[1]: the key \"tensor\""));
  CHECK_THAT(message([](Json& j) { j["gates"] = 3; }), Contains("\"gates\" is 3, expected a list"));
  CHECK_THAT(message([](Json& j) { j["bench"]["threads"] = 0; }), Contains("threads"));
  CHECK_THROWS_AS(eval_from_json(Json::array()), Error);
  CHECK_THROWS_AS(bench_from_json(Json::object()), Error);
}

TEST_CASE("no damage gets past the reader as anything but an Error, or breaks the tables") {
  ReportRecord report = test::example_report();
  report.gates = evaluate(test::gates_of({"top1_drop<=1.0", "speedup>=9"}), report);
  Json json = to_json(report);
  int accepted = 0, refused = 0;
  damage_each(json, json, [&](const Json& damaged) {
    try {
      ReportRecord read = report_from_json(damaged);
      ++accepted;
      CHECK_NOTHROW(fill_deltas(read));
      CHECK_NOTHROW(to_text(to_json(read)));
      CHECK_NOTHROW(terminal_report(read));
      CHECK_NOTHROW(markdown_report(read));
    } catch (const Error& error) {
      ++refused;
      CHECK(error.kind() == Error::Kind::input);
    }
  });
  CHECK(accepted > 100);
  CHECK(refused > 300);
}
