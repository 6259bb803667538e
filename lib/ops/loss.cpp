// SPDX-License-Identifier: Apache-2.0
// NegativeLogLikelihoodLoss, SoftmaxCrossEntropyLoss (opsets 12, 13): losses of class scores
// [N, C, d...] for labels [N, d...], weighted by class, with labels that do not count.
#include <cmath>

#include "ops/along_axis.h"
#include "ops/elements.h"
#include "ops/families.h"
#include "support/text.h"

namespace qtool {

namespace {

enum class Reduction { none, sum, mean };

Reduction reduction_of(const NodeView& node) {
  const std::string text = node.attributes().text("reduction", "mean");
  if (text == "none") return Reduction::none;
  if (text == "sum") return Reduction::sum;
  if (text == "mean") return Reduction::mean;
  throw input_error("\"reduction\" is \"" + text + "\", not \"none\", \"sum\" or \"mean\"");
}

bool fit(const Dim& a, const Dim& b) { return !a.value || !b.value || *a.value == *b.value; }

void check_labels(const NodeView& node) {
  const auto& scores = node.input_type(0).shape;
  const auto& labels = node.input_type(1).shape;
  if (scores && scores->size() < 2) {
    throw input_error("scores " + to_string(node.input_type(0)) + " without a class axis");
  }
  if (scores && labels) {
    bool fits = labels->size() + 1 == scores->size();
    for (size_t d = 0; fits && d < labels->size(); ++d) {
      fits = fit((*labels)[d], (*scores)[d == 0 ? 0 : d + 1]);
    }
    if (!fits) {
      throw input_error("labels " + to_string(node.input_type(1)) + " for scores " +
                        to_string(node.input_type(0)));
    }
  }
  const auto& weights = node.input_type(2).shape;
  if (weights && (weights->size() != 1 || (scores && !fit((*weights)[0], (*scores)[1])))) {
    throw input_error("weights " + to_string(node.input_type(2)) + " for scores " +
                      to_string(node.input_type(0)));
  }
}

void infer_loss(InferContext& context) {
  const NodeView& node = context.node;
  check_labels(node);
  TensorType type{node.input_type(0).dtype, std::vector<Dim>{}};
  if (reduction_of(node) == Reduction::none) type.shape = node.input_type(1).shape;
  context.set_output(0, std::move(type));
  context.set_output(1, node.input_type(0));
}

/// The class of each label, or nothing for one that does not count.
std::vector<std::optional<int64_t>> classes(const ReferenceCall& call, int64_t count) {
  const Tensor& labels = call.input(1);
  if (!is_integer(labels.dtype())) {
    throw input_error("labels of type " + std::string(name(labels.dtype())));
  }
  const bool ignores = call.node.attributes().has("ignore_index");
  const int64_t ignored = call.node.attributes().integer("ignore_index", 0);
  std::vector<std::optional<int64_t>> result;
  for (const int64_t label : to_int64s(labels)) {
    if (ignores && label == ignored) {
      result.push_back(std::nullopt);
      continue;
    }
    if (label < 0 || label >= count) {
      throw input_error(fmt::format("the label {} of {} classes", label, count));
    }
    result.emplace_back(label);
  }
  return result;
}

/// The loss from logarithms of probabilities.
Tensor likelihood_loss(const ReferenceCall& call, const std::vector<double>& log_probabilities) {
  const Tensor& scores = call.input(0);
  const AlongAxis span(scores.shape(), 1);
  const auto labels = classes(call, span.along);
  std::vector<double> weights(static_cast<size_t>(span.along), 1.0);
  if (call.has(2)) weights = to_doubles(call.input(2));
  std::vector<double> losses;
  double sum = 0;
  double weight_sum = 0;
  span.for_lines([&](int64_t o, int64_t i) {
    const auto label = labels[static_cast<size_t>(o * span.inner + i)];
    const double weight = label ? weights[static_cast<size_t>(*label)] : 0;
    losses.push_back(label ? -weight * log_probabilities[span.index(o, *label, i)] : 0);
    sum += losses.back();
    weight_sum += weight;
  });
  const Reduction reduction = reduction_of(call.node);
  const double reduced = reduction == Reduction::mean ? sum / weight_sum : sum;
  return visit_kinds<kFloats>(scores.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    Tensor y(scores.dtype(), reduction == Reduction::none ? call.input(1).shape() : Shape{});
    if (reduction != Reduction::none) losses.assign(1, reduced);
    std::ranges::transform(losses, y.data<T>().begin(), converted<T, double>);
    return y;
  });
}

std::vector<Tensor> likelihood_reference(const ReferenceCall& call) {
  return one_result(likelihood_loss(call, to_doubles(call.input(0))));
}

std::vector<double> log_softmax(const Tensor& scores) {
  const AlongAxis span(scores.shape(), 1);
  std::vector<double> x = to_doubles(scores);
  span.for_lines([&](int64_t o, int64_t i) {
    double highest = -HUGE_VAL;
    double sum = 0;
    for (int64_t c = 0; c < span.along; ++c) highest = std::fmax(highest, x[span.index(o, c, i)]);
    for (int64_t c = 0; c < span.along; ++c) sum += std::exp(x[span.index(o, c, i)] - highest);
    for (int64_t c = 0; c < span.along; ++c) x[span.index(o, c, i)] -= highest + std::log(sum);
  });
  return x;
}

std::vector<Tensor> cross_entropy_reference(const ReferenceCall& call) {
  const std::vector<double> log_probabilities = log_softmax(call.input(0));
  std::vector<Tensor> results = one_result(likelihood_loss(call, log_probabilities));
  results.push_back(visit_kinds<kFloats>(call.input(0).dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    Tensor y(call.input(0).dtype(), call.input(0).shape());
    std::ranges::transform(log_probabilities, y.data<T>().begin(), converted<T, double>);
    return y;
  }));
  return results;
}

OpDef loss_record(const char* type, int outputs,
                  std::vector<Tensor> (*reference)(const ReferenceCall&)) {
  return {.key = {"", type},
          .since_version = 12,
          .inputs = {2, 3},
          .outputs = {1, outputs},
          .infer = infer_loss,
          .reference = reference};
}

}  // namespace

void register_loss(OpRegistry& ops) {
  ops.add(loss_record("NegativeLogLikelihoodLoss", 1, likelihood_reference));
  ops.add(loss_record("SoftmaxCrossEntropyLoss", 2, cross_entropy_reference));
}

}  // namespace qtool
