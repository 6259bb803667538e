// SPDX-License-Identifier: Apache-2.0
#include "passes/batch_norm.h"

#include <cmath>

#include "passes/edit_constant.h"

namespace qtool {

namespace {

bool inference_form(const Graph& graph, const Node& norm) {
  const int64_t opset = graph.model.opset();
  if (opset < 7 && norm.attributes.integer("is_test", 0) == 0) return false;
  if (opset < 9 && norm.attributes.integer("spatial", 1) == 0) return false;
  if (norm.attributes.integer("training_mode", 0) != 0 || norm.inputs.size() != 5) return false;
  for (size_t i = 1; i < norm.outputs.size(); ++i) {
    const ValueId extra = norm.outputs[i];
    if (extra == ValueId::none) continue;
    if (!graph.value(extra).uses.empty() || graph.is_output(extra)) return false;
  }
  return true;
}

}  // namespace

std::optional<ChannelAffine> constant_affine(const Graph& graph, const Node& norm) {
  if (!inference_form(graph, norm)) return std::nullopt;
  std::vector<std::vector<double>> parameters;
  for (size_t slot = 1; slot < 5; ++slot) {
    const Constant constant = float_constant(graph, norm, slot);
    if (constant == nullptr || constant->rank() != 1) return std::nullopt;
    parameters.push_back(to_doubles(*constant));
    if (parameters.back().size() != parameters.front().size()) return std::nullopt;
  }
  ChannelAffine affine;
  const auto epsilon = static_cast<double>(norm.attributes.real("epsilon", 1e-5F));
  for (size_t c = 0; c < parameters[0].size(); ++c) {
    const double scale = parameters[0][c] / std::sqrt(parameters[3][c] + epsilon);
    const double shift = parameters[1][c] - parameters[2][c] * scale;
    if (!std::isfinite(scale) || !std::isfinite(shift)) return std::nullopt;
    affine.scale.push_back(scale);
    affine.shift.push_back(shift);
  }
  return affine;
}

}  // namespace qtool
