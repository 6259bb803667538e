// SPDX-License-Identifier: Apache-2.0
#include "report/records.h"

#include <algorithm>
#include <cmath>

namespace qtool {

namespace {

using Number = std::optional<double>;

Number difference(const Number& candidate, const Number& reference) {
  if (!candidate || !reference) return std::nullopt;
  const double rounded = std::round((*candidate - *reference) * 1e12) / 1e12;
  return rounded + 0.0;  // no negative zero
}

Number ratio(double numerator, double denominator) {
  if (!(denominator > 0)) return std::nullopt;
  return numerator / denominator;
}

enum class Worst { smallest, largest };

/// Over the outputs; absent as soon as one of them, other than an exact one, has none.
template <class Field>
Number worst(const std::vector<OutputFidelity>& outputs, Worst direction, Field field) {
  Number result;
  for (const OutputFidelity& output : outputs) {
    const Number value = output.fidelity.*field;
    if (!value && output.fidelity.exact) continue;
    if (!value) return std::nullopt;
    if (!result || (direction == Worst::smallest ? *value < *result : *value > *result)) {
      result = value;
    }
  }
  return result;
}

}  // namespace

Fidelity worst_of(const std::vector<OutputFidelity>& outputs) {
  Fidelity result;
  if (outputs.empty()) return result;
  result.exact = std::all_of(outputs.begin(), outputs.end(),
                             [](const OutputFidelity& output) { return output.fidelity.exact; });
  result.sqnr_db = worst(outputs, Worst::smallest, &Fidelity::sqnr_db);
  result.cosine = worst(outputs, Worst::smallest, &Fidelity::cosine);
  result.max_abs_error = worst(outputs, Worst::largest, &Fidelity::max_abs_error);
  result.mse = worst(outputs, Worst::largest, &Fidelity::mse);
  for (const OutputFidelity& output : outputs) {
    if (!result.agreement) result.agreement = output.fidelity.agreement;
    result.nonfinite += output.fidelity.nonfinite;
  }
  return result;
}

void fill_deltas(ReportRecord& report) {
  const ReportedModel& reference = report.reference;
  for (Candidate& candidate : report.candidates) {
    const ReportedModel& model = candidate.model;
    Delta& delta = candidate.delta;
    delta.top1 = difference(model.metrics.top1, reference.metrics.top1);
    delta.top5 = difference(model.metrics.top5, reference.metrics.top5);
    delta.size_ratio =
        ratio(static_cast<double>(model.file_bytes), static_cast<double>(reference.file_bytes));
    delta.rss_ratio.reset();
    if (model.peak_rss_bytes && reference.peak_rss_bytes) {
      delta.rss_ratio = ratio(static_cast<double>(*model.peak_rss_bytes),
                              static_cast<double>(*reference.peak_rss_bytes));
    }
    delta.speedup.reset();
    if (model.latency_ms && reference.latency_ms) {
      delta.speedup = ratio(reference.latency_ms->median, model.latency_ms->median);
    }
    delta.fidelity = worst_of(candidate.outputs);
  }
}

}  // namespace qtool
