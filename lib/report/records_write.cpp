// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "report/escape.h"
#include "report/records.h"

namespace qtool {

namespace {

Json text(const std::string& value) { return valid_utf8(value); }

template <class T>
void put(Json& json, const char* key, const std::optional<T>& value) {
  if (!value) return;
  if constexpr (std::is_floating_point_v<T>) {
    QTOOL_CHECK(std::isfinite(*value), std::string("not a finite number: ") + key);
  }
  json[key] = *value;
}

void put_text(Json& json, const char* key, const std::string& value) {
  if (!value.empty()) json[key] = text(value);
}

/// valid_utf8() of every string inside: paths and names may be any bytes.
Json clean(const Json& value) {
  if (value.is_string()) return text(value.get_ref<const std::string&>());
  if (!value.is_structured()) return value;
  Json result = value.is_object() ? Json::object() : Json::array();
  for (const auto& [key, item] : value.items()) {
    if (value.is_object()) {
      result[valid_utf8(key)] = clean(item);
    } else {
      result.push_back(clean(item));
    }
  }
  return result;
}

void put_object(Json& json, const char* key, const Json& value) {
  if (!value.is_null()) json[key] = clean(value);
}

Json metrics_json(const Accuracy& metrics) {
  Json json = Json::object();
  put(json, "top1", metrics.top1);
  put(json, "top5", metrics.top5);
  if (metrics.nan_samples > 0) json["nan_samples"] = metrics.nan_samples;
  return json;
}

Json latency_json(const LatencySummary& latency) {
  return {{"median", latency.median}, {"p10", latency.p10}, {"p90", latency.p90}};
}

Json file_json(const ModelFile& model) {
  Json json{{"file", text(model.file)}, {"bytes", model.bytes}};
  put_text(json, "sha256", model.sha256);
  return json;
}

/// An exact tensor has an SQNR without bound, which JSON cannot say: null beside "exact": true.
void put_sqnr(Json& json, const std::optional<double>& sqnr_db, bool exact) {
  put(json, "sqnr_db", sqnr_db);
  if (!exact) return;
  json["exact"] = true;
  json["sqnr_db"] = nullptr;
}

void put_fidelity(Json& json, const Fidelity& fidelity) {
  put_sqnr(json, fidelity.sqnr_db, fidelity.exact);
  put(json, "cosine", fidelity.cosine);
  put(json, "max_abs_error", fidelity.max_abs_error);
  put(json, "mse", fidelity.mse);
  put(json, "agreement", fidelity.agreement);
  if (fidelity.nonfinite > 0) json["nonfinite"] = fidelity.nonfinite;
}

Json model_json(const ReportedModel& model) {
  Json json{{"file", text(model.file)},
            {"file_bytes", model.file_bytes},
            {"metrics", metrics_json(model.metrics)}};
  put_text(json, "sha256", model.sha256);
  put(json, "parameters", model.parameters);
  if (!model.weight_bytes.empty()) json["weight_bytes"] = model.weight_bytes;
  if (model.latency_ms) json["latency_ms"] = latency_json(*model.latency_ms);
  put(json, "throughput", model.throughput);
  put(json, "peak_rss_bytes", model.peak_rss_bytes);
  return json;
}

Json delta_json(const Delta& delta) {
  Json json = Json::object();
  put(json, "top1", delta.top1);
  put(json, "top5", delta.top5);
  put(json, "size_ratio", delta.size_ratio);
  put(json, "rss_ratio", delta.rss_ratio);
  put(json, "speedup", delta.speedup);
  if (delta.outcome) {
    json["lost"] = delta.outcome->lost;
    json["gained"] = delta.outcome->gained;
  }
  put_fidelity(json, delta.fidelity);
  return json;
}

Json layer_json(const LayerError& layer) {
  Json json{{"tensor", text(layer.tensor)}};
  put_text(json, "node", layer.node);
  put_text(json, "op", layer.op);
  put_sqnr(json, layer.sqnr_db, layer.exact);
  put(json, "added_sqnr_db", layer.added_sqnr_db);
  put(json, "cosine", layer.cosine);
  put(json, "max_abs_error", layer.max_abs_error);
  put(json, "saturated", layer.saturated);
  if (layer.histogram) {
    const LayerHistogram& h = *layer.histogram;
    json["histogram"] = {{"low", h.low},
                         {"high", h.high},
                         {"counts", h.counts},
                         {"range_low", h.range_low},
                         {"range_high", h.range_high}};
  }
  return json;
}

Json outputs_json(const std::vector<OutputFidelity>& outputs) {
  Json json = Json::array();
  for (const OutputFidelity& output : outputs) {
    Json entry{{"name", text(output.name)}};
    put_fidelity(entry, output.fidelity);
    json.push_back(std::move(entry));
  }
  return json;
}

Json candidate_json(const Candidate& candidate) {
  Json json = model_json(candidate.model);
  json["delta"] = delta_json(candidate.delta);
  json["layers"] = Json::array();
  for (const LayerError& layer : candidate.layers) json["layers"].push_back(layer_json(layer));
  if (!candidate.outputs.empty()) json["outputs"] = outputs_json(candidate.outputs);
  for (const KeptFloat& kept : candidate.kept_float) {
    Json entry{{"node", text(kept.node)}, {"reason", text(kept.reason)}};
    put_text(entry, "op", kept.op);
    json["kept_float"].push_back(std::move(entry));
  }
  return json;
}

Json gate_json(const GateResult& gate) {
  Json json{{"expr", text(gate.expr)}, {"ok", gate.ok}, {"value", nullptr}};
  put(json, "value", gate.value);
  put_text(json, "candidate", gate.candidate);
  put_text(json, "why", gate.why);
  return json;
}

void put_conditions(Json& json, const BenchConditions& conditions) {
  json["threads"] = conditions.threads;
  json["batch"] = conditions.batch;
  json["runs"] = conditions.runs;
  put_text(json, "runner", conditions.runner);
}

Json provenance_json(const Provenance& provenance) {
  Json json{{"options", clean(provenance.options)}, {"versions", Json::object()}};
  for (const auto& [name, version] : provenance.versions)
    json["versions"][valid_utf8(name)] = text(version);
  put_text(json, "cpu", provenance.cpu);
  return json;
}

}  // namespace

Json to_json(const EvalRecord& record) {
  Json json{{"schema", "qtool.eval/1"},
            {"samples", record.samples},
            {"metrics", metrics_json(record.metrics)},
            {"model", file_json(record.model)}};
  put_text(json, "reference", record.reference);
  if (!record.outputs.empty()) {
    put_fidelity(json["metrics"], worst_of(record.outputs));
    json["outputs"] = outputs_json(record.outputs);
  }
  put_object(json, "data", record.data);
  put_object(json, "preprocess", record.preprocess);
  return json;
}

Json to_json(const BenchRecord& record) {
  Json json{{"schema", "qtool.bench/1"},
            {"latency_ms", latency_json(record.latency_ms)},
            {"model", file_json(record.model)}};
  put_conditions(json, record.conditions);
  put(json, "peak_rss_bytes", record.peak_rss_bytes);
  put(json, "throughput", record.throughput);
  return json;
}

Json to_json(const CompareRecord& record) {
  Json json{{"schema", "qtool.compare/1"},
            {"float", file_json(record.reference)},
            {"candidate", file_json(record.candidate)},
            {"samples", record.samples},
            {"layers", Json::array()}};
  for (const LayerError& layer : record.layers) json["layers"].push_back(layer_json(layer));
  json["findings"] = Json::array();
  for (const Finding& finding : record.findings) {
    json["findings"].push_back(
        {{"tensor", finding.tensor}, {"cause", finding.cause}, {"advice", finding.advice}});
  }
  put_object(json, "data", record.data);
  put_object(json, "preprocess", record.preprocess);
  return json;
}

Json to_json(const ReportRecord& record) {
  Json json{{"schema", "qtool.report/1"},
            {"float", model_json(record.reference)},
            {"candidates", Json::array()},
            {"gates", Json::array()},
            {"provenance", provenance_json(record.provenance)}};
  for (const Candidate& candidate : record.candidates) {
    json["candidates"].push_back(candidate_json(candidate));
  }
  for (const GateResult& gate : record.gates) json["gates"].push_back(gate_json(gate));
  put(json, "samples", record.samples);
  put_object(json, "data", record.data);
  if (record.bench) put_conditions(json["bench"], *record.bench);
  return json;
}

}  // namespace qtool
