// SPDX-License-Identifier: Apache-2.0
#include "report/gates.h"

#include "catch.h"
#include "report/example.h"
#include "support/file.h"

using namespace qtool;
using Catch::Contains;

namespace {

GateResult result_of(const char* expression, const ReportRecord& report = test::example_report()) {
  const auto results = evaluate(test::gates_of({expression}), report);
  REQUIRE(results.size() == 1);
  return results[0];
}

std::string usage_message(const char* text) {
  try {
    parse_gate(text);
  } catch (const Error& error) {
    CHECK(error.kind() == Error::Kind::usage);
    return error.what();
  }
  return {};
}

}  // namespace

TEST_CASE("a gate is a name, a comparison and a number") {
  const Gate gate = parse_gate("  top1_drop <=\t1.0 ");
  CHECK(gate.expr == "top1_drop <=\t1.0");
  CHECK(gate.name == "top1_drop");
  CHECK(gate.comparison == Comparison::less_equal);
  CHECK(gate.limit == 1.0);
  CHECK(parse_gate("speedup>=1.5").comparison == Comparison::greater_equal);
  CHECK(parse_gate("latency_ms<5").comparison == Comparison::less);
  CHECK(parse_gate("sqnr_db>20").comparison == Comparison::greater);
  CHECK(parse_gate("top1_drop==0").comparison == Comparison::equal);
  CHECK(parse_gate("top1_drop<=-0.5").limit == -0.5);
  CHECK(parse_gate("peak_rss_bytes<=+1e8").limit == 1e8);
}

TEST_CASE("shares may be written in per cent and mean the same double") {
  CHECK(parse_gate("top1>=99.9%").limit == 0.999);
  CHECK(parse_gate("agreement >= 99.3 %").limit == 0.993);
  CHECK(parse_gate("top5>=7%").limit == 0.07);
}

TEST_CASE("what is no gate is a usage error that helps") {
  CHECK_THAT(usage_message("top1_dorp<=1"),
             Contains("Did you mean \"top1_drop\"") && Contains("speedup"));
  CHECK_THAT(usage_message("zzzz<=1"), Contains("Known: top1, top5"));
  CHECK_THAT(usage_message("top1_drop"), Contains("no comparison") && Contains("top1_drop<=1.0"));
  CHECK_THAT(usage_message("top1_drop=1"), Contains("no comparison \"=\""));
  CHECK_THAT(usage_message("top1_drop=>1"), Contains("no comparison \"=>\""));
  CHECK_THAT(usage_message("top1_drop<="), Contains("is no number"));
  CHECK_THAT(usage_message("top1_drop<=abc"), Contains("\"abc\" is no number"));
  CHECK_THAT(usage_message("top1_drop<=1.0x"), Contains("is no number"));
  CHECK_THAT(usage_message("top1_drop<=nan"), Contains("is no number"));
  CHECK_THAT(usage_message("top1_drop<=1e999"), Contains("is no number"));
  CHECK_THAT(usage_message("top1>=%"), Contains("is no number"));
  CHECK_THAT(usage_message("top1>=91.7"), Contains("between 0 and 1") && Contains("90%"));
  CHECK_THAT(usage_message("top1_drop<=1%"), Contains("percentage points"));
  CHECK_THAT(usage_message(""), Contains("no comparison"));
  CHECK_THAT(usage_message("<=1"), Contains("no measure \"\""));
}

TEST_CASE("every measure of the worked report") {
  // 91.73 % against 91.70 %, 1.2 MB against 0.3 MB, 2 ms against 0.5 ms, 30 MB against 24 MB.
  const std::pair<const char*, double> values[] = {
      {"top1>=0", 0.9170},         {"top5>=0", 0.9975},         {"top1_drop<=1", 0.03},
      {"top5_drop<=1", 0},         {"agreement>=0", 0.993},     {"sqnr_db>=0", 29.6},
      {"cosine>=0", 0.9995},       {"max_abs_error<=1", 0.75},  {"mse<=1", 0.0125},
      {"size_ratio<=1", 0.25},     {"file_bytes>=0", 300'000},  {"speedup>=1", 4},
      {"latency_ms<=1", 0.5},      {"latency_p90_ms<=1", 0.62}, {"throughput>=1", 2000},
      {"peak_rss_bytes>=1", 24e6}, {"rss_ratio<=1", 0.8}};
  CHECK(std::size(values) == gate_names().size());
  for (const auto& [expression, value] : values) {
    CAPTURE(expression);
    const GateResult result = result_of(expression);
    CHECK(result.value == value);
    CHECK(result.ok);
    CHECK(result.why.empty());
    CHECK(result.candidate == "resnet20.int8.onnx");
  }
}

TEST_CASE("limits hold where they are met exactly") {
  ReportRecord report = test::example_report();
  report.reference.metrics.top1 = 0.9173;
  report.candidates[0].model.metrics.top1 = 0.9073;  // 1 - 0.9073 + 0.9173 is not 1 in doubles
  fill_deltas(report);
  CHECK(result_of("top1_drop<=1.0", report).ok);
  CHECK(result_of("top1_drop==1.0", report).ok);
  CHECK_FALSE(result_of("top1_drop<1.0", report).ok);
  CHECK_FALSE(result_of("speedup>4", report).ok);
  CHECK(result_of("speedup>=4", report).ok);
  CHECK(result_of("agreement>=99.3%", report).ok);
  CHECK(result_of("rss_ratio<=0.8", report).ok);
}

TEST_CASE("a value that is not known fails and says why") {
  ReportRecord report = test::example_report();
  Candidate& candidate = report.candidates[0];
  candidate.model.metrics = {};
  candidate.model.latency_ms.reset();
  candidate.model.throughput.reset();
  candidate.model.peak_rss_bytes.reset();
  candidate.outputs.clear();
  fill_deltas(report);
  for (const GateName& name : gate_names()) {
    if (name.name == "file_bytes" || name.name == "size_ratio") continue;
    for (const char* comparison : {"<=", ">=", "<", ">", "=="}) {
      const GateResult result =
          result_of((std::string(name.name) + comparison + "0").c_str(), report);
      CAPTURE(result.expr);
      CHECK_FALSE(result.ok);
      CHECK_FALSE(result.value);
      CHECK_THAT(result.why, Contains("not measured: it needs"));
    }
  }
  CHECK_THAT(result_of("top1>=0", report).why, Contains("labelled data"));
  CHECK_THAT(result_of("speedup>=1", report).why, Contains("latency of both models"));
}

TEST_CASE("undefined output errors fail with their own reason") {
  ReportRecord report = test::example_report();
  Fidelity& fidelity = report.candidates[0].outputs[0].fidelity;
  fidelity = {};
  fidelity.nonfinite = 12;
  fill_deltas(report);
  CHECK_THAT(result_of("sqnr_db>=1", report).why,
             Contains("12 output elements are NaN or infinite"));
  CHECK_THAT(result_of("agreement>=1", report).why, Contains("no output has one score a class"));
  fidelity.nonfinite = 0;
  fill_deltas(report);
  CHECK_THAT(result_of("sqnr_db>=1", report).why, Contains("zero everywhere"));
}

TEST_CASE("exact outputs pass any lower limit on the SQNR, and none above") {
  ReportRecord report = test::example_report();
  Fidelity exact;
  exact.exact = true;
  report.candidates[0].outputs = {{"logits", exact}};
  fill_deltas(report);
  const GateResult passed = result_of("sqnr_db>=200", report);
  CHECK(passed.ok);
  CHECK_FALSE(passed.value);
  CHECK_THAT(passed.why, Contains("no bound"));
  CHECK_FALSE(result_of("sqnr_db<=200", report).ok);
}

TEST_CASE("every gate is asked of every candidate") {
  ReportRecord report = test::example_report();
  report.candidates.push_back(test::example_candidate());
  report.candidates[1].model.file = "second.onnx";
  report.candidates[1].model.file_bytes = 600'000;
  fill_deltas(report);
  const auto results = evaluate(test::gates_of({"size_ratio<=0.3", "speedup>=1"}), report);
  REQUIRE(results.size() == 4);
  CHECK(results[0].ok);
  CHECK_FALSE(results[1].ok);
  CHECK(results[1].candidate == "second.onnx");
  CHECK(results[1].value == 0.5);
  CHECK_FALSE(all_passed(results));
  CHECK(all_passed({results[0], results[2], results[3]}));
  report.candidates.clear();
  CHECK_FALSE(all_passed(evaluate(test::gates_of({"speedup>=1"}), report)));
}

TEST_CASE("gates come from a file, one a line") {
  const test::TemporaryFolder folder;
  write_file(folder / "gates.txt", "# accuracy\ntop1_drop <= 1.0  # points\r\n\n  speedup>=1.5\n");
  const auto gates = read_gates(folder / "gates.txt");
  REQUIRE(gates.size() == 2);
  CHECK(gates[0].expr == "top1_drop <= 1.0");
  CHECK(gates[1].name == "speedup");

  write_file(folder / "bad.txt", "speedup>=1\n\nspeeedup>=2\n");
  CHECK_THROWS_WITH(read_gates(folder / "bad.txt"), Contains("bad.txt:3") && Contains("speeedup"));
  write_file(folder / "empty.txt", "# nothing\n");
  CHECK_THROWS_WITH(read_gates(folder / "empty.txt"), Contains("no gate in it"));
  CHECK_THROWS_AS(read_gates(folder / "missing.txt"), Error);
}

TEST_CASE("a value is shown with the digits that decided") {
  const auto shown = [](const char* expr, double value, bool ok) {
    return gate_value_text({.expr = expr, .candidate = "", .value = value, .ok = ok, .why = ""});
  };
  CHECK(shown("top1_drop<=1", 0.03, true) == "0.03 points");
  CHECK(shown("size_ratio<=0.3", 0.300004, false) == "0.300004x");
  CHECK(shown("speedup>=2", 3.14159, true) == "3.142x");
  CHECK(shown("top1>=0.9", 0.9173, true) == "91.73 %");
  CHECK(shown("top1>=0.9174", 0.917399, false) == "91.7399 %");
  CHECK(shown("file_bytes<=400000", 322'651, true) == "322651 B");
  CHECK(shown("throughput>=5", 16393.4426, true) == "16393.443 samples/s");
  CHECK(shown("unknown measure", 0.5, true) == "0.5");
  CHECK(gate_value_text(
            {.expr = "top1>=0", .candidate = "", .value = {}, .ok = false, .why = "no labels"}) ==
        "no labels");
}
