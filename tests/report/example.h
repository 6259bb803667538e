// SPDX-License-Identifier: Apache-2.0
// One report for several tests: resnet20 in round numbers.
#pragma once

#include "report/gates.h"
#include "report/records.h"

namespace qtool::test {

inline Candidate example_candidate() {
  Candidate candidate;
  candidate.model = {
      .file = "resnet20.int8.onnx",
      .sha256 = std::string(64, 'b'),
      .file_bytes = 300'000,
      .parameters = 275'000,
      .weight_bytes = {{"int8", 270'000}, {"int32", 4'000}, {"float", 3'000}, {"uint8", 60}},
      .latency_ms = LatencySummary{.median = 0.5, .p10 = 0.48, .p90 = 0.62},
      .throughput = 2000,
      .peak_rss_bytes = 24'000'000,
      .metrics = {.top1 = 0.9170, .top5 = 0.9975, .nan_samples = 0}};
  candidate.delta.outcome = PairedOutcome{.lost = 14, .gained = 11};
  Fidelity fidelity;
  fidelity.sqnr_db = 29.6;
  fidelity.cosine = 0.9995;
  fidelity.max_abs_error = 0.75;
  fidelity.mse = 0.0125;
  fidelity.agreement = 0.993;
  candidate.outputs = {{"logits", fidelity}};
  candidate.layers = {{.tensor = "conv1_out",
                       .node = "conv1",
                       .op = "Conv",
                       .exact = false,
                       .sqnr_db = 41.0,
                       .added_sqnr_db = 41.0,
                       .cosine = 0.99996,
                       .max_abs_error = 0.02,
                       .saturated = 0.0},
                      {.tensor = "conv9_out",
                       .node = "conv9",
                       .op = "Conv",
                       .exact = false,
                       .sqnr_db = 27.25,
                       .added_sqnr_db = 33.5,
                       .cosine = 0.9991,
                       .max_abs_error = 0.4,
                       .saturated = 0.0125,
                       .histogram = LayerHistogram{-1, 3, {0, 7, 90, 1}, 0, 2}},
                      {.tensor = "pool_out",
                       .node = "pool",
                       .op = "MaxPool",
                       .exact = true,
                       .sqnr_db = {},
                       .added_sqnr_db = {},
                       .cosine = 1.0,
                       .max_abs_error = 0.0,
                       .saturated = {}}};
  candidate.kept_float = {{"softmax", "Softmax", "the target runs it in float"},
                          {"nms", "NonMaxSuppression", "no rule to quantize it"},
                          {"prob", "Softmax", "the target runs it in float"}};
  return candidate;
}

/// Deltas are filled, gates are not.
inline ReportRecord example_report() {
  ReportRecord report;
  report.reference = {.file = "resnet20.onnx",
                      .sha256 = std::string(64, 'a'),
                      .file_bytes = 1'200'000,
                      .parameters = 270'000,
                      .weight_bytes = {{"float", 1'080'000}},
                      .latency_ms = LatencySummary{.median = 2.0, .p10 = 1.9, .p90 = 2.5},
                      .throughput = 500,
                      .peak_rss_bytes = 30'000'000,
                      .metrics = {.top1 = 0.9173, .top5 = 0.9975, .nan_samples = 0}};
  report.candidates = {example_candidate()};
  report.samples = 10'000;
  report.data = {{"kind", "cifar"}, {"path", "cifar-10-batches-bin"}, {"samples", 10'000}};
  report.bench = BenchConditions{.threads = 1, .batch = 1, .runner = "onednn", .runs = 100};
  report.provenance = {.versions = {{"qtool", "0.1.0"}, {"onednn", "2.6.3"}},
                       .cpu = "AMD EPYC",
                       .options = {{"seed", 0}}};
  fill_deltas(report);
  return report;
}

inline std::vector<Gate> gates_of(std::initializer_list<const char*> expressions) {
  std::vector<Gate> gates;
  for (const char* expression : expressions) gates.push_back(parse_gate(expression));
  return gates;
}

}  // namespace qtool::test
