// SPDX-License-Identifier: Apache-2.0
#include "report/measures.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace qtool {

namespace {

constexpr double kUnbounded = std::numeric_limits<double>::infinity();

std::optional<double> points_lost(const std::optional<double>& delta) {
  if (!delta) return std::nullopt;
  // 9 decimals: a limit of 1.0 points must hold for 0.9073 against 0.9173.
  return std::round(-*delta * 100 * 1e9) / 1e9 + 0.0;
}

std::optional<double> real(const std::optional<uint64_t>& count) {
  if (!count) return std::nullopt;
  return static_cast<double>(*count);
}

constexpr std::string_view kLabels = "labelled data and an output with one score a class";
constexpr std::string_view kBothLabels = "the accuracy of both models";
constexpr std::string_view kBench = "a latency measurement";
constexpr std::string_view kOutputs = "outputs of both models for the same samples";

const std::array kMeasures{
    Measure{"top1", Unit::fraction, "share of samples whose best class is right", kLabels,
            [](const Candidate& c) { return c.model.metrics.top1; }},
    Measure{"top5", Unit::fraction, "share of samples with the right class among the best five",
            kLabels, [](const Candidate& c) { return c.model.metrics.top5; }},
    Measure{"top1_drop", Unit::points, "top-1 of float minus candidate, in percentage points",
            kBothLabels, [](const Candidate& c) { return points_lost(c.delta.top1); }},
    Measure{"top5_drop", Unit::points, "top-5 of float minus candidate, in percentage points",
            kBothLabels, [](const Candidate& c) { return points_lost(c.delta.top5); }},
    Measure{"agreement", Unit::fraction, "share of samples with the same best class as float",
            kOutputs, [](const Candidate& c) { return c.delta.fidelity.agreement; }},
    Measure{"sqnr_db", Unit::decibel, "signal to quantization noise of the outputs, in dB",
            kOutputs,
            [](const Candidate& c) {
              const Fidelity& f = c.delta.fidelity;
              return f.exact ? std::optional(kUnbounded) : f.sqnr_db;
            }},
    Measure{"cosine", Unit::plain, "cosine of the outputs with those of float", kOutputs,
            [](const Candidate& c) { return c.delta.fidelity.cosine; }},
    Measure{"max_abs_error", Unit::plain, "largest difference of an output element", kOutputs,
            [](const Candidate& c) { return c.delta.fidelity.max_abs_error; }},
    Measure{"mse", Unit::plain, "mean squared difference of the outputs", kOutputs,
            [](const Candidate& c) { return c.delta.fidelity.mse; }},
    Measure{"size_ratio", Unit::ratio, "file size, candidate / float", "both files",
            [](const Candidate& c) { return c.delta.size_ratio; }},
    Measure{"file_bytes", Unit::bytes, "file size of the candidate", "the file",
            [](const Candidate& c) { return real(c.model.file_bytes); }},
    Measure{"speedup", Unit::ratio, "median latency, float / candidate",
            "the latency of both models", [](const Candidate& c) { return c.delta.speedup; }},
    Measure{"latency_ms", Unit::milliseconds, "median latency of the candidate", kBench,
            [](const Candidate& c) {
              const auto& latency = c.model.latency_ms;
              return latency ? std::optional(latency->median) : std::nullopt;
            }},
    Measure{"latency_p90_ms", Unit::milliseconds, "latency that 90 % of the runs stay below",
            kBench,
            [](const Candidate& c) {
              const auto& latency = c.model.latency_ms;
              return latency ? std::optional(latency->p90) : std::nullopt;
            }},
    Measure{"throughput", Unit::per_second, "samples a second of the candidate", kBench,
            [](const Candidate& c) { return c.model.throughput; }},
    Measure{"peak_rss_bytes", Unit::bytes, "peak memory of a process that runs the candidate",
            "a memory measurement",
            [](const Candidate& c) { return real(c.model.peak_rss_bytes); }},
    Measure{"rss_ratio", Unit::ratio, "peak memory, candidate / float",
            "the peak memory of both models", [](const Candidate& c) { return c.delta.rss_ratio; }},
};

}  // namespace

std::span<const Measure> measures() { return kMeasures; }

const Measure* find_measure(std::string_view name) {
  const auto found = std::find_if(kMeasures.begin(), kMeasures.end(),
                                  [&](const Measure& measure) { return measure.name == name; });
  return found == kMeasures.end() ? nullptr : &*found;
}

std::string reason_absent(const Measure& measure, const Candidate& candidate) {
  const uint64_t nonfinite = candidate.delta.fidelity.nonfinite;
  if (measure.needs == kOutputs && !candidate.outputs.empty()) {
    if (measure.name == "agreement") return "undefined: no output has one score a class";
    if (nonfinite > 0) {
      return fmt::format("{} output elements are NaN or infinite in one model only", nonfinite);
    }
    return "undefined: the outputs of one of the models are zero everywhere, or there are none";
  }
  return "not measured: it needs " + std::string(measure.needs);
}

std::string in_unit(Unit unit, const std::string& number) {
  switch (unit) {
    case Unit::fraction: return number + " %";
    case Unit::points: return number + " points";
    case Unit::ratio: return number + "x";
    case Unit::decibel: return number + " dB";
    case Unit::milliseconds: return number + " ms";
    case Unit::bytes: return number + " B";
    case Unit::per_second: return number + " samples/s";
    case Unit::plain: return number;
  }
  return number;
}

}  // namespace qtool
