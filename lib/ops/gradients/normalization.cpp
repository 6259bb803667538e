// SPDX-License-Identifier: Apache-2.0
// BatchNormalizationGradient (gy, x, gamma, mean, variance) → gx, ggamma, gbeta, where mean and
// variance are given numbers: y = gamma (x - mean) / sqrt(variance + epsilon) + beta.
#include <cmath>

#include "ops/gradients/gradients.h"
#include "ops/reals.h"
#include "ops/shapes.h"

namespace qtool {

namespace {

std::vector<Tensor> batch_norm_gradient_reference(const ReferenceCall& call) {
  const Tensor& x = call.input(1);
  const auto epsilon = static_cast<double>(call.node.attributes().real("epsilon", 1e-5F));
  std::vector<double> gx = reals(call, 0);
  const std::vector<double> values = reals(call, 1);
  const std::vector<double> gamma = reals(call, 2);
  const std::vector<double> mean = reals(call, 3);
  const std::vector<double> variance = reals(call, 4);
  const size_t channels = gamma.size();
  const size_t batch = static_cast<size_t>(x.rank() >= 1 ? x.shape()[0] : 1);
  const size_t inner = channels * batch == 0 ? 1 : values.size() / (channels * batch);
  std::vector<double> ggamma(channels, 0.0);
  std::vector<double> gbeta(channels, 0.0);
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t c = i / std::max<size_t>(inner, 1) % channels;
    const double deviation = std::sqrt(variance[c] + epsilon);
    ggamma[c] += gx[i] * (values[i] - mean[c]) / deviation;
    gbeta[c] += gx[i];
    gx[i] *= gamma[c] / deviation;
  }
  std::vector<Tensor> results = one_result(real_tensor(x.dtype(), x.shape(), gx));
  results.push_back(real_tensor(x.dtype(), call.input(2).shape(), ggamma));
  results.push_back(real_tensor(x.dtype(), call.input(2).shape(), gbeta));
  return results;
}

void infer_batch_norm_gradient(InferContext& context) {
  context.set_output(0, context.node.input_type(1));
  context.set_output(1, context.node.input_type(2));
  context.set_output(2, context.node.input_type(2));
}

}  // namespace

void batch_norm_gradient(GradContext& context) {
  if (context.wants(3) || context.wants(4)) {
    throw unsupported_error("its mean and variance are statistics, which cannot be trained");
  }
  Attributes attributes;
  attributes.set("epsilon", context.node.attributes().real("epsilon", 1e-5F));
  const auto made = context.emit_several(
      "BatchNormalizationGradient",
      {context.upstream(), context.input(0), context.input(1), context.input(3), context.input(4)},
      std::move(attributes), {true, context.wants(1), context.wants(2)});
  for (size_t i = 0; i < 3; ++i) context.give(i, made[i]);
}

void register_training_normalization(OpRegistry& ops) {
  ops.add(training_record("BatchNormalizationGradient", {5, 5}, {1, 3}, infer_batch_norm_gradient,
                          batch_norm_gradient_reference));
}

}  // namespace qtool
