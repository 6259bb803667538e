// SPDX-License-Identifier: Apache-2.0
#include "rounding/sensitivity.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "exec/session_runner.h"
#include "ops/op_def.h"
#include "quant/names.h"
#include "report/metrics.h"
#include "support/text.h"

namespace qtool {

namespace {

bool is_weight(const Graph& graph, const Placement& placement) {
  if (placement.kind != Placement::Kind::constant || placement.uses.empty()) return false;
  const Use& use = placement.uses[0];
  const OpDef* def = builtin_ops().find(graph.node(use.node), graph.model);
  if (def == nullptr || def->quant.inputs.empty()) return false;
  const auto& rules = def->quant.inputs;
  return rules[std::min(static_cast<size_t>(use.slot), rules.size() - 1)].role ==
         OperandRole::weight;
}

/// The float graph with one layer's weights on the plan's grid, its bias shifted as the plan says.
Graph rounded(const Graph& graph, const QuantPlan& plan, const LayerSensitivity& layer) {
  Graph result = graph;
  const std::set<std::string> nodes(layer.nodes.begin(), layer.nodes.end());
  for (const Placement& placement : plan.placements) {
    if (!is_weight(graph, placement)) continue;
    if (!nodes.contains(own_name(graph, placement.uses[0].node))) continue;
    result.set_constant(placement.value, make_constant(fake_quantize(
                                             *graph.constant(placement.value), placement.params)));
  }
  for (const BiasPlacement& bias : plan.biases) {
    if (bias.shift.empty() || !nodes.contains(own_name(graph, bias.use.node))) continue;
    Tensor shifted = graph.constant(bias.value)->clone();
    for (size_t i = 0; i < bias.shift.size(); ++i) shifted.data<float>()[i] += bias.shift[i];
    result.set_constant(bias.value, make_constant(std::move(shifted)));
  }
  return result;
}

/// log of probabilities, of logits or of probabilities.
std::vector<double> log_shares(std::span<const float> scores, bool probabilities) {
  std::vector<double> logs(scores.begin(), scores.end());
  if (probabilities) {
    for (double& x : logs) x = std::log(std::max(x, 1e-12));
    return logs;
  }
  const double most = *std::ranges::max_element(logs);
  double sum = 0;
  for (const double x : logs) sum += std::exp(x - most);
  for (double& x : logs) x -= most + std::log(sum);
  return logs;
}

bool are_shares(std::span<const float> scores) {
  double sum = 0;
  for (const float x : scores) {
    if (!(x >= 0)) return false;
    sum += static_cast<double>(x);
  }
  return std::abs(sum - 1) < 1e-3;
}

/// Sums over batches; outputs by name.
struct Errors {
  struct Output {
    double square = 0;
    double power = 0;
  };
  std::map<std::string, Output> outputs;
  uint64_t elements = 0;
  double divergence = 0;
  uint64_t with_classes = 0;

  void add(const TensorMap& wanted, const TensorMap& found) {
    for (const auto& [name, reference] : wanted) {
      if (reference.dtype() != DType::float32) continue;
      Output& output = outputs[name];
      const auto r = reference.data<float>();
      const auto q = found.at(name).data<float>();
      for (size_t i = 0; i < r.size(); ++i) {
        const double difference = static_cast<double>(q[i]) - static_cast<double>(r[i]);
        output.square += difference * difference;
        output.power += static_cast<double>(r[i]) * static_cast<double>(r[i]);
      }
      elements += r.size();
      diverge(reference, found.at(name));
    }
  }

  WidthError result() const {
    WidthError error;
    double noise = 0;
    double squares = 0;
    for (const auto& [name, output] : outputs) {
      noise += output.square / std::max(output.power, 1e-30);
      squares += output.square;
    }
    error.noise = noise / static_cast<double>(std::max<size_t>(outputs.size(), 1));
    error.mse = squares / static_cast<double>(std::max<uint64_t>(elements, 1));
    if (with_classes > 0) error.kl = divergence / static_cast<double>(with_classes);
    return error;
  }

 private:
  void diverge(const Tensor& reference, const Tensor& other) {
    const auto rows = class_rows(reference.shape());
    if (!rows) return;
    const auto classes = static_cast<size_t>(rows->classes);
    for (size_t s = 0; s < static_cast<size_t>(rows->samples); ++s) {
      const auto from = reference.data<float>().subspan(s * classes, classes);
      const bool shares = are_shares(from);
      const std::vector<double> p = log_shares(from, shares);
      const std::vector<double> q =
          log_shares(other.data<float>().subspan(s * classes, classes), shares);
      for (size_t c = 0; c < classes; ++c) divergence += std::exp(p[c]) * (p[c] - q[c]);
      ++with_classes;
    }
  }
};

std::vector<TensorMap> outputs_of(Graph graph, const std::vector<TensorMap>& batches) {
  const auto runner = open_session(std::make_shared<const Graph>(std::move(graph)), builtin_ops());
  std::vector<TensorMap> outputs;
  for (const TensorMap& batch : batches) outputs.push_back(runner->run(batch));
  return outputs;
}

Json to_json(const WidthError& error) {
  Json json = Json::object();
  if (error.noise) json["noise"] = *error.noise;
  if (error.noise && *error.noise > 0) json["sqnr_db"] = -10 * std::log10(*error.noise);
  if (error.mse) json["mse"] = *error.mse;
  if (error.kl) json["kl"] = *error.kl;
  if (error.taylor) json["taylor"] = *error.taylor;
  return json;
}

WidthError width_error(const Json& json) {
  WidthError error;
  const auto read = [&](const char* key, std::optional<double>& to) {
    if (!json.contains(key)) return;
    to = member<double>(json, key);
    if (!std::isfinite(*to) || *to < -1e-6)
      throw input_error(std::string(key) + " of a width is no error");
  };
  read("noise", error.noise);
  read("mse", error.mse);
  read("kl", error.kl);
  read("taylor", error.taylor);
  return error;
}

}  // namespace

std::vector<LayerSensitivity> sensitive_layers(const Graph& graph, const QuantPlan& plan) {
  std::vector<std::pair<size_t, const Placement*>> order;
  const std::vector<NodeId> nodes = graph.topological_order();
  for (const Placement& placement : plan.placements) {
    if (!is_weight(graph, placement)) continue;
    const auto at = std::ranges::find(nodes, placement.uses[0].node) - nodes.begin();
    order.emplace_back(static_cast<size_t>(at), &placement);
  }
  std::ranges::stable_sort(order, {}, [](const auto& entry) { return entry.first; });
  std::vector<LayerSensitivity> layers;
  std::map<ValueId, size_t> seen;
  for (const auto& [at, placement] : order) {
    const auto [known, fresh] = seen.emplace(placement->value, layers.size());
    if (fresh) {
      layers.emplace_back();
      layers.back().weights = static_cast<uint64_t>(graph.constant(placement->value)->size());
    }
    for (const Use& use : placement->uses)
      layers[known->second].nodes.push_back(own_name(graph, use.node));
  }
  return layers;
}

void measure_sensitivity(const SensitivityTask& task, std::vector<LayerSensitivity>& layers,
                         const std::function<void()>& measured) {
  if (task.batches.empty()) throw input_error("there are no samples to measure layers with");
  std::optional<std::vector<TensorMap>> wanted;
  for (LayerSensitivity& layer : layers) {
    bool any = false;
    for (const auto& [bits, plan] : task.plans) {
      WidthError& error = layer.widths[bits];
      if (error.noise) continue;
      any = true;
      if (!wanted) wanted = outputs_of(task.graph, task.batches);
      const auto found = outputs_of(rounded(task.graph, plan, layer), task.batches);
      Errors sums;
      for (size_t b = 0; b < found.size(); ++b) sums.add((*wanted)[b], found[b]);
      const std::optional<double> taylor = error.taylor;
      error = sums.result();
      error.taylor = taylor;
    }
    if (measured && any) measured();
  }
}

SensitivityMetric parse_sensitivity_metric(const std::string& text) {
  if (text == "sqnr" || text == "mse") return SensitivityMetric::noise;
  if (text == "kl") return SensitivityMetric::kl;
  if (text == "taylor") return SensitivityMetric::taylor;
  throw usage_error("there is no sensitivity \"" + text + '"', "It is sqnr, mse, kl or taylor.");
}

Json to_json(const Sensitivity& sensitivity) {
  Json layers = Json::array();
  for (const LayerSensitivity& layer : sensitivity.layers) {
    Json widths = Json::object();
    for (const auto& [bits, error] : layer.widths) widths[std::to_string(bits)] = to_json(error);
    layers.push_back({{"nodes", layer.nodes}, {"weights", layer.weights}, {"widths", widths}});
  }
  return {{"schema", "qtool.sensitivity/1"},
          {"model_sha256", sensitivity.model_sha256},
          {"setting", sensitivity.setting},
          {"data", sensitivity.data},
          {"preprocessing", sensitivity.preprocessing},
          {"samples", sensitivity.samples},
          {"layers", std::move(layers)}};
}

Sensitivity sensitivity_from_json(const Json& json) {
  check_schema(json, "qtool.sensitivity/1");
  Sensitivity result;
  result.model_sha256 = member<std::string>(json, "model_sha256");
  result.setting = member<std::string>(json, "setting");
  result.data = member<Json>(json, "data");
  result.preprocessing = member<Json>(json, "preprocessing");
  result.samples = member<uint64_t>(json, "samples");
  const Json layers = member<Json>(json, "layers");
  if (!layers.is_array()) throw input_error("layers are a list");
  for (const Json& entry : layers) {
    LayerSensitivity layer;
    layer.nodes = member<std::vector<std::string>>(entry, "nodes");
    layer.weights = member<uint64_t>(entry, "weights");
    const Json widths = member<Json>(entry, "widths");
    for (const auto& [bits, error] : widths.items()) {
      if (bits.size() != 1 || bits[0] < '2' || bits[0] > '8')
        throw input_error("a width of \"" + bits.substr(0, 20) + "\" bits", "It is 2 to 8.");
      layer.widths[bits[0] - '0'] = width_error(error);
    }
    result.layers.push_back(std::move(layer));
  }
  return result;
}

}  // namespace qtool
