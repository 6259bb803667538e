// SPDX-License-Identifier: Apache-2.0
// LpPool (opset 2: p is an integer, 11: auto_pad made clear, 18: dilations and ceil_mode) and
// GlobalLpPool (2).
#include <cmath>

#include "kernels/reference/reference.h"
#include "ops/families.h"
#include "ops/reals.h"
#include "ops/shapes.h"
#include "support/text.h"

namespace qtool {

namespace {

double order(const NodeView& node) {
  const int64_t p = node.attributes().integer("p", 2);
  if (p < 1) throw input_error(fmt::format("p is {}, expected 1 or more", p));
  return static_cast<double>(p);
}

std::vector<int64_t> kernel_shape(const NodeView& node) {
  auto kernel = node.attributes().integers("kernel_shape");
  if (kernel.empty()) throw input_error("\"kernel_shape\" is missing");
  return kernel;
}

void infer_lp_pool(InferContext& context) {
  const NodeView& node = context.node;
  order(node);
  TensorType type{node.input_type(0).dtype, std::nullopt};
  if (const auto& x = node.input_type(0).shape) {
    const auto extents = window_extents(node, kernel_shape(node), *x);
    type.shape = {{(*x)[0], (*x)[1]}};
    type.shape->insert(type.shape->end(), extents.begin(), extents.end());
  }
  context.set_output(0, std::move(type));
}

void infer_global_lp_pool(InferContext& context) {
  order(context.node);
  TensorType type = context.node.input_type(0);
  if (type.shape) {
    if (type.shape->size() < 3) throw input_error("the input has no spatial dimensions");
    for (size_t i = 2; i < type.shape->size(); ++i) (*type.shape)[i] = {1, {}};
  }
  context.set_output(0, std::move(type));
}

/// A convolution of each plane's |x|^p with ones, then the root.
Tensor pooled(const ReferenceCall& call, const reference::Window& window, const Shape& out) {
  const Tensor& x = call.input(0);
  const double p = order(call.node);
  std::vector<double> powers = reals(call, 0);
  for (double& value : powers) value = std::pow(std::fabs(value), p);
  const int64_t planes = x.shape()[0] * x.shape()[1];
  Shape shape{planes, 1};
  shape.insert(shape.end(), x.shape().begin() + 2, x.shape().end());
  Shape ones{1, 1};
  ones.insert(ones.end(), window.kernel.begin(), window.kernel.end());
  const std::vector<double> weights(static_cast<size_t>(element_count(ones)), 1.0);
  auto sums = reference::convolution<double>({shape, std::move(powers)}, {ones, weights}, {},
                                             window, 1, out);
  for (double& sum : sums.elements) sum = std::pow(sum, 1 / p);
  Shape result{x.shape()[0], x.shape()[1]};
  result.insert(result.end(), out.begin(), out.end());
  return real_tensor(x.dtype(), result, sums.elements);
}

std::vector<Tensor> lp_pool_reference(const ReferenceCall& call) {
  const Shape& x = call.input(0).shape();
  const Window window = read_window(call.node, kernel_shape(call.node), x);
  Shape out;
  for (size_t i = 0; i < window.rank(); ++i) out.push_back(window.extent(i, x[i + 2]));
  return one_result(
      pooled(call, {window.kernel, window.strides, window.pads, window.dilations}, out));
}

std::vector<Tensor> global_lp_pool_reference(const ReferenceCall& call) {
  const Shape& x = call.input(0).shape();
  const std::vector<int64_t> kernel(x.begin() + 2, x.end());
  const std::vector<int64_t> ones(kernel.size(), 1);
  const std::vector<int64_t> pads(2 * kernel.size(), 0);
  return one_result(pooled(call, {kernel, ones, pads, ones}, ones));
}

OpDef lp_record(const char* type, void (*infer)(InferContext&),
                std::vector<Tensor> (*reference)(const ReferenceCall&)) {
  return {.key = {"", type},
          .since_version = 2,
          .inputs = {1, 1},
          .outputs = {1, 1},
          .infer = infer,
          .reference = reference,
          .tolerance = kAccumulated};
}

}  // namespace

void register_lp_pool(OpRegistry& ops) {
  ops.add(lp_record("LpPool", infer_lp_pool, lp_pool_reference));
  ops.add(lp_record("GlobalLpPool", infer_global_lp_pool, global_lp_pool_reference));
}

}  // namespace qtool
