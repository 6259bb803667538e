// SPDX-License-Identifier: Apache-2.0
// MaxPoolGradient, AveragePoolGradient (gy, x) → gx; attributes are the pooling's, without
// kernel_shape the window is the whole image. Of equal largest elements the first gets the
// gradient.
#include "kernels/host/gradient.h"
#include "ops/gradients/gradients.h"
#include "ops/lowering.h"
#include "ops/reals.h"
#include "ops/shapes.h"

namespace qtool {

namespace {

WindowSpec window_of(const NodeView& node, const Shape& x, const Shape& y) {
  const auto kernel = node.attributes().integers("kernel_shape", {x.begin() + 2, x.end()});
  const Window window = read_window(node, kernel, x);
  return {x, y, window.kernel, window.strides, window.pads, window.dilations};
}

bool includes_pads(const NodeView& node) {
  return node.attributes().integer("count_include_pad", 0) != 0;
}

/// visit(plane of x, plane of y, output position, places inside of the window, positions that
/// count with the padding).
template <class F>
void for_windows(const WindowSpec& spec, F&& visit) {
  const Shape in(spec.source.begin() + 2, spec.source.end());
  const Shape out(spec.destination.begin() + 2, spec.destination.end());
  const int64_t planes = spec.source[0] * spec.source[1];
  for (int64_t o = 0; o < element_count(out); ++o) {
    std::vector<size_t> places;
    int64_t counted = 0;
    for (int64_t tap = 0; tap < element_count(spec.kernel); ++tap) {
      int64_t place = 0;
      int64_t stride = 1;
      bool inside = true;
      bool beyond = false;
      int64_t rest = o;
      int64_t left = tap;
      for (size_t d = in.size(); d-- > 0;) {
        const int64_t at = rest % out[d] * spec.strides[d] - spec.pads[d] +
                           left % spec.kernel[d] * spec.dilations[d];
        rest /= out[d];
        left /= spec.kernel[d];
        inside = inside && at >= 0 && at < in[d];
        beyond = beyond || at >= in[d] + spec.pads[in.size() + d];
        place += at * stride;
        stride *= in[d];
      }
      if (!beyond) ++counted;
      if (inside) places.push_back(static_cast<size_t>(place));
    }
    for (int64_t p = 0; p < planes; ++p) {
      visit(static_cast<size_t>(p * element_count(in)),
            static_cast<size_t>(p * element_count(out) + o), places, counted);
    }
  }
}

std::vector<Tensor> max_gradient_reference(const ReferenceCall& call) {
  const Shape& x = call.input(1).shape();
  const WindowSpec spec = window_of(call.node, x, call.input(0).shape());
  const std::vector<double> gy = reals(call, 0);
  const std::vector<double> values = reals(call, 1);
  std::vector<double> gx(values.size(), 0.0);
  for_windows(spec, [&](size_t plane, size_t o, const std::vector<size_t>& places, int64_t) {
    if (places.empty()) return;
    size_t best = places[0];
    for (const size_t place : places) {
      if (values[plane + place] > values[plane + best]) best = place;
    }
    gx[plane + best] += gy[o];
  });
  return one_result(real_tensor(call.input(0).dtype(), x, gx));
}

std::vector<Tensor> average_gradient_reference(const ReferenceCall& call) {
  const Shape& x = call.input(1).shape();
  const WindowSpec spec = window_of(call.node, x, call.input(0).shape());
  const std::vector<double> gy = reals(call, 0);
  std::vector<double> gx(static_cast<size_t>(element_count(x)), 0.0);
  for_windows(
      spec, [&](size_t plane, size_t o, const std::vector<size_t>& places, int64_t counted) {
        const auto count = includes_pads(call.node) ? counted : static_cast<int64_t>(places.size());
        for (const size_t place : places) gx[plane + place] += gy[o] / static_cast<double>(count);
      });
  return one_result(real_tensor(call.input(0).dtype(), x, gx));
}

template <bool max>
Lowering lower_pool_gradient(const LowerContext& context) {
  if (context.inputs[0].dtype != DType::float32) return Lowering::refuse("not float32");
  const WindowSpec spec = window_of(context.node, context.inputs[1].shape, context.inputs[0].shape);
  if (element_count(spec.source) == 0) return Lowering::refuse("an empty tensor");
  if (element_count(spec.destination) > int64_t{1} << 31) return Lowering::refuse("too large");
  KernelPtr kernel = max ? make_max_pool_gradient(spec)
                         : make_average_pool_gradient(spec, includes_pads(context.node));
  Lowering result = lowering(std::move(kernel), {Layout::channels_last, Layout::channels_last},
                             {Layout::channels_last});
  if (!max) result.packed = {1};
  return result;
}

void give_pool(GradContext& context, const char* op) {
  context.give(0,
               context.emit(op, {context.upstream(), context.input(0)}, context.node.attributes()));
}

}  // namespace

void max_pool_gradient(GradContext& context) { give_pool(context, "MaxPoolGradient"); }
void average_pool_gradient(GradContext& context) { give_pool(context, "AveragePoolGradient"); }

void register_training_pooling(OpRegistry& ops) {
  OpDef max =
      training_record("MaxPoolGradient", {2, 2}, {1, 1}, infer_like<1>, max_gradient_reference);
  max.taste = LayoutTaste::channels_last;
  max.lower = lower_pool_gradient<true>;
  ops.add(std::move(max));
  OpDef average = training_record("AveragePoolGradient", {2, 2}, {1, 1}, infer_like<1>,
                                  average_gradient_reference);
  average.taste = LayoutTaste::channels_last;
  average.lower = lower_pool_gradient<false>;
  ops.add(std::move(average));
}

}  // namespace qtool
