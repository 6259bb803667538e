// SPDX-License-Identifier: Apache-2.0
// Gradients of ops that pick or repeat elements: Gather, Where, Expand, Tile; with GatherGradient
// (gy, x, indices) → gx, which adds what came from one place, and TileGradient (gy, x) → gx.
#include "ops/along_axis.h"
#include "ops/gradients/gradients.h"
#include "ops/indices.h"
#include "ops/reals.h"
#include "ops/shapes.h"

namespace qtool {

namespace {

std::vector<Tensor> gather_gradient_reference(const ReferenceCall& call) {
  const Tensor& x = call.input(1);
  const int64_t axis = normalized_axis(call.node.attributes().integer("axis", 0),
                                       static_cast<int64_t>(x.shape().size()));
  const AlongAxis span(x.shape(), axis);
  const std::vector<int64_t> indices = wrapped_indices(call.input(2), span.along);
  const std::vector<double> from = reals(call, 0);
  std::vector<double> sums(static_cast<size_t>(x.size()), 0.0);
  size_t next = 0;
  for (int64_t o = 0; o < span.outer; ++o) {
    for (const int64_t index : indices) {
      for (int64_t i = 0; i < span.inner; ++i) sums[span.index(o, index, i)] += from[next++];
    }
  }
  return one_result(real_tensor(x.dtype(), x.shape(), sums));
}

std::vector<Tensor> tile_gradient_reference(const ReferenceCall& call) {
  const Shape& small = call.input(1).shape();
  const Shape& large = call.input(0).shape();
  const std::vector<double> from = reals(call, 0);
  std::vector<double> sums(static_cast<size_t>(element_count(small)), 0.0);
  for (size_t i = 0; i < from.size(); ++i) {
    auto rest = static_cast<int64_t>(i);
    int64_t place = 0;
    int64_t stride = 1;
    for (size_t d = large.size(); d-- > 0;) {
      place += rest % large[d] % small[d] * stride;
      stride *= small[d];
      rest /= large[d];
    }
    sums[static_cast<size_t>(place)] += from[i];
  }
  return one_result(real_tensor(call.input(1).dtype(), small, sums));
}

}  // namespace

void tile_gradient(GradContext& context) {
  context.give(0, context.emit("TileGradient", {context.upstream(), context.input(0)}));
}

void gather_gradient(GradContext& context) {
  Attributes attributes;
  attributes.set("axis", context.node.attributes().integer("axis", 0));
  context.give(
      0, context.emit("GatherGradient", {context.upstream(), context.input(0), context.input(1)},
                      std::move(attributes)));
}

void where_gradient(GradContext& context) {
  const ValueId zero =
      context.constant(cast(Tensor::scalar(0.0F), context.node.output_type(0).dtype));
  for (const size_t slot : {size_t{1}, size_t{2}}) {
    if (!context.wants(slot)) continue;
    const ValueId chosen = slot == 1 ? context.upstream() : zero;
    const ValueId other = slot == 1 ? zero : context.upstream();
    const ValueId part = context.emit_onnx("Where", {context.input(0), chosen, other});
    context.give(slot, context.emit("SumLike", {part, context.input(slot)}));
  }
}

void expand_gradient(GradContext& context) {
  context.give(0, context.emit("SumLike", {context.upstream(), context.input(0)}));
}

void register_training_selection(OpRegistry& ops) {
  ops.add(
      training_record("GatherGradient", {3, 3}, {1, 1}, infer_like<1>, gather_gradient_reference));
  ops.add(training_record("TileGradient", {2, 2}, {1, 1}, infer_like<1>, tile_gradient_reference));
}

}  // namespace qtool
