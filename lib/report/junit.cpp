// SPDX-License-Identifier: Apache-2.0
// JUnit's XML as Jenkins, GitLab and GitHub's actions read it: testsuites, testsuite, testcase,
// failure.
#include <fmt/format.h>

#include <algorithm>

#include "report/escape.h"
#include "report/gates.h"
#include "report/html.h"

namespace qtool {

std::string junit_report(const ReportRecord& report) {
  const auto failed =
      std::ranges::count_if(report.gates, [](const auto& gate) { return !gate.ok; });
  std::string text = fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
      "<testsuites tests=\"{0}\" failures=\"{1}\">\n"
      "<testsuite name=\"qtool report {2}\" tests=\"{0}\" failures=\"{1}\">\n",
      report.gates.size(), failed, html_text(report.reference.file));
  for (const GateResult& gate : report.gates) {
    text += fmt::format("<testcase classname=\"{}\" name=\"{}\"", html_text(gate.candidate),
                        html_text(gate.expr));
    const std::string measured = html_text(gate_value_text(gate));
    if (gate.ok) {
      text += fmt::format("><system-out>measured: {}</system-out></testcase>\n", measured);
    } else {
      text += fmt::format(
          "><failure type=\"gate\" message=\"measured: {0}\">{1}, measured: {0}"
          "</failure></testcase>\n",
          measured, html_text(gate.expr));
    }
  }
  return text + "</testsuite>\n</testsuites>\n";
}

}  // namespace qtool
