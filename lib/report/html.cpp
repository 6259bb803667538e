// SPDX-License-Identifier: Apache-2.0
#include "report/html.h"

#include <fmt/format.h>

#include <algorithm>

#include "report/compare.h"
#include "report/escape.h"
#include "report/sections.h"
#include "report/svg.h"
#include "support/json.h"
#include "support/text.h"

namespace qtool {

namespace {

constexpr size_t kBars = 25;
constexpr size_t kHistograms = 9;

constexpr const char* kStyle = R"(
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 1320px; padding: 0 1em; color: #1c2128; background: #fff; }
h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin-top: 2em; }
table { border-collapse: collapse; margin: 1em 0; display: block; overflow-x: auto; }
th, td { padding: 3px 12px 3px 0; text-align: left; border-bottom: 1px solid #d8dee4; white-space: nowrap; }
td:not(:first-child) { font-variant-numeric: tabular-nums; }
p.note { margin: 0; color: #57606a; } .ok { color: #1a7f37; } .failed { color: #cf222e; font-weight: 600; }
.charts { display: flex; flex-wrap: wrap; gap: 1em; } svg { max-width: 100%; height: auto; }
svg text { font: 12px system-ui, sans-serif; fill: #1c2128; } svg text.title { font-weight: 600; font-size: 13px; }
svg .grid { stroke: #d8dee4; } svg .reference { fill: #fff; stroke: #57606a; stroke-width: 2; }
.curve { fill: none; stroke: #0969da; stroke-width: 1.5; } svg .range { stroke: #bf8700; stroke-width: 2; } svg .candidate, svg .first { fill: #0969da; } svg .second { fill: #bf8700; }
@media (prefers-color-scheme: dark) { body { color: #e6edf3; background: #0d1117; } svg text { fill: #e6edf3; }
th, td { border-color: #30363d; } svg .grid { stroke: #30363d; } svg .reference { fill: #0d1117; stroke: #8b949e; } p.note { color: #8b949e; } }
)";

std::string table(const std::vector<std::vector<std::string>>& rows) {
  if (rows.empty()) return {};
  std::string text = "<table>\n";
  for (size_t r = 0; r < rows.size(); ++r) {
    const char* cell = r == 0 ? "th" : "td";
    text += "<tr>";
    for (const std::string& content : rows[r])
      text += fmt::format("<{}>{}</{}>", cell, html_text(content), cell);
    text += "</tr>\n";
  }
  return text + "</table>\n";
}

std::string section_html(const Section& section) {
  std::string text;
  if (section.detail) {
    text += "<details><summary>" + html_text(section.title) + "</summary>\n";
  } else if (!section.title.empty()) {
    text += "<h2>" + html_text(section.title) + "</h2>\n";
  }
  for (const std::string& note : section.notes)
    text += "<p class=\"note\">" + html_text(note) + "</p>\n";
  text += table(section.rows);
  if (!section.closing.empty()) text += "<p>" + html_text(section.closing) + "</p>\n";
  if (section.detail) text += "</details>\n";
  return text;
}

std::string gates_html(const ReportRecord& report) {
  const Section gates = gate_section(report);
  if (gates.rows.empty()) return {};
  const bool passed = std::ranges::all_of(report.gates, &GateResult::ok);
  return fmt::format("<h2>Gates</h2>\n<p class=\"{}\">{}</p>\n{}", passed ? "ok" : "failed",
                     html_text(gates.closing), table(gates.rows));
}

/// What is best told of how right a model is: top-1 in per cent, else the SQNR of its outputs.
struct Quality {
  const char* title;
  bool labelled;
  std::optional<double> of(const ReportedModel& model, const Delta* delta) const {
    if (labelled) {
      return model.metrics.top1 ? std::optional(100 * *model.metrics.top1) : std::nullopt;
    }
    return delta != nullptr ? delta->fidelity.sqnr_db : std::nullopt;
  }
};

template <class X>
std::string quality_chart(const ReportRecord& report, const Quality& quality, const char* title,
                          const char* x_title, X&& x) {
  Scatter chart{title, x_title, quality.title, {}};
  const auto add = [&](const ReportedModel& model, const Delta* delta) {
    const auto y = quality.of(model, delta);
    const std::optional<double> place = x(model);
    if (y && place) chart.points.push_back({*place, *y, model.file, delta == nullptr});
  };
  add(report.reference, nullptr);
  for (const Candidate& candidate : report.candidates) add(candidate.model, &candidate.delta);
  return scatter_chart(chart);
}

std::string layer_chart(const Candidate& candidate) {
  std::vector<LayerError> layers = candidate.layers;
  sort_worst_first(layers);
  Bars chart{"Error by tensor of " + candidate.model.file + ", worst first",
             "SQNR, dB (longer is better)",
             "of the layer alone",
             "as it arrives",
             {}};
  for (const LayerError& layer : layers) {
    if (chart.bars.size() == kBars) break;
    if (!layer.added_sqnr_db && !layer.sqnr_db) continue;
    chart.bars.push_back({layer.tensor, layer.added_sqnr_db, layer.sqnr_db});
  }
  return bar_chart(chart);
}

/// Of the worst tensors that have codes.
std::string histograms(const Candidate& candidate) {
  std::vector<LayerError> layers = candidate.layers;
  sort_worst_first(layers);
  std::string charts;
  size_t drawn = 0;
  for (const LayerError& layer : layers) {
    if (drawn == kHistograms || !layer.histogram) continue;
    const LayerHistogram& h = *layer.histogram;
    charts += histogram_chart({layer.tensor, h.low, h.high, h.counts, h.range_low, h.range_high});
    ++drawn;
  }
  if (charts.empty()) return charts;
  return "<h2>Values and chosen ranges, worst tensors of " + html_text(candidate.model.file) +
         "</h2>\n<p class=\"note\">The float model's elements by the logarithm of their number; "
         "the lines are the ends of what the codes represent.</p>\n<div class=\"charts\">\n" +
         charts + "</div>\n";
}

std::string charts(const ReportRecord& report) {
  const bool labelled = std::ranges::any_of(
      report.candidates, [](const Candidate& c) { return c.model.metrics.top1.has_value(); });
  const Quality quality{labelled ? "top-1, %" : "output SQNR, dB", labelled};
  std::string text = quality_chart(
      report, quality, "Accuracy against size", "file size, MB", [](const ReportedModel& model) {
        return std::optional(static_cast<double>(model.file_bytes) * 1e-6);
      });
  text += quality_chart(report, quality, "Accuracy against latency", "median latency, ms",
                        [](const ReportedModel& model) {
                          return model.latency_ms ? std::optional(model.latency_ms->median)
                                                  : std::nullopt;
                        });
  for (const Candidate& candidate : report.candidates) text += layer_chart(candidate);
  return text.empty() ? text : "<div class=\"charts\">\n" + text + "</div>\n";
}

}  // namespace

std::vector<Scatter> training_curves(const std::string& log, const std::string& name) {
  Scatter loss{"Loss in training, " + name, "epoch", "loss", {}, true};
  Scatter accuracy{"Accuracy in training, " + name, "epoch", "top-1, %", {}, true};
  size_t number = 0;
  for (const std::string& line : split(log, '\n')) {
    ++number;
    if (line.empty()) continue;
    within_frame(
        [&] { return fmt::format("line {}", number); },
        [&] {
          const Json json = Json::parse(line, nullptr, false);
          if (json.is_discarded()) throw input_error("not the JSON of a training's log");
          if (json.is_object() && json.contains("step")) return;  // its epoch has the mean
          const auto epoch = member<double>(json, "epoch");
          loss.points.push_back({epoch, member<double>(json, "loss"), "epoch"});
          if (!json.contains("accuracy")) return;
          accuracy.points.push_back({epoch, 100 * member<double>(json, "accuracy"), "epoch"});
        });
  }
  if (loss.points.empty()) throw input_error("no epochs in it");
  std::vector<Scatter> curves{std::move(loss)};
  if (!accuracy.points.empty()) curves.push_back(std::move(accuracy));
  return curves;
}

std::string html_report(const ReportRecord& report, const std::vector<Scatter>& trainings) {
  std::vector<Section> sections = report_sections(report);
  const std::string title = html_text(sections[0].title);
  sections[0].title.clear();
  std::string text = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
      "<meta name=\"viewport\" content=\"width=device-width\"/>\n<title>{}</title>\n"
      "<style>{}</style>\n</head>\n<body>\n<h1>{}</h1>\n",
      title, kStyle, title);
  text += gates_html(report);
  text += section_html(sections[0]);
  text += charts(report);
  if (!trainings.empty()) {
    text += "<div class=\"charts\">\n";
    for (const Scatter& curve : trainings) text += scatter_chart(curve);
    text += "</div>\n";
  }
  for (const Candidate& candidate : report.candidates) text += histograms(candidate);
  for (size_t i = 1; i < sections.size(); ++i) text += section_html(sections[i]);
  return text + "</body>\n</html>\n";
}

}  // namespace qtool
