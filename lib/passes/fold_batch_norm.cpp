// SPDX-License-Identifier: Apache-2.0
// before: %c = Conv(%x, %W, %b); %y = BatchNormalization(%c, %gamma, %beta, %mean, %var)
// after:  %y = Conv(%x, %W', %b'); also behind ConvTranspose and Gemm
// when:   inference form; nobody else reads %c; all parameters are float constants; Gemm has no
//         alpha or beta left (fold_gemm) and at most one bias a column. %y keeps its name.
// maths:  s = gamma / sqrt(var + epsilon); W' = W s along the output channels;
//         b' = b s + beta - mean s. In double, rounded to float once.
#include "passes/batch_norm.h"
#include "passes/edit_constant.h"
#include "passes/passes.h"

namespace qtool {

namespace {

struct BatchNormFold {
  NodeId norm;
  NodeId producer;
  Constant weights = nullptr;
  Constant bias = nullptr;  ///< absent
  std::vector<double> scale = {};
  std::vector<double> shift = {};
  /// The output channel of weight element i is i / inner % extent + (i / group_size) * extent.
  int64_t inner = 1;
  int64_t extent = 1;
  int64_t group_size = 0;  ///< 0: one group

  size_t channel(int64_t i) const {
    const int64_t group = group_size > 0 ? i / group_size : 0;
    return static_cast<size_t>(i / inner % extent + group * extent);
  }
};

/// Where the output channels lie in the weights; false where the node is not foldable.
bool read_channels(const Node& producer, const Shape& weights, BatchNormFold& fold) {
  const int64_t total = element_count(weights);
  if (producer.op.type == "Conv") {
    if (weights.size() < 3) return false;
    fold.extent = weights[0];
    fold.inner = fold.extent > 0 ? total / fold.extent : 1;
  } else if (producer.op.type == "ConvTranspose") {
    const int64_t groups = producer.attributes.integer("group", 1);
    if (weights.size() < 3 || groups < 1 || weights[0] % groups != 0) return false;
    fold.extent = weights[1];
    fold.inner = 1;
    for (size_t d = 2; d < weights.size(); ++d) fold.inner *= weights[d];
    fold.group_size = total / groups;
    if (fold.extent * groups != static_cast<int64_t>(fold.scale.size())) return false;
    return total > 0;
  } else {
    if (weights.size() != 2 || producer.attributes.real("alpha", 1.0F) != 1.0F) return false;
    if (has_input(producer, 2) && producer.attributes.real("beta", 1.0F) != 1.0F) return false;
    const bool transposed = producer.attributes.integer("transB", 0) != 0;
    fold.extent = weights[transposed ? 0 : 1];
    fold.inner = transposed ? weights[1] : 1;
  }
  return total > 0 && fold.extent == static_cast<int64_t>(fold.scale.size());
}

std::optional<BatchNormFold> match(const Graph& graph, NodeId id) {
  const Node& norm = graph.node(id);
  if (norm.op != OpKey{"", "BatchNormalization"} || norm.inputs.empty() || !has_input(norm, 0) ||
      norm.outputs.empty() || norm.outputs[0] == ValueId::none) {
    return std::nullopt;
  }
  const Value& between = graph.value(norm.inputs[0]);
  if (between.producer == NodeId::none || between.uses.size() != 1 ||
      graph.is_output(norm.inputs[0])) {
    return std::nullopt;
  }
  const Node& producer = graph.node(between.producer);
  if (producer.op != OpKey{"", "Conv"} && producer.op != OpKey{"", "ConvTranspose"} &&
      producer.op != OpKey{"", "Gemm"}) {
    return std::nullopt;
  }
  BatchNormFold fold{.norm = id, .producer = between.producer};
  fold.weights = float_constant(graph, producer, 1);
  fold.bias = float_constant(graph, producer, 2);
  if (fold.weights == nullptr || (has_input(producer, 2) && fold.bias == nullptr))
    return std::nullopt;
  const auto affine = constant_affine(graph, norm);
  if (!affine) return std::nullopt;
  fold.scale = affine->scale;
  fold.shift = affine->shift;
  if (!read_channels(producer, fold.weights->shape(), fold)) return std::nullopt;
  if (fold.bias != nullptr &&
      fold.bias->shape() != Shape{static_cast<int64_t>(fold.scale.size())}) {
    return std::nullopt;
  }
  return fold;
}

void apply(Graph& graph, const BatchNormFold& fold) {
  std::vector<double> weights = to_doubles(*fold.weights);
  for (size_t i = 0; i < weights.size(); ++i)
    weights[i] *= fold.scale[fold.channel(static_cast<int64_t>(i))];
  std::vector<double> bias = fold.shift;
  if (fold.bias != nullptr) {
    const std::vector<double> own = to_doubles(*fold.bias);
    for (size_t c = 0; c < bias.size(); ++c) bias[c] += own[c] * fold.scale[c];
  }
  const std::string stem = stem_of(graph, fold.producer) + ".bias";
  edit_constant(graph, {fold.producer, 1}, to_float_tensor(fold.weights->shape(), weights),
                "weight");
  edit_constant(graph, {fold.producer, 2},
                to_float_tensor({static_cast<int64_t>(bias.size())}, bias), stem);

  const ValueId between = graph.node(fold.norm).inputs[0];
  const ValueId result = graph.node(fold.norm).outputs[0];
  graph.erase(fold.norm);
  graph.set_output(fold.producer, 0, result);
  graph.erase(between);
}

}  // namespace

PassPtr fold_batch_norm() {
  return std::make_shared<RulePass<BatchNormFold>>("fold_batch_norm",
                                                   Rule<BatchNormFold>{match, apply});
}

}  // namespace qtool
