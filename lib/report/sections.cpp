// SPDX-License-Identifier: Apache-2.0
#include "report/sections.h"

#include <algorithm>

#include "report/compare.h"
#include "report/gates.h"
#include "report/number_text.h"
#include "report/side_by_side.h"
#include "support/text.h"

namespace qtool {

namespace {

using Row = std::vector<std::string>;

constexpr size_t kNameWidth = 32;
constexpr size_t kCandidatesAside = 2;  // more would not fit a terminal: they get a table below
constexpr size_t kWorstLayers = 10;
constexpr size_t kNamesPerReason = 6;
constexpr size_t kReasons = 20;

std::string title(const ReportRecord& report) {
  const std::string& reference = report.reference.file;
  if (report.candidates.size() == 1)
    return report.candidates[0].model.file + " against " + reference;
  return counted(report.candidates.size(), "candidate") + " against " + reference;
}

std::vector<std::string> conditions(const ReportRecord& report) {
  std::vector<std::string> notes;
  if (report.samples) {
    std::string text = "Accuracy and errors: " + counted(*report.samples, "sample");
    if (report.data.is_object() && report.data.value("kind", Json()) == "random") {
      text += " of RANDOM NUMBERS, which say nothing about real use";
    } else if (report.data.is_object() && report.data.contains("path") &&
               report.data["path"].is_string()) {
      text += " of " + report.data["path"].get<std::string>();
    }
    notes.push_back(text + '.');
  }
  if (report.bench) {
    const BenchConditions& bench = *report.bench;
    std::string text = "Latency: batch " + std::to_string(bench.batch) + ", " +
                       counted(static_cast<uint64_t>(bench.threads), "thread");
    if (!bench.runner.empty()) text += ", run by " + bench.runner;
    if (bench.runs > 0) text += ", " + counted(bench.runs, "run");
    if (!report.provenance.cpu.empty()) text += ", on " + report.provenance.cpu;
    notes.push_back(text + '.');
  }
  std::vector<std::string> versions;
  for (const auto& [name, version] : report.provenance.versions)
    versions.push_back(name + ' ' + version);
  if (!versions.empty()) notes.push_back("Versions: " + join(versions, ", ") + '.');
  return notes;
}

std::string output_sqnr(const Fidelity& fidelity) {
  if (fidelity.exact) return "exact";
  return fidelity.sqnr_db ? fmt::format("{:.1f}", *fidelity.sqnr_db) : "-";
}

Section outputs_section(const Candidate& candidate) {
  Section section{.title = "Outputs of " + candidate.model.file + " against those of float",
                  .notes = {},
                  .rows = {{"output", "SQNR, dB", "cosine", "largest error"}},
                  .closing = {},
                  .detail = true};
  for (const OutputFidelity& output : candidate.outputs) {
    const Fidelity& f = output.fidelity;
    section.rows.push_back({elided(output.name, 48), output_sqnr(f),
                            f.cosine ? fmt::format("{:.6f}", *f.cosine) : "-",
                            f.max_abs_error ? three_digits(*f.max_abs_error) : "-"});
  }
  return section;
}

void drop_empty_columns(Section& section) {
  for (size_t column = section.rows[0].size(); column-- > 0;) {
    const bool empty = std::all_of(section.rows.begin() + 1, section.rows.end(),
                                   [&](const Row& row) { return row[column] == "-"; });
    if (!empty) continue;
    for (Row& row : section.rows) row.erase(row.begin() + static_cast<std::ptrdiff_t>(column));
  }
}

}  // namespace

Section layers_section(const std::string& file, std::vector<LayerError> layers, size_t most) {
  const bool by_added = std::any_of(layers.begin(), layers.end(), [](const LayerError& layer) {
    return layer.added_sqnr_db.has_value();
  });
  sort_worst_first(layers);
  Section section{.title = "Worst layers of " + file,
                  .notes = {},
                  .rows = {{"tensor", "made by", "SQNR, dB", "own SQNR, dB", "cosine",
                            "largest error", "saturated"}},
                  .closing = {},
                  .detail = true};
  const size_t shown = std::min(layers.size(), most);
  section.notes.push_back(fmt::format(
      "{} of {} tensors, worst first by {}, each against the same tensor of the float model.",
      shown, layers.size(), by_added ? "the error that the layer itself adds (own SQNR)" : "SQNR"));
  for (size_t i = 0; i < shown; ++i) {
    const LayerError& layer = layers[i];
    const std::string made_by =
        layer.op + (layer.op.empty() || layer.node.empty() ? "" : " ") + layer.node;
    section.rows.push_back(
        {elided(layer.tensor, kNameWidth), made_by.empty() ? "-" : elided(made_by, kNameWidth),
         layer.exact     ? "exact"
         : layer.sqnr_db ? fmt::format("{:.1f}", *layer.sqnr_db)
                         : "-",
         layer.added_sqnr_db ? fmt::format("{:.1f}", *layer.added_sqnr_db) : "-",
         layer.cosine ? fmt::format("{:.6f}", *layer.cosine) : "-",
         layer.max_abs_error ? three_digits(*layer.max_abs_error) : "-", percent(layer.saturated)});
  }
  drop_empty_columns(section);
  return section;
}

namespace {

Section kept_section(const Candidate& candidate) {
  std::map<std::string, std::vector<std::string>> by_reason;
  for (const KeptFloat& kept : candidate.kept_float) {
    by_reason[kept.reason].push_back(kept.op + (kept.op.empty() ? "" : " ") +
                                     elided(kept.node, kNameWidth));
  }
  std::vector<std::pair<std::string, std::vector<std::string>>> groups(by_reason.begin(),
                                                                       by_reason.end());
  std::stable_sort(groups.begin(), groups.end(),
                   [](const auto& a, const auto& b) { return a.second.size() > b.second.size(); });
  Section section{.title = "Stayed float in " + candidate.model.file + ": " +
                           counted(candidate.kept_float.size(), "node"),
                  .notes = {},
                  .rows = {{"nodes", "why", "which"}},
                  .closing = {},
                  .detail = true};
  for (size_t i = 0; i < std::min(groups.size(), kReasons); ++i) {
    auto& [reason, names] = groups[i];
    const size_t count = names.size();
    if (count > kNamesPerReason) {
      names.resize(kNamesPerReason);
      names.push_back(fmt::format("and {} more", count - kNamesPerReason));
    }
    section.rows.push_back({std::to_string(count), reason, join(names, ", ")});
  }
  if (groups.size() > kReasons) {
    section.closing =
        fmt::format("{} more reasons are in the JSON report.", groups.size() - kReasons);
  }
  return section;
}

}  // namespace

std::vector<Section> report_sections(const ReportRecord& report) {
  std::vector<Section> sections;
  const std::span<const Candidate> all(report.candidates);
  size_t begin = 0;
  do {
    const size_t count = std::min(kCandidatesAside, all.size() - begin);
    sections.push_back(side_by_side(report.reference, all.subspan(begin, count)));
    begin += count;
  } while (begin < all.size());
  sections[0].title = title(report);
  sections[0].notes = conditions(report);
  for (const Candidate& candidate : all) {
    if (candidate.outputs.size() > 1) sections.push_back(outputs_section(candidate));
    if (!candidate.layers.empty())
      sections.push_back(layers_section(candidate.model.file, candidate.layers, kWorstLayers));
    if (!candidate.kept_float.empty()) sections.push_back(kept_section(candidate));
  }
  return sections;
}

Section gate_section(const ReportRecord& report) {
  Section section;
  if (report.gates.empty()) return section;
  const auto total = report.gates.size();
  const auto failed = static_cast<size_t>(std::count_if(
      report.gates.begin(), report.gates.end(), [](const GateResult& gate) { return !gate.ok; }));
  section.title = "Gates";
  section.closing = failed == 0 ? counted(total, "gate") + " passed."
                                : fmt::format("{} of {} FAILED.", failed, counted(total, "gate"));
  const bool several = report.candidates.size() > 1;
  section.rows.push_back({"result", "gate", "measured"});
  if (several) section.rows[0].push_back("candidate");
  for (const GateResult& gate : report.gates) {
    section.rows.push_back({gate.ok ? "ok" : "FAILED", gate.expr, gate_value_text(gate)});
    if (several) section.rows.back().push_back(elided(gate.candidate, kNameWidth));
  }
  return section;
}

}  // namespace qtool
