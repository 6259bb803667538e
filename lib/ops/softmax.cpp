// SPDX-License-Identifier: Apache-2.0
// Softmax and LogSoftmax: before opset 13 over everything from the axis on (default 1), since then
// over one axis (default -1).
#include <cmath>

#include "kernels/host/softmax.h"
#include "ops/families.h"
#include "ops/gradients/gradients.h"
#include "ops/lowering.h"
#include "ops/reals.h"
#include "ops/shapes.h"

namespace qtool {

namespace {

/// The tensor seen as [outer, along, inner], normalised over `along`.
struct Span {
  int64_t outer;
  int64_t along;
  int64_t inner;
};

template <bool single_axis>
Span span_of(const NodeView& node, const Shape& shape) {
  const auto rank = static_cast<int64_t>(shape.size());
  const int64_t axis =
      normalized_axis(node.attributes().integer("axis", single_axis ? -1 : 1), rank, !single_axis);
  const auto at = static_cast<std::ptrdiff_t>(axis);
  Span span{element_count({shape.begin(), shape.begin() + at}), 1, 1};
  if (single_axis) {
    span.along = shape[static_cast<size_t>(axis)];
    span.inner = element_count({shape.begin() + at + 1, shape.end()});
  } else {
    span.along = element_count({shape.begin() + at, shape.end()});
  }
  return span;
}

template <bool single_axis, bool logarithm>
std::vector<Tensor> softmax_reference(const ReferenceCall& call) {
  const Tensor& x = call.input(0);
  const Span span = span_of<single_axis>(call.node, x.shape());
  const std::vector<double> from = reals(call, 0);
  std::vector<double> to(from.size());
  for (int64_t o = 0; o < span.outer; ++o) {
    for (int64_t i = 0; i < span.inner; ++i) {
      const auto at = [&](int64_t k) {
        return static_cast<size_t>((o * span.along + k) * span.inner + i);
      };
      double highest = -HUGE_VAL;
      for (int64_t k = 0; k < span.along; ++k) highest = std::fmax(highest, from[at(k)]);
      double sum = 0;
      for (int64_t k = 0; k < span.along; ++k) sum += std::exp(from[at(k)] - highest);
      for (int64_t k = 0; k < span.along; ++k) {
        const double shifted = from[at(k)] - highest;
        to[at(k)] = logarithm ? shifted - std::log(sum) : std::exp(shifted) / sum;
      }
    }
  }
  return one_result(real_tensor(x.dtype(), x.shape(), to));
}

template <bool single_axis, bool logarithm>
Lowering lower_softmax(const LowerContext& context) {
  if (context.inputs[0].params != nullptr || !context.post_ops.empty())
    return Lowering::refuse("softmax runs alone, in float");
  const Span span = span_of<single_axis>(context.node, context.inputs[0].shape);
  if (element_count(context.inputs[0].shape) == 0) return Lowering::refuse("an empty tensor");
  if (context.inputs[0].dtype != DType::float32)
    return Lowering::refuse("elements that are not float");
  if (span.inner == 1 && !logarithm) {
    return lowering(make_softmax(span.outer, span.along, context.outputs[0].params),
                    {Layout::plain});
  }
  if (context.quantized()) return Lowering::refuse("softmax runs alone, in float");
  const onednn::Operand source{
      DType::float32, {span.outer, span.along, span.inner}, Layout::plain, nullptr};
  return lowering(onednn::make_softmax(source, 1, logarithm), {Layout::plain});
}

/// The logarithm of oneDNN 3.7 is 3.4e-6 off near 1.
constexpr Tolerance kLogarithm{2e-5, 5e-6};

template <bool single_axis, bool logarithm>
OpDef softmax(const char* type, int since) {
  OpDef def{.key = {"", type},
            .since_version = since,
            .inputs = {1, 1},
            .outputs = {1, 1},
            .infer = infer_same_type,
            .reference = softmax_reference<single_axis, logarithm>,
            .tolerance = logarithm ? kLogarithm : kElementary,
            .lower = lower_softmax<single_axis, logarithm>,
            .gradient = logarithm ? log_softmax_gradient : softmax_gradient};
  if (!logarithm) {
    def.quant = {.behaviour = Behaviour::compute,
                 .inputs = {{OperandRole::activation}},
                 .fixed_output = Range{0, 1}};
  }
  return def;
}

}  // namespace

void register_softmax(OpRegistry& ops) {
  ops.add(softmax<false, false>("Softmax", 1));
  ops.add(softmax<true, false>("Softmax", 13));
  ops.add(softmax<false, true>("LogSoftmax", 1));
  ops.add(softmax<true, true>("LogSoftmax", 13));
}

}  // namespace qtool
