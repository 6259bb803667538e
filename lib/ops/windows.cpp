// SPDX-License-Identifier: Apache-2.0
// HannWindow, HammingWindow, BlackmanWindow (17).
#include <cmath>
#include <numbers>

#include "ops/families.h"
#include "ops/shapes.h"
#include "support/text.h"

namespace qtool {

namespace {

/// a0 - a1 cos(2 pi n / N) + a2 cos(4 pi n / N); N is the size, or one less where symmetric.
struct Cosines {
  double a0, a1, a2;
};

constexpr Cosines kHann{0.5, 0.5, 0};
constexpr Cosines kHamming{25.0 / 46, 21.0 / 46, 0};
constexpr Cosines kBlackman{0.42, 0.5, 0.08};

int64_t window_size(const Tensor& size) {
  const int64_t count = to_int64s(size)[0];
  if (count < 0 || count > kMostExtent)
    throw input_error(fmt::format("a window of size {}", count));
  return count;
}

void infer_window(InferContext& context) {
  const NodeView& node = context.node;
  check_single(node, 0, "the size");
  std::vector<Dim> shape(1);
  if (const Constant size = node.input_constant(0)) shape[0].value = window_size(*size);
  context.set_output(0, {dtype_attribute(node, "output_datatype", DType::float32), shape});
}

template <const Cosines& kind>
std::vector<Tensor> window_reference(const ReferenceCall& call) {
  const int64_t size = window_size(call.input(0));
  const bool periodic = call.node.attributes().integer("periodic", 1) != 0;
  const double period = static_cast<double>(periodic ? size : size - 1);
  Tensor window(DType::float64, {size});
  for (int64_t n = 0; n < size; ++n) {
    const double turn =
        period == 0 ? std::numbers::pi : 2 * std::numbers::pi * static_cast<double>(n) / period;
    window.data<double>()[static_cast<size_t>(n)] =
        kind.a0 - kind.a1 * std::cos(turn) + kind.a2 * std::cos(2 * turn);
  }
  return one_result(cast(window, dtype_attribute(call.node, "output_datatype", DType::float32)));
}

template <const Cosines& kind>
OpDef record(const char* type) {
  return {.key = {"", type},
          .since_version = 17,
          .inputs = {1, 1},
          .outputs = {1, 1},
          .infer = infer_window,
          .reference = window_reference<kind>};
}

}  // namespace

void register_windows(OpRegistry& ops) {
  ops.add(record<kHann>("HannWindow"));
  ops.add(record<kHamming>("HammingWindow"));
  ops.add(record<kBlackman>("BlackmanWindow"));
}

}  // namespace qtool
