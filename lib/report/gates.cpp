// SPDX-License-Identifier: Apache-2.0
#include "report/gates.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "report/measures.h"
#include "support/file.h"
#include "support/text.h"

namespace qtool {

namespace {

constexpr uint64_t kLargestGateFile = 1 << 20;

std::string_view trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

Error malformed(std::string_view text, const std::string& problem, const std::string& advice = {}) {
  return usage_error("gate \"" + std::string(text) + "\": " + problem,
                     advice.empty()
                         ? "Write NAME OP NUMBER, such as 'top1_drop<=1.0'; OP is one of "
                           "<= >= < > ==."
                         : advice);
}

const Measure& known_measure(std::string_view text, std::string_view name) {
  if (const Measure* measure = find_measure(name)) return *measure;
  std::vector<std::string> names;
  for (const Measure& measure : measures()) names.emplace_back(measure.name);
  const std::string guess = did_you_mean(name, names);
  throw malformed(text, "there is no measure \"" + std::string(name) + '"',
                  (guess.empty() ? "" : guess + ' ') + "Known: " + join(names, ", ") + '.');
}

Comparison parse_comparison(std::string_view text, std::string_view op) {
  if (op == "<=") return Comparison::less_equal;
  if (op == ">=") return Comparison::greater_equal;
  if (op == "<") return Comparison::less;
  if (op == ">") return Comparison::greater;
  if (op == "==") return Comparison::equal;
  throw malformed(text, "no comparison \"" + std::string(op) + '"');
}

/// A trailing % divides by 100 in the decimal text, so that 99.9% is the same double as 0.999.
double parse_limit(std::string_view text, std::string_view number, const Measure& measure) {
  std::string digits(number);
  if (digits.ends_with('%')) {
    if (measure.unit != Unit::fraction) {
      throw malformed(text, "a per cent sign only fits top1, top5 and agreement",
                      std::string(measure.name) + " is: " + std::string(measure.meaning) + '.');
    }
    digits = std::string(trimmed(number.substr(0, number.size() - 1))) + "e-2";
  }
  if (digits.starts_with('+')) digits.erase(0, 1);
  double limit = 0;
  const auto end = digits.data() + digits.size();
  const auto parsed = std::from_chars(digits.data(), end, limit);
  if (digits.empty() || parsed.ec != std::errc{} || parsed.ptr != end || !std::isfinite(limit)) {
    throw malformed(text, '"' + std::string(number) + "\" is no number");
  }
  if (measure.unit == Unit::fraction && (limit < 0 || limit > 1)) {
    throw malformed(text, std::string(measure.name) + " lies between 0 and 1",
                    "Write a fraction such as 0.9, or per cent such as 90%.");
  }
  return limit;
}

bool holds(double value, Comparison comparison, double limit) {
  switch (comparison) {
    case Comparison::less_equal: return value <= limit;
    case Comparison::greater_equal: return value >= limit;
    case Comparison::less: return value < limit;
    case Comparison::greater: return value > limit;
    case Comparison::equal: return value == limit;
  }
  return false;
}

GateResult evaluate_one(const Gate& gate, const Measure& measure, const Candidate& candidate) {
  GateResult result{
      .expr = gate.expr, .candidate = candidate.model.file, .value = {}, .ok = false, .why = {}};
  const std::optional<double> value = measure.value(candidate);
  if (!value) {
    result.why = reason_absent(measure, candidate);
    return result;
  }
  result.ok = holds(*value, gate.comparison, gate.limit);
  if (std::isinf(*value)) {
    result.why = "no bound: the outputs equal those of the float model";
  } else {
    result.value = value;
  }
  return result;
}

}  // namespace

std::vector<GateName> gate_names() {
  std::vector<GateName> names;
  for (const Measure& measure : measures()) names.push_back({measure.name, measure.meaning});
  return names;
}

Gate parse_gate(std::string_view text) {
  const std::string_view whole = trimmed(text);
  const size_t op = whole.find_first_of("<>=!");
  if (op == std::string_view::npos) throw malformed(whole, "no comparison in it");
  const size_t behind = whole.find_first_not_of("<>=!", op);
  const std::string_view name = trimmed(whole.substr(0, op));
  const std::string_view number =
      behind == std::string_view::npos ? std::string_view() : trimmed(whole.substr(behind));
  const Measure& measure = known_measure(whole, name);
  return {
      .expr = std::string(whole),
      .name = std::string(name),
      .comparison = parse_comparison(whole, whole.substr(op, std::min(behind, whole.size()) - op)),
      .limit = parse_limit(whole, number, measure)};
}

std::vector<Gate> read_gates(const std::filesystem::path& path) {
  std::vector<Gate> gates;
  const std::vector<std::string> lines = split(read_file(path, kLargestGateFile), '\n');
  for (size_t i = 0; i < lines.size(); ++i) {
    const std::string_view text = trimmed(std::string_view(lines[i]).substr(0, lines[i].find('#')));
    if (text.empty()) continue;
    within_frame([&] { return path.string() + ":" + std::to_string(i + 1); },
                 [&] { gates.push_back(parse_gate(text)); });
  }
  if (gates.empty()) {
    throw input_error(path.string() + ": no gate in it",
                      "Write one a line, such as top1_drop <= 1.0; # begins a comment.");
  }
  return gates;
}

std::vector<GateResult> evaluate(const std::vector<Gate>& gates, const ReportRecord& report) {
  std::vector<GateResult> results;
  for (const Gate& gate : gates) {
    const Measure* measure = find_measure(gate.name);
    QTOOL_CHECK(measure != nullptr, gate.name);
    for (const Candidate& candidate : report.candidates) {
      results.push_back(evaluate_one(gate, *measure, candidate));
    }
    if (report.candidates.empty()) {
      results.push_back({gate.expr, {}, std::nullopt, false, "there is no candidate"});
    }
  }
  return results;
}

bool all_passed(const std::vector<GateResult>& results) {
  return std::all_of(results.begin(), results.end(), [](const GateResult& r) { return r.ok; });
}

std::string gate_value_text(const GateResult& result) {
  if (!result.value) return result.why;
  std::optional<Gate> gate;
  try {
    gate = parse_gate(result.expr);
  } catch (const Error&) {
    return fmt::format("{:.6g}", *result.value);  // from the file of another version
  }
  const Unit unit = find_measure(gate->name)->unit;
  const double scale = unit == Unit::fraction ? 100 : 1;
  if (unit == Unit::bytes) return in_unit(unit, fmt::format("{:.0f}", *result.value));
  for (int digits = std::abs(*result.value) < 1e4 ? 4 : 8; digits < 17; ++digits) {
    const std::string number = fmt::format("{:.{}g}", *result.value * scale, digits);
    double shown = 0;
    std::from_chars(number.data(), number.data() + number.size(), shown);
    if (holds(shown, gate->comparison, gate->limit * scale) == result.ok)
      return in_unit(unit, number);
  }
  return in_unit(unit, fmt::format("{}", *result.value * scale));
}

}  // namespace qtool
