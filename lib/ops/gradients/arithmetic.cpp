// SPDX-License-Identifier: Apache-2.0
// Gradients of Add, Sub, Mul, Div, Sum and reductions, with the ops for broadcasting and its
// reverse: SumLike, BroadcastLike, MeanShare.
#include <algorithm>

#include "kernels/host/copy.h"
#include "kernels/host/elementwise.h"
#include "kernels/host/reduce.h"
#include "ops/gradients/gradients.h"
#include "ops/lowering.h"
#include "ops/reals.h"
#include "ops/shapes.h"

namespace qtool {

namespace {

ValueId product(GradContext& context, ValueId a, ValueId b) {
  return context.emit_onnx("Mul", {a, b});
}

ValueId scaled(GradContext& context, ValueId x, float factor) {
  Tensor number = cast(Tensor::scalar(factor), context.node.output_type(0).dtype);
  return product(context, x, context.constant(std::move(number)));
}

void give_sum(GradContext& context, size_t slot, ValueId gradient) {
  context.give(slot, context.emit("SumLike", {gradient, context.input(slot)}));
}

// ---- SumLike ----------------------------------------------------------------------------------

/// By dimension of the large shape, whether the small one was broadcast along it.
std::vector<bool> broadcast_along(const Shape& large, const Shape& small) {
  std::vector<bool> along(large.size(), true);
  for (size_t back = 1; back <= small.size() && back <= large.size(); ++back) {
    along[large.size() - back] = small[small.size() - back] == 1 && large[large.size() - back] != 1;
  }
  return along;
}

std::vector<Tensor> sum_like_reference(const ReferenceCall& call) {
  const Shape& large = call.input(0).shape();
  const Shape& small = call.input(1).shape();
  const std::vector<bool> along = broadcast_along(large, small);
  const std::vector<double> from = reals(call, 0);
  std::vector<double> sums(static_cast<size_t>(element_count(small)), 0.0);
  for (size_t i = 0; i < from.size(); ++i) {
    auto rest = static_cast<int64_t>(i);
    int64_t place = 0;
    int64_t stride = 1;
    for (size_t d = large.size(); d-- > 0;) {
      if (!along[d]) {
        place += rest % large[d] * stride;
        stride *= large[d];
      }
      rest /= large[d];
    }
    sums[static_cast<size_t>(place)] += from[i];
  }
  return one_result(real_tensor(call.input(0).dtype(), small, sums));
}

Lowering lower_sum_like(const LowerContext& context) {
  const LowerInput& from = context.inputs[0];
  const Shape& small = context.inputs[1].shape;
  Lowering result;
  if (from.shape == small) {
    result.alias = true;
    result.input_layouts = {from.layout, Layout::plain};
    result.output_layouts = {from.layout};
    result.packed = {1};
    return result;
  }
  if (from.dtype != DType::float32) return Lowering::refuse("not float32");
  const std::vector<bool> along = broadcast_along(from.shape, small);
  int64_t kept = 0;
  for (size_t d = 0; d < along.size(); ++d) kept += !along[d] && from.shape[d] != 1 ? 1 : 0;
  // One dimension that remains is in order whatever the layout was.
  const Layout layout = kept <= 1 ? from.layout : Layout::plain;
  Shape extents;
  std::vector<bool> reduced;
  for (const int dim : storage_order(from.shape, layout)) {
    extents.push_back(from.shape[static_cast<size_t>(dim)]);
    reduced.push_back(along[static_cast<size_t>(dim)]);
  }
  if (std::ranges::find(reduced, true) == reduced.end()) return Lowering::refuse("only ones");
  result = lowering(make_reduce(ReduceOp::sum, extents, reduced, {}), {layout, Layout::plain},
                    {Layout::plain});
  result.packed = {1};
  return result;
}

// ---- BroadcastLike, MeanShare -----------------------------------------------------------------

/// Strides of the reduced tensor per dimension of the whole one, 0 along `axes`.
std::vector<int64_t> spread_strides(const NodeView& node, const Shape& whole) {
  const auto axes = node.attributes().integers("axes");
  std::vector<int64_t> strides(whole.size(), 0);
  int64_t stride = 1;
  for (size_t d = whole.size(); d-- > 0;) {
    if (std::ranges::find(axes, static_cast<int64_t>(d)) != axes.end()) continue;
    strides[d] = stride;
    stride *= whole[d];
  }
  return strides;
}

std::vector<Tensor> broadcast_like_reference(const ReferenceCall& call) {
  const Shape& whole = call.input(1).shape();
  const std::vector<int64_t> strides = spread_strides(call.node, whole);
  const std::vector<double> from = reals(call, 0);
  std::vector<double> to(static_cast<size_t>(element_count(whole)));
  for (size_t i = 0; i < to.size(); ++i) {
    auto rest = static_cast<int64_t>(i);
    int64_t place = 0;
    for (size_t d = whole.size(); d-- > 0;) {
      place += rest % whole[d] * strides[d];
      rest /= whole[d];
    }
    to[i] = from[static_cast<size_t>(place)];
  }
  return one_result(real_tensor(call.input(0).dtype(), whole, to));
}

Lowering lower_broadcast_like(const LowerContext& context) {
  if (!movable(context.inputs[0].dtype)) return Lowering::refuse("elements that are not moved");
  const Shape& whole = context.outputs[0].shape;
  CopySpec spec;
  spec.element_bytes = moved_bytes(context.inputs[0].dtype);
  spec.output_elements = element_count(whole);
  spec.copies.push_back(
      {whole, spread_strides(context.node, whole), row_major_strides(whole), 0, 0, 0});
  Lowering result = lowering(make_copy(std::move(spec)), {Layout::plain, Layout::plain});
  result.packed = {1};
  return result;
}

double share(int64_t part, int64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

std::vector<Tensor> mean_share_reference(const ReferenceCall& call) {
  std::vector<double> values = reals(call, 0);
  const double factor = share(call.input(0).size(), call.input(1).size());
  for (double& value : values) value *= factor;
  return one_result(real_tensor(call.input(0).dtype(), call.input(0).shape(), values));
}

Lowering lower_mean_share(const LowerContext& context) {
  if (context.inputs[0].dtype != DType::float32) return Lowering::refuse("not float32");
  const int64_t count = element_count(context.inputs[0].shape);
  const double factor = share(count, element_count(context.inputs[1].shape));
  const std::vector<PostOp> chain{{PostOp::Kind::linear, static_cast<float>(factor), 0}};
  const Layout layout = context.inputs[0].layout;
  Lowering result = lowering(make_unary(count, chain), {layout, Layout::plain}, {layout});
  result.packed = {1};
  return result;
}

/// The dimensions that a reduction of this node took away. Errors (unsupported): not known.
std::vector<int64_t> reduced_axes(const GradContext& context) {
  const NodeView& node = context.node;
  const auto& shape = node.input_type(0).shape;
  if (!shape) throw unsupported_error("the rank of its input is not known");
  std::vector<int64_t> axes = node.attributes().integers("axes");
  if (node.has_input(1)) {
    const auto listed = constant_integers(node, 1);
    if (!listed) throw unsupported_error("its axes are computed at run time");
    axes = *listed;
  }
  const auto rank = static_cast<int64_t>(shape->size());
  for (int64_t& axis : axes) axis = normalized_axis(axis, rank);
  if (axes.empty() && node.attributes().integer("noop_with_empty_axes", 0) == 0) {
    for (int64_t d = 0; d < rank; ++d) axes.push_back(d);
  }
  return axes;
}

}  // namespace

ValueId spread_back(GradContext& context, ValueId reduced) {
  Attributes attributes;
  attributes.set("axes", reduced_axes(context));
  return context.emit("BroadcastLike", {reduced, context.input(0)}, std::move(attributes));
}

void add_gradient(GradContext& context) {
  for (size_t i = 0; i < 2; ++i) {
    if (context.wants(i)) give_sum(context, i, context.upstream());
  }
}

void subtract_gradient(GradContext& context) {
  if (context.wants(0)) give_sum(context, 0, context.upstream());
  if (context.wants(1)) give_sum(context, 1, scaled(context, context.upstream(), -1));
}

void multiply_gradient(GradContext& context) {
  for (size_t i = 0; i < 2; ++i) {
    if (!context.wants(i)) continue;
    give_sum(context, i, product(context, context.upstream(), context.input(1 - i)));
  }
}

void divide_gradient(GradContext& context) {
  const ValueId part = context.emit_onnx("Div", {context.upstream(), context.input(1)});
  if (context.wants(0)) give_sum(context, 0, part);
  if (!context.wants(1)) return;
  give_sum(context, 1, scaled(context, product(context, part, context.output(0)), -1));
}

void sum_gradient(GradContext& context) {
  for (size_t i = 0; i < context.input_count(); ++i) {
    if (context.wants(i)) give_sum(context, i, context.upstream());
  }
}

void reduce_sum_gradient(GradContext& context) {
  context.give(0, spread_back(context, context.upstream()));
}

void reduce_mean_gradient(GradContext& context) {
  const ValueId part = context.emit("MeanShare", {context.upstream(), context.input(0)});
  context.give(0, spread_back(context, part));
}

void register_training_arithmetic(OpRegistry& ops) {
  OpDef sum = training_record("SumLike", {2, 2}, {1, 1}, infer_like<1>, sum_like_reference);
  sum.taste = LayoutTaste::any;
  sum.lower = lower_sum_like;
  ops.add(std::move(sum));

  OpDef spread =
      training_record("BroadcastLike", {2, 2}, {1, 1}, infer_like<1>, broadcast_like_reference);
  spread.lower = lower_broadcast_like;
  ops.add(std::move(spread));

  OpDef mean = training_record("MeanShare", {2, 2}, {1, 1}, infer_like<0>, mean_share_reference);
  mean.taste = LayoutTaste::any;
  mean.lower = lower_mean_share;
  ops.add(std::move(mean));
}

}  // namespace qtool
