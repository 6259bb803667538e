// SPDX-License-Identifier: Apache-2.0
#include "report/html.h"

#include <fmt/format.h>

#include <algorithm>

#include "report/compare.h"
#include "report/escape.h"
#include "report/html_page.h"
#include "report/sections.h"
#include "report/svg.h"
#include "support/json.h"
#include "support/text.h"

namespace qtool {

namespace {

constexpr size_t kBars = 25;
constexpr size_t kHistograms = 9;

std::string section_html(const Section& section) {
  std::string text;
  if (section.detail) {
    text += "<details><summary>" + html_text(section.title) + "</summary>\n";
  } else if (!section.title.empty()) {
    text += "<h2>" + html_text(section.title) + "</h2>\n";
  }
  for (const std::string& note : section.notes)
    text += "<p class=\"note\">" + html_text(note) + "</p>\n";
  text += html_table(section.rows);
  if (!section.closing.empty()) text += "<p>" + html_text(section.closing) + "</p>\n";
  if (section.detail) text += "</details>\n";
  return text;
}

std::string gates_html(const ReportRecord& report) {
  const Section gates = gate_section(report);
  if (gates.rows.empty()) return {};
  const bool passed = std::ranges::all_of(report.gates, &GateResult::ok);
  return fmt::format("<h2>Gates</h2>\n<p class=\"{}\">{}</p>\n{}", passed ? "ok" : "failed",
                     html_text(gates.closing), html_table(gates.rows));
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
  const std::string title = sections[0].title;
  sections[0].title.clear();
  std::string text = gates_html(report);
  text += section_html(sections[0]);
  text += charts(report);
  if (!trainings.empty()) {
    text += "<div class=\"charts\">\n";
    for (const Scatter& curve : trainings) text += scatter_chart(curve);
    text += "</div>\n";
  }
  for (const Candidate& candidate : report.candidates) text += histograms(candidate);
  for (size_t i = 1; i < sections.size(); ++i) text += section_html(sections[i]);
  return html_page(title, text);
}

}  // namespace qtool
