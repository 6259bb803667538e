// SPDX-License-Identifier: Apache-2.0
#include "report/side_by_side.h"

#include <algorithm>
#include <set>

#include "report/number_text.h"
#include "support/text.h"

namespace qtool {

namespace {

using Row = std::vector<std::string>;

constexpr size_t kHeadingWidth = 26;

/// One quantity of every model, "-" where it is not known, and beside each candidate's its distance
/// to the float model. A quantity that no model has gets no row.
template <class Value, class Against>
void add_row(Section& section, const std::string& label, const ReportedModel& reference,
             std::span<const Candidate> candidates, Value&& value, Against&& against) {
  Row row{label, value(reference)};
  bool any = row[1] != "-";
  for (const Candidate& candidate : candidates) {
    row.push_back(value(candidate.model));
    any = any || row.back() != "-";
    row.push_back(against(candidate));
  }
  if (any) section.rows.push_back(std::move(row));
}

/// A quantity that only exists between a candidate and the float model.
template <class Against>
void add_distance_row(Section& section, const std::string& label,
                      std::span<const Candidate> candidates, Against&& against) {
  Row row{label, ""};
  bool any = false;
  for (const Candidate& candidate : candidates) {
    row.push_back("");
    row.push_back(against(candidate));
    any = any || row.back() != "-";
  }
  if (any) section.rows.push_back(std::move(row));
}

std::string nothing(const Candidate&) { return {}; }

uint64_t total_weights(const ReportedModel& model) {
  uint64_t total = 0;
  for (const auto& [type, bytes] : model.weight_bytes) total += bytes;
  return total;
}

/// Weights in all, then by element type; types below 1 % of every model are summed up.
void add_weight_rows(Section& section, const ReportedModel& reference,
                     std::span<const Candidate> candidates) {
  add_row(
      section, "weights", reference, candidates,
      [](const ReportedModel& m) {
        return m.weight_bytes.empty() ? "-" : human_bytes(total_weights(m));
      },
      [&](const Candidate& c) {
        const uint64_t before = total_weights(reference);
        const uint64_t after = total_weights(c.model);
        if (before == 0 || after == 0) return std::string();
        return size_change(static_cast<double>(after) / static_cast<double>(before));
      });
  std::set<std::string> large;
  const auto note_large = [&](const ReportedModel& model) {
    for (const auto& [type, bytes] : model.weight_bytes) {
      if (bytes >= total_weights(model) / 100 && bytes > 0) large.insert(type);
    }
  };
  note_large(reference);
  for (const Candidate& candidate : candidates) note_large(candidate.model);
  if (large.size() < 2) return;
  for (const std::string& type : large) {
    add_row(
        section, "  as " + type, reference, candidates,
        [&](const ReportedModel& model) {
          const auto found = model.weight_bytes.find(type);
          return found == model.weight_bytes.end() ? "-" : human_bytes(found->second);
        },
        nothing);
  }
  add_row(
      section, "  as others", reference, candidates,
      [&](const ReportedModel& model) {
        uint64_t rest = 0;
        for (const auto& [type, bytes] : model.weight_bytes) {
          if (!large.contains(type)) rest += bytes;
        }
        return rest == 0 ? "-" : human_bytes(rest);
      },
      nothing);
}

void add_accuracy_rows(Section& section, const ReportedModel& reference,
                       std::span<const Candidate> candidates) {
  add_row(
      section, "top-1", reference, candidates,
      [](const ReportedModel& m) { return percent(m.metrics.top1); },
      [](const Candidate& c) { return c.delta.top1 ? points(*c.delta.top1) : std::string(); });
  add_distance_row(section, "  lost, gained", candidates, [](const Candidate& c) {
    const auto& outcome = c.delta.outcome;
    return outcome ? grouped(outcome->lost) + ", " + grouped(outcome->gained) : "-";
  });
  add_row(
      section, "top-5", reference, candidates,
      [](const ReportedModel& m) { return percent(m.metrics.top5); },
      [](const Candidate& c) { return c.delta.top5 ? points(*c.delta.top5) : std::string(); });
  add_row(
      section, "samples with NaN", reference, candidates,
      [](const ReportedModel& m) {
        return m.metrics.nan_samples == 0 ? "-" : grouped(m.metrics.nan_samples);
      },
      nothing);
}

void add_fidelity_rows(Section& section, std::span<const Candidate> candidates) {
  const auto of = [&](const std::string& label, auto&& text) {
    add_distance_row(section, label, candidates,
                     [&](const Candidate& c) { return text(c.delta.fidelity); });
  };
  of("same top-1", [](const Fidelity& f) { return percent(f.agreement); });
  of("output SQNR", [](const Fidelity& f) {
    if (f.exact) return std::string("exact");
    return f.sqnr_db ? fmt::format("{:.1f} dB", *f.sqnr_db) : "-";
  });
  of("largest error",
     [](const Fidelity& f) { return f.max_abs_error ? three_digits(*f.max_abs_error) : "-"; });
  of("NaN, infinities",
     [](const Fidelity& f) { return f.nonfinite == 0 ? "-" : grouped(f.nonfinite); });
}

void add_speed_rows(Section& section, const ReportedModel& reference,
                    std::span<const Candidate> candidates) {
  add_row(
      section, "latency, median", reference, candidates,
      [](const ReportedModel& m) {
        return m.latency_ms ? three_digits(m.latency_ms->median) + " ms" : "-";
      },
      [](const Candidate& c) {
        return c.delta.speedup ? speed_change(*c.delta.speedup) : std::string();
      });
  add_row(
      section, "  p10 to p90", reference, candidates,
      [](const ReportedModel& m) {
        if (!m.latency_ms) return std::string("-");
        return three_digits(m.latency_ms->p10) + " to " + three_digits(m.latency_ms->p90) + " ms";
      },
      nothing);
  add_row(
      section, "throughput", reference, candidates,
      [](const ReportedModel& m) {
        return m.throughput ? three_digits(*m.throughput) + " samples/s" : "-";
      },
      [&](const Candidate& c) {
        if (!c.model.throughput || reference.throughput.value_or(0) <= 0) return std::string();
        return three_digits(*c.model.throughput / *reference.throughput) + "x";
      });
  add_row(
      section, "peak memory", reference, candidates,
      [](const ReportedModel& m) {
        return m.peak_rss_bytes ? human_bytes(*m.peak_rss_bytes) : "-";
      },
      [](const Candidate& c) {
        return c.delta.rss_ratio ? size_change(*c.delta.rss_ratio) : std::string();
      });
}

}  // namespace

Section side_by_side(const ReportedModel& reference, std::span<const Candidate> candidates) {
  Section section;
  Row heading{"", elided(reference.file, kHeadingWidth) + " (float)"};
  for (const Candidate& candidate : candidates) {
    heading.push_back(elided(candidate.model.file, kHeadingWidth));
    heading.push_back("against float");
  }
  section.rows.push_back(std::move(heading));
  add_row(
      section, "file size", reference, candidates,
      [](const ReportedModel& m) { return human_bytes(m.file_bytes); },
      [](const Candidate& c) {
        return c.delta.size_ratio ? size_change(*c.delta.size_ratio) : std::string();
      });
  add_weight_rows(section, reference, candidates);
  add_accuracy_rows(section, reference, candidates);
  add_fidelity_rows(section, candidates);
  add_speed_rows(section, reference, candidates);
  return section;
}

}  // namespace qtool
