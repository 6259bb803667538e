// SPDX-License-Identifier: Apache-2.0
// Losses over class scores [N, C] (or with extents of 1 behind C), each the mean over the samples:
//   CrossEntropy (scores, labels int64 [N], partners int64 [N]?, share [N]?) {smoothing e}: -sum q
//     log softmax(scores), q being 1 - e at the label, and e / C more everywhere (Szegedy et al.
//     2016, arXiv:1512.00567); of samples that were mixed, that 1 - e goes to the label by its
//     share, the rest to the partner's
//   Distillation (scores, teacher's scores) {temperature T}: T² KL(softmax(teacher / T) ||
//     softmax(scores / T)) (Hinton et al. 2015, arXiv:1503.02531)
//   MeanSquaredError (x, target): the mean over all elements
//   BinaryTargets (scores, labels int64 [N]) → like scores: 1 at the label, else 0; of one score a
//     sample, the label itself
// and their gradients for scores, (g, scores, labels or teacher's) → gscores.
#include <cmath>

#include "ops/gradients/gradients.h"
#include "ops/reals.h"
#include "ops/shapes.h"
#include "support/text.h"

namespace qtool {

namespace {

struct Rows {
  size_t samples;
  size_t classes;
};

Rows rows_of(const Shape& shape) {
  if (shape.size() < 2 || shape[0] == 0 || element_count(shape) == 0) {
    throw input_error("scores " + to_string(shape) + ", expected [N,C]");
  }
  return {static_cast<size_t>(shape[0]), static_cast<size_t>(element_count(shape) / shape[0])};
}

void infer_number(InferContext& context) {
  context.set_output(0, {context.node.input_type(0).dtype, Shape{}});
}

/// Logarithms of softmax(scores / temperature), in place.
void log_softmax(std::vector<double>& scores, const Rows& rows, double temperature) {
  for (size_t n = 0; n < rows.samples; ++n) {
    double* row = scores.data() + n * rows.classes;
    double highest = -HUGE_VAL;
    double sum = 0;
    for (size_t c = 0; c < rows.classes; ++c) {
      row[c] /= temperature;
      highest = std::fmax(highest, row[c]);
    }
    for (size_t c = 0; c < rows.classes; ++c) sum += std::exp(row[c] - highest);
    for (size_t c = 0; c < rows.classes; ++c) row[c] -= highest + std::log(sum);
  }
}

/// Target probabilities: of the labels in input `slot`, smoothed, or of a teacher.
std::vector<double> smoothed_labels(const ReferenceCall& call, size_t slot, const Rows& rows) {
  const auto smoothing = static_cast<double>(call.node.attributes().real("smoothing", 0));
  const auto labels = call.input(slot).data<int64_t>();
  if (labels.size() != rows.samples) throw input_error("not one label a sample");
  std::vector<double> target(rows.samples * rows.classes,
                             smoothing / static_cast<double>(rows.classes));
  const bool mixed = call.has(slot + 2);
  const std::vector<double> share = mixed ? reals(call, slot + 2) : std::vector<double>{};
  const auto add = [&](size_t n, int64_t label, double part) {
    if (label < 0 || label >= static_cast<int64_t>(rows.classes)) {
      throw input_error(
          fmt::format("the label {}, but the model has {} classes", label, rows.classes));
    }
    target[n * rows.classes + static_cast<size_t>(label)] += part * (1 - smoothing);
  };
  for (size_t n = 0; n < rows.samples; ++n) {
    add(n, labels[n], mixed ? share.at(n) : 1);
    if (mixed) add(n, call.input(slot + 1).data<int64_t>()[n], 1 - share[n]);
  }
  return target;
}

double temperature(const ReferenceCall& call) {
  return static_cast<double>(call.node.attributes().real("temperature", 1));
}

std::vector<double> teacher_probabilities(const ReferenceCall& call, size_t slot,
                                          const Rows& rows) {
  std::vector<double> target = reals(call, slot);
  if (target.size() != rows.samples * rows.classes) throw input_error("other scores to learn from");
  log_softmax(target, rows, temperature(call));
  for (double& value : target) value = std::exp(value);
  return target;
}

std::vector<Tensor> number(const ReferenceCall& call, double value) {
  return one_result(real_tensor(call.input(0).dtype(), {}, {value}));
}

std::vector<Tensor> cross_entropy_reference(const ReferenceCall& call) {
  const Rows rows = rows_of(call.input(0).shape());
  const std::vector<double> target = smoothed_labels(call, 1, rows);
  std::vector<double> scores = reals(call, 0);
  log_softmax(scores, rows, 1);
  double sum = 0;
  for (size_t i = 0; i < scores.size(); ++i) sum -= target[i] * scores[i];
  return number(call, sum / static_cast<double>(rows.samples));
}

std::vector<Tensor> distillation_reference(const ReferenceCall& call) {
  const Rows rows = rows_of(call.input(0).shape());
  const std::vector<double> target = teacher_probabilities(call, 1, rows);
  const double t = temperature(call);
  std::vector<double> scores = reals(call, 0);
  log_softmax(scores, rows, t);
  double sum = 0;
  for (size_t i = 0; i < scores.size(); ++i) {
    if (target[i] > 0) sum += target[i] * (std::log(target[i]) - scores[i]);
  }
  return number(call, t * t * sum / static_cast<double>(rows.samples));
}

/// g factor (softmax(scores / T) - target) / N.
std::vector<Tensor> toward(const ReferenceCall& call, const Rows& rows,
                           const std::vector<double>& target, double t) {
  std::vector<double> scores = reals(call, 1);
  log_softmax(scores, rows, t);
  const double factor = reals(call, 0).at(0) * t / static_cast<double>(rows.samples);
  for (size_t i = 0; i < scores.size(); ++i) {
    scores[i] = factor * (std::exp(scores[i]) - target[i]);
  }
  return one_result(real_tensor(call.input(1).dtype(), call.input(1).shape(), scores));
}

std::vector<Tensor> cross_entropy_gradient_reference(const ReferenceCall& call) {
  const Rows rows = rows_of(call.input(1).shape());
  return toward(call, rows, smoothed_labels(call, 2, rows), 1);
}

std::vector<Tensor> distillation_gradient_reference(const ReferenceCall& call) {
  const Rows rows = rows_of(call.input(1).shape());
  return toward(call, rows, teacher_probabilities(call, 2, rows), temperature(call));
}

std::vector<Tensor> binary_targets_reference(const ReferenceCall& call) {
  const Rows rows = rows_of(call.input(0).shape());
  const auto labels = call.input(1).data<int64_t>();
  if (labels.size() != rows.samples) throw input_error("not one label a sample");
  const size_t classes = std::max<size_t>(rows.classes, 2);
  std::vector<double> target(rows.samples * rows.classes, 0);
  for (size_t n = 0; n < rows.samples; ++n) {
    if (labels[n] < 0 || labels[n] >= static_cast<int64_t>(classes)) {
      throw input_error(
          fmt::format("the label {}, but the model has {} classes", labels[n], classes));
    }
    const auto label = static_cast<size_t>(labels[n]);
    if (rows.classes == 1) {
      target[n] = static_cast<double>(label);
    } else {
      target[n * rows.classes + label] = 1;
    }
  }
  return one_result(real_tensor(call.input(0).dtype(), call.input(0).shape(), target));
}

/// It depends on the extents of the scores, not on what they hold.
void no_gradient(GradContext&) {}

void check_target(const ReferenceCall& call, size_t slot) {
  if (call.input(slot).size() == 0 || call.input(slot).size() != call.input(slot + 1).size()) {
    throw input_error("other values to learn from");
  }
}

std::vector<Tensor> squared_error_reference(const ReferenceCall& call) {
  check_target(call, 0);
  const std::vector<double> x = reals(call, 0);
  const std::vector<double> target = reals(call, 1);
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) sum += (x[i] - target[i]) * (x[i] - target[i]);
  return number(call, sum / static_cast<double>(x.size()));
}

std::vector<Tensor> squared_error_gradient_reference(const ReferenceCall& call) {
  check_target(call, 1);
  std::vector<double> x = reals(call, 1);
  const std::vector<double> target = reals(call, 2);
  const double factor = 2 * reals(call, 0).at(0) / static_cast<double>(x.size());
  for (size_t i = 0; i < x.size(); ++i) x[i] = factor * (x[i] - target[i]);
  return one_result(real_tensor(call.input(1).dtype(), call.input(1).shape(), x));
}

template <size_t variant>
void loss_gradient(GradContext& context) {
  constexpr const char* kOps[] = {"CrossEntropyGradient", "DistillationGradient",
                                  "MeanSquaredErrorGradient"};
  const char* op = kOps[variant];
  if (context.wants(1)) throw unsupported_error("what is learned from cannot be trained itself");
  std::vector<ValueId> inputs{context.upstream(), context.input(0), context.input(1)};
  for (size_t slot = 2; slot < context.input_count(); ++slot) inputs.push_back(context.input(slot));
  context.give(0, context.emit(op, std::move(inputs), context.node.attributes()));
}

}  // namespace

void register_training_loss(OpRegistry& ops) {
  OpDef entropy =
      training_record("CrossEntropy", {2, 4}, {1, 1}, infer_number, cross_entropy_reference);
  entropy.gradient = loss_gradient<0>;
  ops.add(std::move(entropy));
  OpDef distillation =
      training_record("Distillation", {2, 2}, {1, 1}, infer_number, distillation_reference);
  distillation.gradient = loss_gradient<1>;
  ops.add(std::move(distillation));
  OpDef squared =
      training_record("MeanSquaredError", {2, 2}, {1, 1}, infer_number, squared_error_reference);
  squared.gradient = loss_gradient<2>;
  ops.add(std::move(squared));
  OpDef binary =
      training_record("BinaryTargets", {2, 2}, {1, 1}, infer_like<0>, binary_targets_reference);
  binary.gradient = no_gradient;
  ops.add(std::move(binary));
  ops.add(training_record("MeanSquaredErrorGradient", {3, 3}, {1, 1}, infer_like<1>,
                          squared_error_gradient_reference));
  ops.add(training_record("CrossEntropyGradient", {3, 5}, {1, 1}, infer_like<1>,
                          cross_entropy_gradient_reference));
  ops.add(training_record("DistillationGradient", {3, 3}, {1, 1}, infer_like<1>,
                          distillation_gradient_reference));
}

}  // namespace qtool
