// SPDX-License-Identifier: Apache-2.0
#include "report/html.h"

#include <regex>

#include "catch.h"
#include "report/example.h"
#include "report/svg.h"

using namespace qtool;
using Catch::Contains;

namespace {

/// Whether every element that is opened is closed, in order. Only what these writers need.
bool balanced(const std::string& text) {
  static const std::regex kTag(
      R"(<(/?)([A-Za-z][A-Za-z0-9-]*)((?:\s+[A-Za-z0-9:-]+="[^"<]*")*)\s*(/?)>)");
  std::vector<std::string> open;
  for (std::sregex_iterator it(text.begin(), text.end(), kTag), end; it != end; ++it) {
    if (!(*it)[4].str().empty()) continue;
    if ((*it)[1].str().empty()) {
      open.push_back((*it)[2]);
    } else {
      if (open.empty() || open.back() != (*it)[2]) return false;
      open.pop_back();
    }
  }
  const auto tags = std::distance(std::sregex_iterator(text.begin(), text.end(), kTag), {});
  const auto angles = std::count(text.begin(), text.end(), '<');
  const auto declarations = text.starts_with("<!") || text.starts_with("<?") ? 1 : 0;
  return open.empty() && tags + declarations == angles;
}

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; ++at) ++found;
  return found;
}

ReportRecord gated_report() {
  ReportRecord report = test::example_report();
  report.gates = evaluate(test::gates_of({"top1_drop<=1.0", "speedup>=9"}), report);
  return report;
}

}  // namespace

TEST_CASE("HTML: tables, gates and charts on one page that needs nothing else") {
  const std::string page = html_report(gated_report());
  CHECK(balanced(page));
  CHECK(count(page, "<svg") == 4);
  CHECK(count(page, "class=\"range\"") == 2);
  CHECK_THAT(page, Contains("chosen ranges, worst tensors"));
  CHECK_THAT(page, Contains("Accuracy against size") && Contains("Accuracy against latency") &&
                       Contains("Error by tensor of resnet20.int8.onnx"));
  CHECK_THAT(page, Contains("1 of 2 gates FAILED") && Contains("speedup&gt;=9"));
  CHECK_THAT(page, Contains("conv9_out") && Contains("Stayed float"));
  CHECK(!std::regex_search(page, std::regex("<script|<link|<img|src=|href=|url\\(")));
}

TEST_CASE("HTML: without labels the charts show the SQNR; without measurements there are none") {
  ReportRecord report = test::example_report();
  report.reference.metrics = {};
  report.candidates[0].model.metrics = {};
  CHECK_THAT(html_report(report), Contains("output SQNR, dB"));
  report = {};
  report.candidates.resize(1);
  const std::string page = html_report(report);
  CHECK(balanced(page));
  CHECK(count(page, "<svg") == 0);
}

TEST_CASE("HTML: curves of a training's log") {
  const std::string log =
      "{\"epoch\":1,\"loss\":3.0,\"lr\":0.1,\"step\":1}\n"
      "{\"accuracy\":0.5,\"epoch\":1,\"loss\":2.0,\"lr\":0.1}\n"
      "{\"accuracy\":0.75,\"epoch\":2,\"loss\":1.0,\"lr\":0.1}\n";
  const auto curves = training_curves(log, "<train>.jsonl");
  REQUIRE(curves.size() == 2);
  CHECK(curves[0].points.size() == 2);
  CHECK(curves[1].points[1].x == 2);
  CHECK(curves[1].points[1].y == 75);
  const std::string page = html_report(gated_report(), curves);
  CHECK(balanced(page));
  CHECK(count(page, "<svg") == 6);
  CHECK(count(page, "<polyline") == 2);
  CHECK_THAT(page, Contains("Loss in training, &lt;train&gt;.jsonl"));
  CHECK(training_curves("{\"epoch\":1,\"loss\":2,\"lr\":0}\n", "x").size() == 1);
  CHECK_THROWS_AS(training_curves("", "x"), Error);
  CHECK_THROWS_AS(training_curves(log + "{\"epoch\":", "x"), Error);
  CHECK_THROWS_AS(training_curves("{\"loss\":1}", "x"), Error);
}

TEST_CASE("HTML and JUnit: names cannot break out") {
  ReportRecord report = gated_report();
  const std::string evil = "<script>\"'&]]>\x1b\xff</td>";
  report.reference.file = evil;
  report.candidates[0].model.file = evil;
  report.candidates[0].layers[0].tensor = evil;
  report.candidates[0].kept_float[0].reason = evil;
  for (GateResult& gate : report.gates) gate.candidate = evil;
  for (const std::string& text : {html_report(report), junit_report(report)}) {
    CHECK(balanced(text));
    CHECK(count(text, "<script") == 0);
    CHECK(count(text, "&lt;script&gt;&quot;&#39;&amp;") > 0);
    CHECK(text.find('\x1b') == std::string::npos);
    CHECK(text.find('\xff') == std::string::npos);
  }
}

TEST_CASE("JUnit: a case a gate, with what was measured") {
  const std::string text = junit_report(gated_report());
  CHECK(balanced(text));
  CHECK_THAT(text, Contains("<testsuites tests=\"2\" failures=\"1\">"));
  CHECK(count(text, "<testcase ") == 2);
  CHECK_THAT(text, Contains("name=\"top1_drop&lt;=1.0\"><system-out>measured: 0.03 points"));
  CHECK_THAT(text, Contains("<failure type=\"gate\" message=\"measured: 4x\">"));
}

TEST_CASE("ticks are round numbers around the values") {
  using Ticks = std::vector<double>;
  CHECK(axis_ticks(0, 10) == Ticks{0, 2, 4, 6, 8, 10});
  CHECK(axis_ticks(1.2, 3.9) == Ticks{1, 2, 3, 4});
  const Ticks alone = axis_ticks(5, 5);
  CHECK(alone.front() < 5);
  CHECK(alone.back() > 5);
  for (const auto& [low, high] :
       {std::pair{-3.0, 1e-9}, std::pair{91.7, 91.73}, std::pair{0.0, 0.0}, std::pair{1e9, 3e9}}) {
    const Ticks ticks = axis_ticks(low, high);
    CHECK(ticks.size() >= 3);
    CHECK(ticks.size() <= 12);
    CHECK(ticks.front() <= low);
    CHECK(ticks.back() >= high - 1e-9);
  }
}
