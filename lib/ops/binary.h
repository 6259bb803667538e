// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/host/elementwise.h"
#include "kernels/reference/reference.h"
#include "ops/elements.h"
#include "ops/lowering.h"

namespace qtool {

// What element-wise ops of several inputs share: broadcasting.

/// How a kernel steps through a group's inputs and its output.
struct BroadcastPlan {
  Shape extents;                              ///< of the output, in storage order
  std::vector<std::vector<int64_t>> strides;  ///< by input, per dimension of `extents`
  std::vector<Layout> inputs;
  Layout output = Layout::plain;
  bool in_step = false;  ///< an input as large as the output is read in step with it
};
BroadcastPlan broadcast_plan(const LowerContext& context);

/// A float32 kernel for inputs 0 and 1. Refuses other types and codes.
Lowering lower_float_binary(BinaryOp op, const LowerContext& context);

/// Output 0: inputs of one element type, broadcast.
void infer_binary(InferContext& context);

/// Two tensors in, one of their type out, in any layout.
OpDef binary_record(const char* type, int since,
                    std::vector<Tensor> (*reference)(const ReferenceCall&));

template <BinaryOp op>
Lowering lower_binary(const LowerContext& context) {
  return lower_float_binary(op, context);
}

/// Function::of(a, b) for two broadcast elements, as Computed<T>.
template <unsigned kinds, class Function>
Tensor binary_elements(const Tensor& a, const Tensor& b) {
  return visit_kinds<kinds>(a.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    return reference::broadcast_elements<T, T, T>(
        a, b, [](T x, T y) { return stored<T>(Function::of(loaded(x), loaded(y))); });
  });
}

template <unsigned kinds, class Function>
std::vector<Tensor> binary_reference(const ReferenceCall& call) {
  return one_result(binary_elements<kinds, Function>(call.input(0), call.input(1)));
}

}  // namespace qtool
