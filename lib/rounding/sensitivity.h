// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "quant/plan.h"
#include "support/json.h"
#include "tensor/tensor.h"

namespace qtool {

/// What a model's outputs lose when one layer's weights alone are rounded to a width.
struct WidthError {
  std::optional<double> noise;   ///< squared error over power, the mean over the outputs
  std::optional<double> mse;     ///< mean squared error over all outputs' elements
  std::optional<double> kl;      ///< Kullback-Leibler divergence a sample; of classifiers only
  std::optional<double> taylor;  ///< `noise` as foreseen by gradients, see taylor_scores
  friend bool operator==(const WidthError&, const WidthError&) = default;
};

/// A weight and the nodes that read it.
struct LayerSensitivity {
  std::vector<std::string> nodes;  ///< by name, see own_name
  uint64_t weights = 0;            ///< elements
  std::map<int, WidthError> widths;
  friend bool operator==(const LayerSensitivity&, const LayerSensitivity&) = default;
};

/// Sensitivities as a file, JSON of the schema "qtool.sensitivity/1": bound to model and samples.
struct Sensitivity {
  std::string model_sha256;
  std::string setting;  ///< what else it depends on: target, kind of scales
  Json data = Json::object();
  Json preprocessing = Json::object();
  uint64_t samples = 0;
  std::vector<LayerSensitivity> layers;
};
Json to_json(const Sensitivity& sensitivity);
Sensitivity sensitivity_from_json(const Json& json);  ///< Errors (input): as of plan_from_json

/// Which quantity of a WidthError a search adds up.
enum class SensitivityMetric { noise, kl, taylor };
/// "sqnr" (or "mse", which orders alike), "kl", "taylor". Errors (usage): another word.
SensitivityMetric parse_sensitivity_metric(const std::string& text);

/// Of a float graph: the weights that a plan quantizes, in the order of the nodes, without errors.
std::vector<LayerSensitivity> sensitive_layers(const Graph& graph, const QuantPlan& plan);

/// What is measured with: a float graph, samples, and for each width a plan in which all layers
/// have it; biases are shifted as these plans say.
struct SensitivityTask {
  const Graph& graph;
  const std::vector<TensorMap>& batches;
  const std::map<int, QuantPlan>& plans;
};

/// Fills in what `layers` lack: runs the model once a layer and width with only that weight
/// rounded. `measured` is called after each layer. Errors (input): no samples.
void measure_sensitivity(const SensitivityTask& task, std::vector<LayerSensitivity>& layers,
                         const std::function<void()>& measured);

/// Fills in the Taylor scores, all layers and widths from one backward pass a sample: with random
/// signs v on the outputs y, scaled by their power, and g = d(v . y) / dw, the expectation of
/// (g . (w' - w))^2 is the noise of rounded weights w' to first order (the Gauss-Newton form of the
/// Fisher scores of Dong et al. 2019, arXiv:1911.03852). Biases count as well. Errors
/// (unsupported): an op without a gradient.
void taylor_scores(const SensitivityTask& task, std::vector<LayerSensitivity>& layers);

}  // namespace qtool
