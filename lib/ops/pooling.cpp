// SPDX-License-Identifier: Apache-2.0
// MaxPool (opsets 1 to 12), AveragePool (1 to 19, dilation apart), GlobalAveragePool,
// GlobalMaxPool.
#include <algorithm>
#include <limits>
#include <numeric>

#include "kernels/host/elementwise.h"
#include "kernels/reference/reference.h"
#include "ops/families.h"
#include "ops/gradients/gradients.h"
#include "ops/lowering.h"
#include "ops/pool_indices.h"
#include "ops/shapes.h"
#include "support/text.h"

namespace qtool {

namespace {

std::vector<int64_t> kernel_shape(const NodeView& node) {
  auto kernel = node.attributes().integers("kernel_shape");
  if (kernel.empty()) throw input_error("\"kernel_shape\" is missing");
  return kernel;
}

/// A window must not fit into the padding: there would be nothing to pool.
void check_padding(const NodeView& node) {
  const auto kernel = kernel_shape(node);
  const auto pads = node.attributes().integers("pads");
  const auto dilations = node.attributes().integers("dilations");
  for (size_t i = 0; i < pads.size() && pads.size() == 2 * kernel.size(); ++i) {
    const size_t d = i % kernel.size();
    const int64_t dilation = d < dilations.size() ? dilations[d] : 1;
    if (pads[i] > 0 && pads[i] > (kernel[d] - 1) * dilation) {
      throw input_error(fmt::format("padding of {} with a window of {}", pads[i], kernel[d]));
    }
  }
}

void infer_pool(InferContext& context) {
  const NodeView& node = context.node;
  TensorType type{node.input_type(0).dtype, std::nullopt};
  if (const auto& x = node.input_type(0).shape) {
    const auto extents = window_extents(node, kernel_shape(node), *x);
    check_padding(node);
    type.shape = {{(*x)[0], (*x)[1]}};
    type.shape->insert(type.shape->end(), extents.begin(), extents.end());
  }
  context.set_output(0, type);
  if (node.output_count() > 1) context.set_output(1, {DType::int64, type.shape});
}

void infer_global_pool(InferContext& context) {
  const NodeView& node = context.node;
  TensorType type = node.input_type(0);
  if (type.shape) {
    if (type.shape->size() < 3) throw input_error("the input has no spatial dimensions");
    for (size_t i = 2; i < type.shape->size(); ++i) {
      if ((*type.shape)[i].value == 0)
        throw input_error(fmt::format("axis {} has nothing to pool", i));
      (*type.shape)[i] = {1, {}};
    }
  }
  context.set_output(0, std::move(type));
}

reference::Window plain_window(const Window& window) {
  return {window.kernel, window.strides, window.pads, window.dilations};
}

Shape output_extents(const Window& window, const Shape& x) {
  Shape out;
  for (size_t i = 0; i < window.rank(); ++i) out.push_back(window.extent(i, x[i + 2]));
  return out;
}

float highest(const std::vector<float>& values, int64_t) {
  float best = -std::numeric_limits<float>::infinity();
  for (const float value : values) best = value > best || value != value ? value : best;
  return best;
}

float mean(const std::vector<float>& values, int64_t counted_too) {
  const double sum = std::accumulate(values.begin(), values.end(), 0.0);
  return static_cast<float>(sum /
                            static_cast<double>(static_cast<int64_t>(values.size()) + counted_too));
}

/// Halves go through float, which holds them exactly; doubles are rounded to it.
Tensor as_float(const ReferenceCall& call) {
  const DType dtype = call.input(0).dtype();
  const bool known = dtype == DType::float16 || dtype == DType::bfloat16 || dtype == DType::float64;
  return known ? cast(call.input(0), DType::float32) : float_input(call, 0).clone();
}

/// A maximum is also taken of codes (opset 12 allows u8 and s8).
Tensor comparable(const ReferenceCall& call) {
  const DType dtype = call.input(0).dtype();
  const bool codes = bits(dtype) == 8 && is_integer(dtype);
  return codes ? cast(call.input(0), DType::float32) : as_float(call);
}

std::vector<Tensor> max_pool_reference(const ReferenceCall& call) {
  const Tensor x = comparable(call);
  const Window window = read_window(call.node, kernel_shape(call.node), x.shape());
  const Shape out = output_extents(window, x.shape());
  const Tensor y = reference::pool(x, plain_window(window), out, highest);
  std::vector<Tensor> results = one_result(cast(y, call.input(0).dtype()));
  if (call.node.has_output(1)) {
    const bool column_major = call.node.attributes().integer("storage_order", 0) != 0;
    results.push_back(max_pool_indices(x, window, out, column_major));
  }
  return results;
}

std::vector<Tensor> average_pool_reference(const ReferenceCall& call) {
  const Tensor x = as_float(call);
  const Window window = read_window(call.node, kernel_shape(call.node), x.shape());
  const bool include = call.node.attributes().integer("count_include_pad", 0) != 0;
  const Tensor y = reference::pool(x, plain_window(window), output_extents(window, x.shape()),
                                   [&](const std::vector<float>& inside, int64_t outside) {
                                     return mean(inside, include ? outside : 0);
                                   });
  return one_result(cast(y, call.input(0).dtype()));
}

Window global_window(const Shape& x) {
  const std::vector<int64_t> kernel(x.begin() + 2, x.end());
  return {kernel, std::vector<int64_t>(kernel.size(), 1),
          std::vector<int64_t>(2 * kernel.size(), 0), std::vector<int64_t>(kernel.size(), 1),
          false};
}

std::vector<Tensor> global_average_reference(const ReferenceCall& call) {
  const Tensor x = as_float(call);
  const Tensor y = reference::pool(x, plain_window(global_window(x.shape())),
                                   Shape(static_cast<size_t>(x.rank()) - 2, 1), mean);
  return one_result(cast(y, call.input(0).dtype()));
}

std::vector<Tensor> global_max_reference(const ReferenceCall& call) {
  const Tensor x = comparable(call);
  Tensor y = reference::pool(x, plain_window(global_window(x.shape())),
                             Shape(static_cast<size_t>(x.rank()) - 2, 1), highest);
  return one_result(cast(y, call.input(0).dtype()));
}

Lowering lower_window(const LowerContext& context, onednn::PoolSpec::Kind kind,
                      const Window& window) {
  if (!context.post_ops.empty()) return Lowering::refuse("post-ops behind pooling");
  if (context.outputs.size() > 1 && context.outputs[1].present) {
    return Lowering::refuse("indices as a second output");
  }
  const DType dtype = context.inputs[0].dtype;
  const bool codes =
      kind == onednn::PoolSpec::Kind::max && (dtype == DType::uint8 || dtype == DType::int8);
  if (dtype != DType::float32 && !codes) {
    return Lowering::refuse("elements of type " + std::string(name(dtype)));
  }
  onednn::PoolSpec spec;
  spec.kind = kind;
  spec.source = operand(context.inputs[0], Layout::channels_last);
  spec.destination = operand(context.outputs[0], Layout::channels_last);
  spec.kernel = window.kernel;
  spec.strides = window.strides;
  spec.pads = window.pads;
  spec.dilations = window.dilations;
  return lowering(onednn::make_pool(spec), {Layout::channels_last}, {Layout::channels_last});
}

Lowering lower_max_pool(const LowerContext& context) {
  if (!moves_codes(context)) return Lowering::refuse("input and output have different scales");
  const Window window =
      read_window(context.node, kernel_shape(context.node), context.inputs[0].shape);
  return lower_window(context, onednn::PoolSpec::Kind::max, window);
}

Lowering lower_average_pool(const LowerContext& context) {
  if (context.quantized()) return Lowering::refuse("average pooling of codes runs in float");
  const Window window =
      read_window(context.node, kernel_shape(context.node), context.inputs[0].shape);
  const bool include = context.node.attributes().integer("count_include_pad", 0) != 0;
  if (include && window.ceil_mode) return Lowering::refuse("ceil_mode with count_include_pad");
  return lower_window(context,
                      include ? onednn::PoolSpec::Kind::average_including_pads
                              : onednn::PoolSpec::Kind::average_excluding_pads,
                      window);
}

Lowering lower_global_average(const LowerContext& context) {
  const LowerInput& x = context.inputs[0];
  if (!context.quantized()) {
    return lower_window(context, onednn::PoolSpec::Kind::average_including_pads,
                        global_window(x.shape));
  }
  if (x.params == nullptr || context.outputs[0].params == nullptr) {
    return Lowering::refuse("only one side is quantized");
  }
  if (!context.post_ops.empty()) return Lowering::refuse("post-ops behind pooling");
  const int64_t channels = x.shape[1];
  const int64_t positions = element_count({x.shape.begin() + 2, x.shape.end()});
  const bool last = x.layout == Layout::channels_last;
  return lowering(make_quantized_average(x.shape[0], positions, channels, last, *x.params,
                                         *context.outputs[0].params),
                  {x.layout}, {Layout::plain});
}

Lowering lower_global_max(const LowerContext& context) {
  if (!moves_codes(context)) return Lowering::refuse("input and output have different scales");
  return lower_window(context, onednn::PoolSpec::Kind::max, global_window(context.inputs[0].shape));
}

OpDef pool_def(const char* type, int since, QuantRule quant) {
  return {.key = {"", type},
          .since_version = since,
          .inputs = {1, 1},
          .outputs = {1, 1},
          .infer = infer_global_pool,
          .reference = global_average_reference,
          .tolerance = kAccumulated,
          .taste = LayoutTaste::channels_last,
          .quant = std::move(quant)};
}

}  // namespace

void register_pooling(OpRegistry& ops) {
  const QuantRule computes{.behaviour = Behaviour::compute, .inputs = {{OperandRole::activation}}};
  const QuantRule moves{.behaviour = Behaviour::move_data,
                        .inputs = {{OperandRole::activation}},
                        .shares_params = true};
  OpDef max_pool = pool_def("MaxPool", 1, moves);
  max_pool.outputs = {1, 2};
  max_pool.infer = infer_pool;
  max_pool.reference = max_pool_reference;
  max_pool.tolerance = kExact;
  max_pool.lower = lower_max_pool;
  max_pool.gradient = max_pool_gradient;
  ops.add(std::move(max_pool));

  OpDef average_pool = pool_def("AveragePool", 1, computes);
  average_pool.infer = infer_pool;
  average_pool.reference = average_pool_reference;
  average_pool.lower = lower_average_pool;
  average_pool.gradient = average_pool_gradient;
  ops.add(std::move(average_pool));

  OpDef global_average = pool_def("GlobalAveragePool", 1, computes);
  global_average.lower = lower_global_average;
  global_average.gradient = average_pool_gradient;
  ops.add(std::move(global_average));

  OpDef global_max = pool_def("GlobalMaxPool", 1, moves);
  global_max.reference = global_max_reference;
  global_max.tolerance = kExact;
  global_max.lower = lower_global_max;
  global_max.gradient = max_pool_gradient;
  ops.add(std::move(global_max));
}

}  // namespace qtool
