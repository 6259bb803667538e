// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "report/records.h"

namespace qtool {

namespace {

constexpr double kNoBound = std::numeric_limits<double>::infinity();

/// The member, or null where it is absent or null.
const Json* find(const Json& json, const char* key) {
  if (!json.is_object())
    throw input_error("expected an object, found " + std::string(json.type_name()));
  const auto found = json.find(key);
  return found == json.end() || found->is_null() ? nullptr : &*found;
}

Error wrong(const char* key, const Json& value, const std::string& expected) {
  return input_error("\"" + std::string(key) + "\" is " + value.dump(-1, ' ', true).substr(0, 60) +
                     ", expected " + expected);
}

template <class T>
T required(std::optional<T> value, const char* key) {
  if (!value) throw input_error("the key \"" + std::string(key) + "\" is missing");
  return std::move(*value);
}

std::optional<double> number(const Json& json, const char* key, double low = -kNoBound,
                             double high = kNoBound) {
  const Json* value = find(json, key);
  if (!value) return std::nullopt;
  if (!value->is_number()) throw wrong(key, *value, "a number");
  const auto result = value->get<double>();
  if (!std::isfinite(result) || result < low || result > high) {
    const std::string range = low > -kNoBound ? " >= " + Json(low).dump() : std::string();
    throw wrong(key, *value,
                "a finite number" + range +
                    (high < kNoBound ? " and <= " + Json(high).dump() : std::string()));
  }
  return result;
}

std::optional<double> fraction(const Json& json, const char* key) {
  return number(json, key, 0, 1);
}

std::optional<uint64_t> count(const Json& json, const char* key) {
  const Json* value = find(json, key);
  if (!value) return std::nullopt;
  if (!value->is_number_integer() || (!value->is_number_unsigned() && value->get<int64_t>() < 0)) {
    throw wrong(key, *value, "a whole number >= 0");
  }
  return value->get<uint64_t>();
}

std::optional<std::string> text(const Json& json, const char* key) {
  const Json* value = find(json, key);
  if (!value) return std::nullopt;
  if (!value->is_string()) throw wrong(key, *value, "a string");
  return value->get<std::string>();
}

bool flag(const Json& json, const char* key) {
  const Json* value = find(json, key);
  if (value && !value->is_boolean()) throw wrong(key, *value, "true or false");
  return value && value->get<bool>();
}

Json object(const Json& json, const char* key) {
  const Json* value = find(json, key);
  if (!value) return nullptr;
  if (!value->is_object()) throw wrong(key, *value, "an object");
  return *value;
}

/// read(item) for each item of the list, which may be absent, with its place in any error.
template <class Read>
auto list(const Json& json, const char* key, Read&& read) {
  std::vector<decltype(read(json))> result;
  const Json* items = find(json, key);
  if (!items) return result;
  if (!items->is_array()) throw wrong(key, *items, "a list");
  for (size_t i = 0; i < items->size(); ++i) {
    within_frame([&] { return std::string(key) + "[" + std::to_string(i) + "]"; },
                 [&] { result.push_back(read((*items)[i])); });
  }
  return result;
}

/// read(member) of a member that must be there, with its name in any error.
template <class Read>
auto part(const Json& json, const char* key, Read&& read) {
  const Json* value = find(json, key);
  if (!value) throw input_error("the key \"" + std::string(key) + "\" is missing");
  return within_frame([&] { return std::string(key); }, [&] { return read(*value); });
}

Accuracy metrics(const Json& json) {
  return {.top1 = fraction(json, "top1"),
          .top5 = fraction(json, "top5"),
          .nan_samples = count(json, "nan_samples").value_or(0)};
}

LatencySummary latency(const Json& json) {
  return {.median = required(number(json, "median", 0), "median"),
          .p10 = required(number(json, "p10", 0), "p10"),
          .p90 = required(number(json, "p90", 0), "p90")};
}

ModelFile model_file(const Json& json) {
  return {.file = required(text(json, "file"), "file"),
          .sha256 = text(json, "sha256").value_or(""),
          .bytes = required(count(json, "bytes"), "bytes")};
}

BenchConditions conditions(const Json& json) {
  const auto positive = [&](const char* key) {
    const uint64_t value = required(count(json, key), key);
    if (value < 1 || value > 1u << 24) throw wrong(key, json[key], "a number from 1 to 2^24");
    return static_cast<int64_t>(value);
  };
  return {.threads = positive("threads"),
          .batch = positive("batch"),
          .runner = text(json, "runner").value_or(""),
          .runs = count(json, "runs").value_or(0)};
}

Fidelity fidelity(const Json& json) {
  return {.exact = flag(json, "exact"),
          .sqnr_db = number(json, "sqnr_db"),
          .cosine = number(json, "cosine", -1, 1),
          .max_abs_error = number(json, "max_abs_error", 0),
          .mse = number(json, "mse", 0),
          .agreement = fraction(json, "agreement"),
          .nonfinite = count(json, "nonfinite").value_or(0)};
}

ReportedModel model(const Json& json) {
  ReportedModel result{.file = required(text(json, "file"), "file"),
                       .sha256 = text(json, "sha256").value_or(""),
                       .file_bytes = required(count(json, "file_bytes"), "file_bytes"),
                       .parameters = count(json, "parameters"),
                       .weight_bytes = {},
                       .latency_ms = std::nullopt,
                       .throughput = number(json, "throughput", 0),
                       .peak_rss_bytes = count(json, "peak_rss_bytes"),
                       .metrics = part(json, "metrics", metrics)};
  if (find(json, "latency_ms")) result.latency_ms = part(json, "latency_ms", latency);
  const Json weights = object(json, "weight_bytes");
  if (weights.is_object()) {
    for (const auto& [type, bytes] : weights.items()) {
      result.weight_bytes[type] = required(count(weights, type.c_str()), type.c_str());
    }
  }
  return result;
}

Delta delta(const Json& json) {
  Delta result{.top1 = number(json, "top1", -1, 1),
               .top5 = number(json, "top5", -1, 1),
               .size_ratio = number(json, "size_ratio", 0),
               .rss_ratio = number(json, "rss_ratio", 0),
               .speedup = number(json, "speedup", 0),
               .outcome = std::nullopt,
               .fidelity = fidelity(json)};
  if (const auto lost = count(json, "lost")) {
    result.outcome = PairedOutcome{*lost, required(count(json, "gained"), "gained")};
  }
  return result;
}

LayerHistogram histogram(const Json& json) {
  LayerHistogram result{.low = required(number(json, "low"), "low"),
                        .high = required(number(json, "high"), "high"),
                        .counts = {},
                        .range_low = required(number(json, "range_low"), "range_low"),
                        .range_high = required(number(json, "range_high"), "range_high")};
  const Json* counts = find(json, "counts");
  if (!counts || !counts->is_array()) throw input_error("\"counts\" is no list of numbers");
  for (const Json& each : *counts)
    result.counts.push_back(required(count(Json{{"counts", each}}, "counts"), "counts"));
  return result;
}

LayerError layer(const Json& json) {
  LayerError result{.tensor = required(text(json, "tensor"), "tensor"),
                    .node = text(json, "node").value_or(""),
                    .op = text(json, "op").value_or(""),
                    .exact = flag(json, "exact"),
                    .sqnr_db = number(json, "sqnr_db"),
                    .added_sqnr_db = number(json, "added_sqnr_db"),
                    .cosine = number(json, "cosine", -1, 1),
                    .max_abs_error = number(json, "max_abs_error", 0),
                    .saturated = fraction(json, "saturated")};
  if (find(json, "histogram")) result.histogram = part(json, "histogram", histogram);
  return result;
}

OutputFidelity output(const Json& json) {
  return {.name = required(text(json, "name"), "name"), .fidelity = fidelity(json)};
}

KeptFloat kept(const Json& json) {
  return {.node = required(text(json, "node"), "node"),
          .op = text(json, "op").value_or(""),
          .reason = required(text(json, "reason"), "reason")};
}

Candidate candidate(const Json& json) {
  return {.model = model(json),
          .delta = part(json, "delta", delta),
          .outputs = list(json, "outputs", output),
          .layers = list(json, "layers", layer),
          .kept_float = list(json, "kept_float", kept)};
}

GateResult gate(const Json& json) {
  if (!find(json, "ok")) throw input_error("the key \"ok\" is missing");
  return {.expr = required(text(json, "expr"), "expr"),
          .candidate = text(json, "candidate").value_or(""),
          .value = number(json, "value"),
          .ok = flag(json, "ok"),
          .why = text(json, "why").value_or("")};
}

Provenance provenance(const Json& json) {
  Provenance result;
  const Json versions = object(json, "versions");
  if (versions.is_object()) {
    for (const auto& [name, version] : versions.items()) {
      result.versions[name] = required(text(versions, name.c_str()), name.c_str());
    }
  }
  result.cpu = text(json, "cpu").value_or("");
  if (find(json, "options")) result.options = object(json, "options");
  return result;
}

}  // namespace

EvalRecord eval_from_json(const Json& json) {
  check_schema(json, "qtool.eval/1");
  return {.samples = required(count(json, "samples"), "samples"),
          .metrics = part(json, "metrics", metrics),
          .model = part(json, "model", model_file),
          .reference = text(json, "reference").value_or(""),
          .outputs = list(json, "outputs", output),
          .data = object(json, "data"),
          .preprocess = object(json, "preprocess")};
}

BenchRecord bench_from_json(const Json& json) {
  check_schema(json, "qtool.bench/1");
  return {.conditions = conditions(json),
          .latency_ms = part(json, "latency_ms", latency),
          .peak_rss_bytes = count(json, "peak_rss_bytes"),
          .throughput = number(json, "throughput", 0),
          .model = part(json, "model", model_file)};
}

ReportRecord report_from_json(const Json& json) {
  check_schema(json, "qtool.report/1");
  ReportRecord result{.reference = part(json, "float", model),
                      .candidates = list(json, "candidates", candidate),
                      .gates = list(json, "gates", gate),
                      .samples = count(json, "samples"),
                      .data = object(json, "data"),
                      .bench = std::nullopt,
                      .provenance = part(json, "provenance", provenance)};
  if (find(json, "bench")) result.bench = part(json, "bench", conditions);
  return result;
}

}  // namespace qtool
