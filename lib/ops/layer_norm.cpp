// SPDX-License-Identifier: Apache-2.0
// LayerNormalization (17), InstanceNormalization (6 to 22), GroupNormalization (18: a scale and a
// bias per group, 21: per channel). They differ in which elements share a mean and a scale.
#include <cmath>

#include "kernels/host/normalize.h"
#include "ops/families.h"
#include "ops/gradients/gradients.h"
#include "ops/lowering.h"
#include "ops/reals.h"
#include "ops/shapes.h"
#include "support/text.h"

namespace qtool {

namespace {

double epsilon(const NodeView& node) {
  const auto value = static_cast<double>(node.attributes().real("epsilon", 1e-5F));
  if (!(value >= 0)) throw input_error(fmt::format("epsilon is {}", value));
  return value;
}

/// Rows as NormalizeSpec has them, of a shape that inference has checked.
using SpecOf = NormalizeSpec (*)(const NodeView&, const Shape&);

struct Normalized {
  std::vector<double> y;
  std::vector<double> mean;
  std::vector<double> inverse;
};

/// The definition. `scale` and `bias` by element of a period; no bias: empty.
Normalized normalize(const std::vector<double>& x, const std::vector<double>& scale,
                     const std::vector<double>& bias, const NormalizeSpec& spec) {
  Normalized result{std::vector<double>(x.size()), {}, {}};
  const auto row = static_cast<size_t>(spec.segments * spec.run);
  for (size_t r = 0; r < static_cast<size_t>(spec.rows); ++r) {
    double sum = 0;
    for (size_t i = 0; i < row; ++i) sum += x[r * row + i];
    const double mean = sum / static_cast<double>(row);
    double squares = 0;
    for (size_t i = 0; i < row; ++i) squares += (x[r * row + i] - mean) * (x[r * row + i] - mean);
    const double inverse = 1 / std::sqrt(squares / static_cast<double>(row) + spec.epsilon);
    for (size_t i = 0; i < row; ++i) {
      const size_t p = r % static_cast<size_t>(spec.periods) * static_cast<size_t>(spec.segments) +
                       i / static_cast<size_t>(spec.run);
      result.y[r * row + i] =
          (x[r * row + i] - mean) * inverse * scale[p] + (bias.empty() ? 0 : bias[p]);
    }
    result.mean.push_back(mean);
    result.inverse.push_back(inverse);
  }
  return result;
}

template <SpecOf spec_of>
Lowering lower_normalize(const LowerContext& context) {
  const Shape& shape = context.inputs[0].shape;
  if (element_count(shape) == 0) return Lowering::refuse("an empty tensor");
  NormalizeSpec spec = spec_of(context.node, shape);
  spec.result = context.outputs[0].params;
  for (size_t i = 0; i < context.inputs.size(); ++i) {
    if (!context.has(i)) continue;
    if (context.inputs[i].params != nullptr) return Lowering::refuse("it runs in float");
    if (context.inputs[i].dtype != DType::float32) return Lowering::refuse("elements not float");
    if (i > 0 && element_count(context.inputs[i].shape) != spec.periods * spec.segments) {
      return Lowering::refuse("a scale or bias that is broadcast");
    }
  }
  return lowering(make_normalize(spec), std::vector<Layout>(3, Layout::plain));
}

// ---- LayerNormalization -----------------------------------------------------------------------

size_t layer_axis(const NodeView& node, size_t rank) {
  return static_cast<size_t>(
      normalized_axis(node.attributes().integer("axis", -1), static_cast<int64_t>(rank)));
}

NormalizeSpec layer_spec(const NodeView& node, const Shape& shape) {
  const auto at = static_cast<std::ptrdiff_t>(layer_axis(node, shape.size()));
  NormalizeSpec spec;
  spec.rows = element_count({shape.begin(), shape.begin() + at});
  spec.segments = element_count({shape.begin() + at, shape.end()});
  spec.epsilon = epsilon(node);
  return spec;
}

/// Scale and bias broadcast to the normalized dimensions.
void check_layer_operand(const NodeView& node, size_t slot, const std::vector<Dim>& x,
                         size_t axis) {
  const auto& operand = node.input_type(slot).shape;
  if (!operand) return;
  bool fits = operand->size() <= x.size() - axis;
  for (size_t i = 0; fits && i < operand->size(); ++i) {
    const Dim& mine = (*operand)[operand->size() - 1 - i];
    const Dim& whole = x[x.size() - 1 - i];
    fits = !mine.value || *mine.value == 1 || !whole.value || *mine.value == *whole.value;
  }
  if (!fits) {
    throw input_error(fmt::format("input {} is {}, which does not fit {} from axis {} on", slot,
                                  to_string(node.input_type(slot)), to_string(node.input_type(0)),
                                  axis));
  }
}

void infer_layer(InferContext& context) {
  const NodeView& node = context.node;
  check_same_dtype(node, 3);
  epsilon(node);
  TensorType statistics{DType::float32, std::nullopt};
  if (const auto& x = node.input_type(0).shape) {
    const size_t axis = layer_axis(node, x->size());
    check_layer_operand(node, 1, *x, axis);
    check_layer_operand(node, 2, *x, axis);
    statistics.shape = *x;
    for (size_t d = axis; d < x->size(); ++d) (*statistics.shape)[d] = {1, {}};
  }
  infer_same_type(context);
  context.set_output(1, statistics);
  context.set_output(2, std::move(statistics));
}

/// An operand repeated over the normalized dimensions.
std::vector<double> repeated(const ReferenceCall& call, size_t slot, const Shape& normalized) {
  const std::vector<double> values = reals(call, slot);
  const Shape& shape = call.input(slot).shape();
  std::vector<double> result;
  for (int64_t e = 0; e < element_count(normalized); ++e) {
    int64_t rest = e;
    int64_t place = 0;
    int64_t stride = 1;
    for (size_t back = 1; back <= shape.size(); ++back) {
      const int64_t extent = shape[shape.size() - back];
      const int64_t whole = normalized[normalized.size() - back];
      if (extent != 1) place += rest % whole * stride;
      rest /= whole;
      stride *= extent;
    }
    result.push_back(values[static_cast<size_t>(place)]);
  }
  return result;
}

std::vector<Tensor> layer_reference(const ReferenceCall& call) {
  const Tensor& x = call.input(0);
  const NormalizeSpec spec = layer_spec(call.node, x.shape());
  const size_t axis = layer_axis(call.node, x.shape().size());
  const Shape inner(x.shape().begin() + static_cast<std::ptrdiff_t>(axis), x.shape().end());
  const Normalized result =
      normalize(reals(call, 0), repeated(call, 1, inner),
                call.has(2) ? repeated(call, 2, inner) : std::vector<double>{}, spec);
  Shape outer = x.shape();
  std::fill(outer.begin() + static_cast<std::ptrdiff_t>(axis), outer.end(), 1);
  std::vector<Tensor> results = one_result(real_tensor(x.dtype(), x.shape(), result.y));
  results.push_back(real_tensor(DType::float32, outer, result.mean));
  results.push_back(real_tensor(DType::float32, outer, result.inverse));
  return results;
}

// ---- InstanceNormalization, GroupNormalization ------------------------------------------------

/// [N, C, spatial...] in rows of `groups` a sample; one scale for `per_scale` channels.
NormalizeSpec channel_spec(const NodeView& node, const Shape& shape, int64_t groups,
                           int64_t per_scale) {
  NormalizeSpec spec;
  spec.rows = shape[0] * groups;
  spec.periods = groups;
  const int64_t channels = groups == 0 ? 0 : shape[1] / groups;
  spec.segments = channels / std::max<int64_t>(per_scale, 1);
  spec.run = element_count({shape.begin() + 2, shape.end()}) * per_scale;
  spec.epsilon = epsilon(node);
  return spec;
}

NormalizeSpec instance_spec(const NodeView& node, const Shape& shape) {
  return channel_spec(node, shape, shape[1], 1);
}

int64_t group_count(const NodeView& node) {
  const int64_t groups = node.attributes().integer("num_groups", 0);
  if (groups < 1) throw input_error(fmt::format("num_groups is {}", groups));
  return groups;
}

NormalizeSpec group18_spec(const NodeView& node, const Shape& shape) {
  const int64_t groups = group_count(node);
  return channel_spec(node, shape, groups, shape[1] / groups);
}

NormalizeSpec group21_spec(const NodeView& node, const Shape& shape) {
  return channel_spec(node, shape, group_count(node), 1);
}

/// Inputs 1 and 2 hold one number for each of `count` (unknown: not checked).
void check_channel_operands(const NodeView& node, const Dim& count) {
  for (size_t i = 1; i < 3; ++i) {
    const auto& operand = node.input_type(i).shape;
    if (!operand) continue;
    if (operand->size() != 1 ||
        ((*operand)[0].value && count.value && *(*operand)[0].value != *count.value)) {
      const std::string wanted = count.value ? std::to_string(*count.value) : "as many as channels";
      throw input_error(fmt::format("input {} is {}, expected a vector of {}", i,
                                    to_string(node.input_type(i)), wanted));
    }
  }
}

const std::vector<Dim>* channel_dims(const NodeView& node) {
  check_same_dtype(node, 3);
  epsilon(node);
  const auto& x = node.input_type(0).shape;
  if (!x) return nullptr;
  if (x->size() < 3) throw input_error("the input has no spatial dimensions");
  return &*x;
}

void infer_instance(InferContext& context) {
  if (const auto* x = channel_dims(context.node)) check_channel_operands(context.node, (*x)[1]);
  infer_same_type(context);
}

template <bool per_channel>
void infer_group(InferContext& context) {
  const int64_t groups = group_count(context.node);
  if (const auto* x = channel_dims(context.node)) {
    const Dim& channels = (*x)[1];
    if (channels.value && *channels.value % groups != 0) {
      throw input_error(
          fmt::format("{} channels are not divisible by {} groups", *channels.value, groups));
    }
    check_channel_operands(context.node, per_channel ? channels : Dim{groups, {}});
  }
  infer_same_type(context);
}

template <SpecOf spec_of>
std::vector<Tensor> channel_reference(const ReferenceCall& call) {
  const Tensor& x = call.input(0);
  const Normalized result =
      normalize(reals(call, 0), reals(call, 1), reals(call, 2), spec_of(call.node, x.shape()));
  return one_result(real_tensor(x.dtype(), x.shape(), result.y));
}

template <SpecOf spec_of>
OpDef channel_record(const char* type, int since, void (*infer)(InferContext&)) {
  return {.key = {"", type},
          .since_version = since,
          .inputs = {3, 3},
          .outputs = {1, 1},
          .infer = infer,
          .reference = channel_reference<spec_of>,
          .tolerance = kAccumulated,
          .lower = lower_normalize<spec_of>};
}

}  // namespace

void register_layer_norm(OpRegistry& ops) {
  ops.add({.key = {"", "LayerNormalization"},
           .since_version = 17,
           .inputs = {2, 3},
           .outputs = {1, 3},
           .infer = infer_layer,
           .reference = layer_reference,
           .tolerance = kAccumulated,
           .lower = lower_normalize<layer_spec>,
           .gradient = layer_norm_gradient});
  OpDef instance = channel_record<instance_spec>("InstanceNormalization", 6, infer_instance);
  instance.gradient = instance_norm_gradient;
  ops.add(std::move(instance));
  OpDef by_group = channel_record<group18_spec>("GroupNormalization", 18, infer_group<false>);
  by_group.gradient = group_norm_gradient;
  ops.add(std::move(by_group));
  OpDef by_channel = channel_record<group21_spec>("GroupNormalization", 21, infer_group<true>);
  by_channel.gradient = group_norm_gradient;
  ops.add(std::move(by_channel));
}

}  // namespace qtool
