// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "report/fidelity.h"
#include "report/latency.h"
#include "report/metrics.h"
#include "support/json.h"

namespace qtool {

// The three files that the measuring commands write. Shares are fractions from 0 to 1, times are
// milliseconds, sizes are bytes. What was not measured is absent, never zero. Keys are sorted,
// there are no dates, and strings that are not UTF-8 have their stray bytes written as \xNN.

/// Which model file a record is about; `file` without its folder.
struct ModelFile {
  std::string file;
  std::string sha256;
  uint64_t bytes = 0;
  friend bool operator==(const ModelFile&, const ModelFile&) = default;
};

struct OutputFidelity {
  std::string name;
  Fidelity fidelity;
  friend bool operator==(const OutputFidelity&, const OutputFidelity&) = default;
};

/// "qtool.eval/1": accuracy of one model.
struct EvalRecord {
  uint64_t samples = 0;
  Accuracy metrics;
  ModelFile model;
  std::string reference;                ///< what outputs were compared with; "": nothing
  std::vector<OutputFidelity> outputs;  ///< against it; the file's metrics have the worst of each
  Json data = nullptr;                  ///< provenance of the data set, an object; null: not told
  Json preprocess = nullptr;            ///< as it was applied, an object; null: none
  friend bool operator==(const EvalRecord&, const EvalRecord&) = default;
};

/// What latency was measured under.
struct BenchConditions {
  int64_t threads = 1;
  int64_t batch = 1;
  std::string runner;  ///< "onednn", "reference", "onnxruntime"
  uint64_t runs = 0;   ///< measured, without the warm-up
  friend bool operator==(const BenchConditions&, const BenchConditions&) = default;
};

/// "qtool.bench/1": speed and memory of one model.
struct BenchRecord {
  BenchConditions conditions;
  LatencySummary latency_ms;               ///< of one run, which is one batch
  std::optional<uint64_t> peak_rss_bytes;  ///< of the process that ran this model alone
  std::optional<double> throughput;        ///< samples a second
  ModelFile model;
  friend bool operator==(const BenchRecord&, const BenchRecord&) = default;
};

/// What the report says of every model, the float one included.
struct ReportedModel {
  std::string file;
  std::string sha256;
  uint64_t file_bytes = 0;
  std::optional<uint64_t> parameters;
  std::map<std::string, uint64_t> weight_bytes;  ///< by element type; empty: not told
  std::optional<LatencySummary> latency_ms;
  std::optional<double> throughput;  ///< samples a second
  std::optional<uint64_t> peak_rss_bytes;
  Accuracy metrics;
  friend bool operator==(const ReportedModel&, const ReportedModel&) = default;
};

/// A candidate against the float model.
struct Delta {
  std::optional<double> top1;  ///< candidate minus float, as a fraction
  std::optional<double> top5;
  std::optional<double> size_ratio;  ///< file bytes, candidate / float
  std::optional<double> rss_ratio;   ///< peak memory, candidate / float
  std::optional<double> speedup;     ///< median latency, float / candidate
  std::optional<PairedOutcome> outcome;
  Fidelity fidelity;  ///< worst over the outputs; the agreement is that of the first with classes
  friend bool operator==(const Delta&, const Delta&) = default;
};

/// How the float model's elements of a tensor are spread: counts of equal bins from low to high,
/// the end bins with all beyond; and what the codes represent of it.
struct LayerHistogram {
  double low = 0;
  double high = 0;
  std::vector<uint64_t> counts;
  double range_low = 0;
  double range_high = 0;
  friend bool operator==(const LayerHistogram&, const LayerHistogram&) = default;
};

/// One tensor of the candidate against the same tensor of the float model.
struct LayerError {
  std::string tensor;
  std::string node;  ///< that makes it, and its op
  std::string op;
  bool exact = false;
  std::optional<double> sqnr_db;        ///< as it arrives, errors of earlier layers included
  std::optional<double> added_sqnr_db;  ///< of this layer alone, fed with the float inputs
  std::optional<double> cosine;
  std::optional<double> max_abs_error;
  std::optional<double> saturated;  ///< share of the float elements beyond the quantized range
  std::optional<LayerHistogram> histogram = {};
  friend bool operator==(const LayerError&, const LayerError&) = default;
};

/// Why a layer is bad, see diagnosis.h.
struct Finding {
  std::string tensor;
  std::string cause;
  std::string advice;
  friend bool operator==(const Finding&, const Finding&) = default;
};

/// "qtool.compare/1": every tensor that a model shares with its quantized copy.
struct CompareRecord {
  ModelFile reference;  ///< "float" in the file
  ModelFile candidate;
  uint64_t samples = 0;
  std::vector<LayerError> layers;  ///< worst first
  std::vector<Finding> findings;
  Json data = nullptr;  ///< provenance of the data set, an object; null: not told
  Json preprocess = nullptr;
};
Json to_json(const CompareRecord& record);

struct KeptFloat {
  std::string node;
  std::string op;
  std::string reason;
  friend bool operator==(const KeptFloat&, const KeptFloat&) = default;
};

struct Candidate {
  ReportedModel model;
  Delta delta;
  std::vector<OutputFidelity> outputs;
  std::vector<LayerError> layers;
  std::vector<KeptFloat> kept_float;
  friend bool operator==(const Candidate&, const Candidate&) = default;
};

struct GateResult {
  std::string expr;  ///< as the user wrote it
  std::string candidate;
  std::optional<double> value;  ///< in the gate's unit (gates.h); absent: see why
  bool ok = false;
  std::string why;  ///< why there is no value, or no bound; else empty
  friend bool operator==(const GateResult&, const GateResult&) = default;
};

struct Provenance {
  std::map<std::string, std::string> versions;  ///< of qtool and of what it computes with
  std::string cpu;
  Json options = Json::object();  ///< that change a number of the report
  friend bool operator==(const Provenance&, const Provenance&) = default;
};

/// "qtool.report/1": the float model and its candidates side by side.
struct ReportRecord {
  ReportedModel reference;  ///< "float" in the file
  std::vector<Candidate> candidates;
  std::vector<GateResult> gates;
  std::optional<uint64_t> samples;       ///< that metrics and fidelity were taken on
  Json data = nullptr;                   ///< provenance of the data set, an object; null: none
  std::optional<BenchConditions> bench;  ///< that latencies were taken under
  Provenance provenance;
  friend bool operator==(const ReportRecord&, const ReportRecord&) = default;
};

/// Of several outputs the worst value of each measure; the agreement of the first with classes.
Fidelity worst_of(const std::vector<OutputFidelity>& outputs);

/// Fills every candidate's delta from what the models and the outputs say. An outcome that is set
/// already stays. Differences are rounded to 12 decimals, so that 0.9170 - 0.9173 is -0.0003.
void fill_deltas(ReportRecord& report);

Json to_json(const EvalRecord& record);
Json to_json(const BenchRecord& record);
Json to_json(const ReportRecord& record);

/// Errors (input): another schema, a missing key, a wrong type, a share outside of 0 to 1, a
/// negative count or time, more than one value of the same thing; each names the place in the file.
EvalRecord eval_from_json(const Json& json);
BenchRecord bench_from_json(const Json& json);
ReportRecord report_from_json(const Json& json);

}  // namespace qtool
