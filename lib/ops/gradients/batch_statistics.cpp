// SPDX-License-Identifier: Apache-2.0
// BatchStatistics x [N, C, ...] → mean [C], variance [C], over all samples and positions, as
// BatchNormalization takes them in training; BatchStatisticsGradient (x, mean, gmean, gvariance) →
// gx = (gmean + 2 gvariance (x - mean)) / n.
#include "kernels/host/gradient.h"
#include "ops/gradients/gradients.h"
#include "ops/lowering.h"
#include "ops/reals.h"
#include "ops/shapes.h"

namespace qtool {

namespace {

ChannelSpans spans_of(const Shape& shape, Layout layout) {
  const int64_t channels = shape[1];
  const int64_t all = element_count(shape);
  if (all == 0) throw input_error("statistics of nothing");
  if (layout == Layout::channels_last) return {all / channels, channels, 1};
  return {shape[0], channels, all / (shape[0] * channels)};
}

void infer_batch_statistics(InferContext& context) {
  const auto& shape = context.node.input_type(0).shape;
  if (shape && shape->size() < 2) throw input_error("its input has no channels");
  const Dim channels = shape ? (*shape)[1] : Dim{};
  for (size_t i = 0; i < 2; ++i) {
    context.set_output(i, {context.node.input_type(0).dtype, std::vector{channels}});
  }
}

std::vector<Tensor> batch_statistics_reference(const ReferenceCall& call) {
  const Tensor& x = call.input(0);
  const ChannelSpans spans = spans_of(x.shape(), Layout::plain);
  const std::vector<double> values = reals(call, 0);
  const auto channels = static_cast<size_t>(spans.channels);
  const double share = 1 / static_cast<double>(spans.outer * spans.inner);
  std::vector<double> mean(channels, 0.0);
  std::vector<double> variance(channels, 0.0);
  const auto channel = [&](size_t i) { return i / static_cast<size_t>(spans.inner) % channels; };
  for (size_t i = 0; i < values.size(); ++i) mean[channel(i)] += share * values[i];
  for (size_t i = 0; i < values.size(); ++i) {
    const double apart = values[i] - mean[channel(i)];
    variance[channel(i)] += share * apart * apart;
  }
  std::vector<Tensor> results = one_result(real_tensor(x.dtype(), {spans.channels}, mean));
  results.push_back(real_tensor(x.dtype(), {spans.channels}, variance));
  return results;
}

std::vector<Tensor> batch_statistics_gradient_reference(const ReferenceCall& call) {
  const Tensor& x = call.input(0);
  const ChannelSpans spans = spans_of(x.shape(), Layout::plain);
  const std::vector<double> values = reals(call, 0);
  const std::vector<double> mean = reals(call, 1);
  const std::vector<double> gmean = reals(call, 2);
  const std::vector<double> gvariance = reals(call, 3);
  const double share = 1 / static_cast<double>(spans.outer * spans.inner);
  std::vector<double> gx(values.size());
  for (size_t i = 0; i < gx.size(); ++i) {
    const size_t c = i / static_cast<size_t>(spans.inner) % mean.size();
    gx[i] = share * (gmean[c] + 2 * gvariance[c] * (values[i] - mean[c]));
  }
  return one_result(real_tensor(x.dtype(), x.shape(), gx));
}

Lowering lower_batch_statistics(const LowerContext& context) {
  const LowerInput& x = context.inputs[0];
  if (x.dtype != DType::float32) return Lowering::refuse("not float32");
  return lowering(make_batch_statistics(spans_of(x.shape, x.layout)), {x.layout},
                  {Layout::plain, Layout::plain});
}

Lowering lower_batch_statistics_gradient(const LowerContext& context) {
  const LowerInput& x = context.inputs[0];
  if (x.dtype != DType::float32) return Lowering::refuse("not float32");
  return lowering(make_batch_statistics_gradient(spans_of(x.shape, x.layout)),
                  {x.layout, Layout::plain, Layout::plain, Layout::plain}, {x.layout});
}

/// The gradient of an output; zeros where nothing reaches it.
ValueId reaching(GradContext& context, size_t slot) {
  const ValueId upstream = context.upstream(slot);
  return upstream != ValueId::none ? upstream : context.emit("ZerosLike", {context.output(slot)});
}

void batch_statistics_gradient(GradContext& context) {
  context.give(
      0, context.emit("BatchStatisticsGradient", {context.input(0), context.output(0),
                                                  reaching(context, 0), reaching(context, 1)}));
}

}  // namespace

void register_training_batch_statistics(OpRegistry& ops) {
  OpDef statistics = training_record("BatchStatistics", {1, 1}, {2, 2}, infer_batch_statistics,
                                     batch_statistics_reference);
  statistics.taste = LayoutTaste::any;
  statistics.lower = lower_batch_statistics;
  statistics.gradient = batch_statistics_gradient;
  ops.add(std::move(statistics));
  OpDef gradient = training_record("BatchStatisticsGradient", {4, 4}, {1, 1}, infer_like<0>,
                                   batch_statistics_gradient_reference);
  gradient.taste = LayoutTaste::any;
  gradient.lower = lower_batch_statistics_gradient;
  ops.add(std::move(gradient));
}

}  // namespace qtool
