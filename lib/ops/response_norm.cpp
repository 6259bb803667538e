// SPDX-License-Identifier: Apache-2.0
// LRN, LpNormalization (both since 1) and MeanVarianceNormalization (9: the axes' default names the
// batch and all spatial dimensions of images).
#include <cmath>

#include "kernels/host/normalize.h"
#include "ops/along_axis.h"
#include "ops/families.h"
#include "ops/gradients/gradients.h"
#include "ops/lowering.h"
#include "ops/reals.h"
#include "ops/shapes.h"
#include "support/text.h"

namespace qtool {

namespace {

// ---- LRN --------------------------------------------------------------------------------------

ResponseSpec response_spec(const NodeView& node) {
  ResponseSpec spec;
  spec.size = node.attributes().integer("size", 0);
  if (spec.size < 1) throw input_error(fmt::format("\"size\" is {}", spec.size));
  spec.alpha = node.attributes().real("alpha", 1e-4F);
  spec.beta = node.attributes().real("beta", 0.75F);
  spec.bias = node.attributes().real("bias", 1.0F);
  return spec;
}

ResponseSpec response_spec(const NodeView& node, const Shape& shape) {
  ResponseSpec spec = response_spec(node);
  spec.outer = shape[0];
  spec.channels = shape[1];
  spec.inner = element_count({shape.begin() + 2, shape.end()});
  return spec;
}

void infer_response(InferContext& context) {
  response_spec(context.node);
  const auto& x = context.node.input_type(0).shape;
  if (x && x->size() < 2) throw input_error("the input has no channels");
  infer_same_type(context);
}

std::vector<Tensor> response_reference(const ReferenceCall& call) {
  const Shape& shape = call.input(0).shape();
  const ResponseSpec spec = response_spec(call.node, shape);
  const std::vector<double> x = reals(call, 0);
  std::vector<double> y(x.size());
  const AlongAxis view(shape, 1);
  view.for_lines([&](int64_t o, int64_t i) {
    for (int64_t c = 0; c < view.along; ++c) {
      double sum = 0;
      const int64_t before = (spec.size - 1) / 2;
      const int64_t after = spec.size - 1 - before;
      for (int64_t k = std::max<int64_t>(0, c - before); k <= std::min(view.along - 1, c + after);
           ++k) {
        sum += x[view.index(o, k, i)] * x[view.index(o, k, i)];
      }
      const double base = static_cast<double>(spec.bias) +
                          static_cast<double>(spec.alpha) / static_cast<double>(spec.size) * sum;
      y[view.index(o, c, i)] =
          x[view.index(o, c, i)] / std::pow(base, static_cast<double>(spec.beta));
    }
  });
  return one_result(real_tensor(call.input(0).dtype(), shape, y));
}

Lowering lower_response(const LowerContext& context) {
  if (context.quantized()) return Lowering::refuse("it runs in float");
  const LowerInput& x = context.inputs[0];
  if (x.dtype != DType::float32) return Lowering::refuse("elements that are not float");
  if (element_count(x.shape) == 0) return Lowering::refuse("an empty tensor");
  return lowering(make_response(response_spec(context.node, x.shape)), {Layout::plain});
}

// ---- LpNormalization --------------------------------------------------------------------------

int64_t norm_order(const NodeView& node) {
  const int64_t p = node.attributes().integer("p", 2);
  if (p != 1 && p != 2) throw input_error(fmt::format("p is {}, expected 1 or 2", p));
  return p;
}

int64_t norm_axis(const NodeView& node, size_t rank) {
  return normalized_axis(node.attributes().integer("axis", -1), static_cast<int64_t>(rank));
}

void infer_lp_norm(InferContext& context) {
  norm_order(context.node);
  if (const auto& x = context.node.input_type(0).shape) norm_axis(context.node, x->size());
  infer_same_type(context);
}

/// Where the norm is 0, so are the results (ONNX leaves it open; ONNX Runtime does so).
std::vector<Tensor> lp_norm_reference(const ReferenceCall& call) {
  const Shape& shape = call.input(0).shape();
  const bool squares = norm_order(call.node) == 2;
  std::vector<double> values = reals(call, 0);
  const AlongAxis view(shape, norm_axis(call.node, shape.size()));
  view.for_lines([&](int64_t o, int64_t i) {
    double sum = 0;
    for (int64_t k = 0; k < view.along; ++k) {
      const double v = values[view.index(o, k, i)];
      sum += squares ? v * v : std::fabs(v);
    }
    const double norm = squares ? std::sqrt(sum) : sum;
    for (int64_t k = 0; k < view.along && norm != 0; ++k) values[view.index(o, k, i)] /= norm;
  });
  return one_result(real_tensor(call.input(0).dtype(), shape, values));
}

// ---- MeanVarianceNormalization ----------------------------------------------------------------

std::vector<bool> pooled_dims(const NodeView& node, size_t rank) {
  std::vector<int64_t> axes = node.attributes().integers("axes", {0, 2, 3});
  std::vector<bool> pooled(rank, false);
  for (const int64_t axis : axes) {
    pooled[static_cast<size_t>(normalized_axis(axis, static_cast<int64_t>(rank)))] = true;
  }
  return pooled;
}

void infer_mean_variance(InferContext& context) {
  if (const auto& x = context.node.input_type(0).shape) pooled_dims(context.node, x->size());
  infer_same_type(context);
}

/// (x - mean) / (deviation + 1e-9), as ONNX's function body has it.
std::vector<Tensor> mean_variance_reference(const ReferenceCall& call) {
  const Shape& shape = call.input(0).shape();
  const std::vector<bool> pooled = pooled_dims(call.node, shape.size());
  std::vector<double> values = reals(call, 0);
  std::vector<size_t> group_of(values.size());
  size_t groups = 1;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (pooled[d]) continue;
    const AlongAxis view(shape, static_cast<int64_t>(d));
    view.for_lines([&](int64_t o, int64_t i) {
      for (int64_t k = 0; k < view.along; ++k) {
        group_of[view.index(o, k, i)] += static_cast<size_t>(k) * groups;
      }
    });
    groups *= static_cast<size_t>(shape[d]);
  }
  std::vector<double> sum(groups);
  std::vector<double> squares(groups);
  const double count = static_cast<double>(values.size()) / static_cast<double>(groups);
  for (size_t i = 0; i < values.size(); ++i) sum[group_of[i]] += values[i];
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] -= sum[group_of[i]] / count;
    squares[group_of[i]] += values[i] * values[i];
  }
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] /= std::sqrt(squares[group_of[i]] / count) + 1e-9;
  }
  return one_result(real_tensor(call.input(0).dtype(), shape, values));
}

OpDef same_type_record(const char* type, int since, void (*infer)(InferContext&),
                       std::vector<Tensor> (*reference)(const ReferenceCall&)) {
  return {.key = {"", type},
          .since_version = since,
          .inputs = {1, 1},
          .outputs = {1, 1},
          .infer = infer,
          .reference = reference,
          .tolerance = kAccumulated};
}

}  // namespace

void register_response_norm(OpRegistry& ops) {
  OpDef response = same_type_record("LRN", 1, infer_response, response_reference);
  response.lower = lower_response;
  response.gradient = response_norm_gradient;
  ops.add(std::move(response));
  ops.add(same_type_record("LpNormalization", 1, infer_lp_norm, lp_norm_reference));
  ops.add(same_type_record("MeanVarianceNormalization", 9, infer_mean_variance,
                           mean_variance_reference));
}

}  // namespace qtool
