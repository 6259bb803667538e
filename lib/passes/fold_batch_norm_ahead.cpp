// SPDX-License-Identifier: Apache-2.0
// before: %n = BatchNormalization(%x, %gamma, %beta, %mean, %var); %y = Conv(%n, %W, %b)
// after:  %y = Conv(%x, %W', %b')
// when:   inference form, constant parameters; only this Conv reads %n; the Conv pads nothing, or
//         nothing is added (its zeros would have to become minus shift / scale).
// maths:  n = x s + t by input channel; W' = W s along the input channels, b' = b + sum of W t. In
//         double, rounded to float once.
#include <algorithm>

#include "passes/batch_norm.h"
#include "passes/edit_constant.h"
#include "passes/passes.h"

namespace qtool {

namespace {

struct AheadFold {
  NodeId norm;
  NodeId conv;
  Constant weights;
  Constant bias;  ///< absent
  ChannelAffine affine;
};

bool pads(const Node& conv) {
  const std::string automatic = conv.attributes.text("auto_pad", "NOTSET");
  if (automatic == "VALID") return false;
  if (automatic != "NOTSET" && !automatic.empty()) return true;
  return std::ranges::any_of(conv.attributes.integers("pads"),
                             [](int64_t pad) { return pad != 0; });
}

std::optional<AheadFold> match(const Graph& graph, NodeId id) {
  const Node& norm = graph.node(id);
  if (norm.op != OpKey{"", "BatchNormalization"} || !has_input(norm, 0) || norm.outputs.empty() ||
      norm.outputs[0] == ValueId::none || graph.is_output(norm.outputs[0])) {
    return std::nullopt;
  }
  const auto& uses = graph.value(norm.outputs[0]).uses;
  if (uses.size() != 1 || uses[0].slot != 0) return std::nullopt;
  const Node& conv = graph.node(uses[0].node);
  if (conv.op != OpKey{"", "Conv"}) return std::nullopt;
  AheadFold fold{
      id, uses[0].node, float_constant(graph, conv, 1), float_constant(graph, conv, 2), {}};
  if (fold.weights == nullptr || (has_input(conv, 2) && fold.bias == nullptr)) return std::nullopt;
  auto affine = constant_affine(graph, norm);
  if (!affine) return std::nullopt;
  fold.affine = std::move(*affine);
  const bool adds = std::ranges::any_of(fold.affine.shift, [](double t) { return t != 0; });
  if (adds && pads(conv)) return std::nullopt;
  const Shape& shape = fold.weights->shape();
  const int64_t groups = conv.attributes.integer("group", 1);
  const auto channels = static_cast<int64_t>(fold.affine.scale.size());
  if (shape.size() < 3 || groups < 1 || shape[0] % groups != 0 || shape[1] * groups != channels ||
      fold.weights->size() == 0) {
    return std::nullopt;
  }
  if (fold.bias != nullptr && fold.bias->shape() != Shape{shape[0]}) return std::nullopt;
  return fold;
}

void apply(Graph& graph, const AheadFold& fold) {
  const Shape& shape = fold.weights->shape();
  const int64_t outputs = shape[0];
  const int64_t inputs = shape[1];  // of one group
  const int64_t kernel = fold.weights->size() / (outputs * inputs);
  const int64_t of_group = outputs / graph.node(fold.conv).attributes.integer("group", 1);
  std::vector<double> weights = to_doubles(*fold.weights);
  std::vector<double> bias(static_cast<size_t>(outputs), 0.0);
  if (fold.bias != nullptr) bias = to_doubles(*fold.bias);
  for (int64_t i = 0; i < fold.weights->size(); ++i) {
    const int64_t output = i / (inputs * kernel);
    const auto input = static_cast<size_t>(output / of_group * inputs + i / kernel % inputs);
    double& weight = weights[static_cast<size_t>(i)];
    bias[static_cast<size_t>(output)] += weight * fold.affine.shift[input];
    weight *= fold.affine.scale[input];
  }
  edit_constant(graph, {fold.conv, 1}, to_float_tensor(shape, weights), "weight");
  edit_constant(graph, {fold.conv, 2}, to_float_tensor({outputs}, bias),
                stem_of(graph, fold.conv) + ".bias");
  const ValueId source = graph.node(fold.norm).inputs[0];
  const ValueId between = graph.node(fold.norm).outputs[0];
  graph.set_input(fold.conv, 0, source);
  graph.erase(fold.norm);
  graph.erase(between);
}

}  // namespace

PassPtr fold_batch_norm_ahead() {
  return std::make_shared<RulePass<AheadFold>>("fold_batch_norm_ahead",
                                               Rule<AheadFold>{match, apply});
}

}  // namespace qtool
