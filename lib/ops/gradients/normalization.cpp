// SPDX-License-Identifier: Apache-2.0
// BatchNormalizationGradient (gy, x, gamma, mean, variance) → gx, ggamma, gbeta, where mean and
// variance are given numbers: y = gamma (x - mean) / sqrt(variance + epsilon) + beta.
// LayerNormalizationGradient (gy, x, scale) → gx, gscale, gbias, where they are those of each row.
#include <cmath>

#include "ops/along_axis.h"
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

std::vector<Tensor> layer_norm_gradient_reference(const ReferenceCall& call) {
  const Tensor& x = call.input(1);
  const auto epsilon = static_cast<double>(call.node.attributes().real("epsilon", 1e-5F));
  std::vector<double> g = reals(call, 0);
  std::vector<double> values = reals(call, 1);
  const std::vector<double> scale = reals(call, 2);
  const size_t row = scale.size();
  std::vector<double> gscale(row, 0.0);
  std::vector<double> gbias(row, 0.0);
  const auto count = static_cast<double>(row);
  for (size_t at = 0; at + row <= values.size() && row > 0; at += row) {
    double mean = 0;
    double squares = 0;
    for (size_t i = 0; i < row; ++i) mean += values[at + i] / count;
    for (size_t i = 0; i < row; ++i) {
      values[at + i] -= mean;
      squares += values[at + i] * values[at + i];
    }
    const double inverse = 1 / std::sqrt(squares / count + epsilon);
    double sum = 0;
    double along = 0;
    for (size_t i = 0; i < row; ++i) {
      values[at + i] *= inverse;
      gscale[i] += g[at + i] * values[at + i];
      gbias[i] += g[at + i];
      g[at + i] *= scale[i];
      sum += g[at + i];
      along += g[at + i] * values[at + i];
    }
    for (size_t i = 0; i < row; ++i) {
      g[at + i] = inverse * (g[at + i] - sum / count - values[at + i] * along / count);
    }
  }
  std::vector<Tensor> results = one_result(real_tensor(x.dtype(), x.shape(), g));
  results.push_back(real_tensor(x.dtype(), call.input(2).shape(), gscale));
  results.push_back(real_tensor(x.dtype(), call.input(2).shape(), gbias));
  return results;
}

/// For y = x s^-beta, s = bias + alpha / size * sum of x² over a window of channels:
/// gx_j = gy_j s_j^-beta - 2 alpha beta / size x_j sum over the windows that j is in of gy x
/// s^(-beta-1).
std::vector<Tensor> response_gradient_reference(const ReferenceCall& call) {
  const Attributes& attributes = call.node.attributes();
  const int64_t size = attributes.integer("size", 1);
  const auto share =
      static_cast<double>(attributes.real("alpha", 1e-4F)) / static_cast<double>(size);
  const auto beta = static_cast<double>(attributes.real("beta", 0.75F));
  const auto bias = static_cast<double>(attributes.real("bias", 1.0F));
  const Tensor& input = call.input(1);
  const std::vector<double> gy = reals(call, 0);
  const std::vector<double> x = reals(call, 1);
  std::vector<double> gx(x.size());
  const AlongAxis view(input.shape(), 1);
  const int64_t before = (size - 1) / 2;
  const int64_t after = size - 1 - before;
  const auto window = [&](int64_t c, int64_t back, int64_t ahead, auto&& term) {
    double sum = 0;
    const int64_t last = std::min(view.along - 1, c + ahead);
    for (int64_t k = std::max<int64_t>(0, c - back); k <= last; ++k) sum += term(k);
    return sum;
  };
  std::vector<double> base(static_cast<size_t>(view.along));
  view.for_lines([&](int64_t o, int64_t i) {
    const auto at = [&](int64_t c) { return view.index(o, c, i); };
    const auto base_of = [&](int64_t c) -> double& { return base[static_cast<size_t>(c)]; };
    for (int64_t c = 0; c < view.along; ++c) {
      base_of(c) =
          bias + share * window(c, before, after, [&](int64_t k) { return x[at(k)] * x[at(k)]; });
    }
    for (int64_t c = 0; c < view.along; ++c) {
      const double others = window(c, after, before, [&](int64_t k) {
        return gy[at(k)] * x[at(k)] * std::pow(base_of(k), -beta - 1);
      });
      gx[at(c)] = gy[at(c)] * std::pow(base_of(c), -beta) - 2 * share * beta * x[at(c)] * others;
    }
  });
  return one_result(real_tensor(input.dtype(), input.shape(), gx));
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

void layer_norm_gradient(GradContext& context) {
  const NodeView& node = context.node;
  const auto scale = node.input_type(1).concrete_shape();
  const auto& dims = node.input_type(0).shape;
  const size_t normalized = scale ? scale->size() : 0;
  const auto axis = node.attributes().integer("axis", -1);
  const auto rank = static_cast<int64_t>(dims ? dims->size() : 0);
  const int64_t first = axis < 0 ? axis + rank : axis;
  if (!dims || !scale || static_cast<int64_t>(normalized) != rank - first) {
    throw unsupported_error("its scale has not one element for each of a row");
  }
  for (size_t i = 1; i < context.output_count(); ++i) {
    if (context.upstream(i) != ValueId::none)
      throw unsupported_error("its mean or deviation is used by the loss");
  }
  Attributes attributes;
  attributes.set("epsilon", node.attributes().real("epsilon", 1e-5F));
  const auto made = context.emit_several(
      "LayerNormalizationGradient", {context.upstream(), context.input(0), context.input(1)},
      std::move(attributes), {true, context.wants(1), context.wants(2)});
  for (size_t i = 0; i < 3; ++i) context.give(i, made[i]);
}

ValueId by_channel(GradContext& context, ValueId numbers) {
  const auto& dims = context.node.input_type(0).shape;
  if (!dims || dims->size() < 2) throw unsupported_error("the rank of its input is not known");
  std::vector<int64_t> shape(dims->size(), 1);
  shape[1] = -1;
  const auto rank = static_cast<int64_t>(shape.size());
  return context.emit_onnx("Reshape",
                           {numbers, context.constant(Tensor::of<int64_t>({rank}, shape))});
}

ValueId sum_by_channel(GradContext& context, ValueId tensor, ValueId numbers) {
  const ValueId sums = context.emit("SumLike", {tensor, by_channel(context, numbers)});
  return context.emit_onnx("Reshape",
                           {sums, context.constant(Tensor::of<int64_t>({1}, {int64_t{-1}}))});
}

namespace {

ValueId both(GradContext& context, const char* op, ValueId a, ValueId b) {
  return context.emit_onnx(op, {a, b});
}

ValueId row_means(GradContext& context, ValueId x) {
  return context.emit_onnx("GlobalAveragePool", {x});
}

/// With all positions behind dimension 1 as one row: n = (x - mean) / deviation.
struct NormalRows {
  ValueId normal;
  ValueId deviation;
};

NormalRows normal_rows(GradContext& context, ValueId x) {
  const float epsilon = context.node.attributes().real("epsilon", 1e-5F);
  const ValueId small =
      context.constant(cast(Tensor::scalar(epsilon), context.node.output_type(0).dtype));
  const ValueId centred = both(context, "Sub", x, row_means(context, x));
  const ValueId variance = row_means(context, both(context, "Mul", centred, centred));
  const ValueId deviation = context.emit_onnx("Sqrt", {both(context, "Add", variance, small)});
  return {both(context, "Div", centred, deviation), deviation};
}

/// gx = (g - mean(g) - n mean(g n)) / deviation.
ValueId through(GradContext& context, const NormalRows& rows, ValueId g) {
  const ValueId share = row_means(context, both(context, "Mul", g, rows.normal));
  const ValueId along = both(context, "Mul", rows.normal, share);
  const ValueId rest = both(context, "Sub", g, row_means(context, g));
  return both(context, "Div", both(context, "Sub", rest, along), rows.deviation);
}

ValueId reshaped(GradContext& context, ValueId x, const std::vector<int64_t>& shape) {
  const auto rank = static_cast<int64_t>(shape.size());
  return context.emit_onnx("Reshape", {x, context.constant(Tensor::of<int64_t>({rank}, shape))});
}

}  // namespace

void instance_norm_gradient(GradContext& context) {
  const ValueId gy = context.upstream();
  const NormalRows rows = normal_rows(context, context.input(0));
  if (context.wants(0)) {
    const ValueId g = both(context, "Mul", gy, by_channel(context, context.input(1)));
    context.give(0, through(context, rows, g));
  }
  if (context.wants(1)) {
    const ValueId along = both(context, "Mul", gy, rows.normal);
    context.give(1, sum_by_channel(context, along, context.input(1)));
  }
  if (context.wants(2)) context.give(2, sum_by_channel(context, gy, context.input(2)));
}

/// Rows are groups [N, G, all else]. Until opset 20 scale and bias have a number a group, then one
/// a channel.
void group_norm_gradient(GradContext& context) {
  const int64_t groups = context.node.attributes().integer("num_groups", 1);
  const auto as_rows = [&](ValueId x) { return reshaped(context, x, {0, groups, -1}); };
  const auto as_input = [&](ValueId x) {
    return context.emit("ReshapeLike", {x, context.input(0)});
  };
  const bool by_group = context.def.since_version < 21;
  const ValueId gy = context.upstream();
  const NormalRows rows = normal_rows(context, as_rows(context.input(0)));
  if (context.wants(0)) {
    const ValueId scale = context.input(1);
    const ValueId g =
        by_group ? both(context, "Mul", as_rows(gy), reshaped(context, scale, {1, groups, 1}))
                 : as_rows(both(context, "Mul", gy, by_channel(context, scale)));
    context.give(0, as_input(through(context, rows, g)));
  }
  const auto sum = [&](ValueId x, size_t slot) {
    if (!by_group) return sum_by_channel(context, x, context.input(slot));
    const ValueId places = reshaped(context, context.input(slot), {1, groups, 1});
    return reshaped(context, context.emit("SumLike", {as_rows(x), places}), {-1});
  };
  if (context.wants(1)) {
    context.give(1, sum(both(context, "Mul", gy, as_input(rows.normal)), 1));
  }
  if (context.wants(2)) context.give(2, sum(gy, 2));
}

void response_norm_gradient(GradContext& context) {
  context.give(0, context.emit("LRNGradient", {context.upstream(), context.input(0)},
                               context.node.attributes()));
}

void register_training_normalization(OpRegistry& ops) {
  ops.add(
      training_record("LRNGradient", {2, 2}, {1, 1}, infer_like<1>, response_gradient_reference));
  ops.add(training_record("LayerNormalizationGradient", {3, 3}, {1, 3}, infer_batch_norm_gradient,
                          layer_norm_gradient_reference));
  ops.add(training_record("BatchNormalizationGradient", {5, 5}, {1, 3}, infer_batch_norm_gradient,
                          batch_norm_gradient_reference));
}

}  // namespace qtool
