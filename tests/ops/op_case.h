// SPDX-License-Identifier: Apache-2.0
// One declaration, several questions: a case is data, and the suite asks inference, the reference
// kernel and the lowering about it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "ir/graph.h"
#include "support/rng.h"

namespace qtool::test {

template <class T>
Constant elements(Shape shape, std::vector<T> values) {
  Tensor tensor(dtype_of<T>, std::move(shape));
  QTOOL_CHECK(static_cast<size_t>(tensor.size()) == values.size(), "a literal of another size");
  std::copy(values.begin(), values.end(), tensor.data<T>().begin());  // vector<bool> has no span
  return make_constant(std::move(tensor));
}
inline Constant f32(Shape shape, std::vector<float> values) {
  return elements<float>(std::move(shape), std::move(values));
}
inline Constant u8(Shape shape, std::vector<uint8_t> values) {
  return elements<uint8_t>(std::move(shape), std::move(values));
}
inline Constant s8(Shape shape, std::vector<int8_t> values) {
  return elements<int8_t>(std::move(shape), std::move(values));
}
inline Constant s32(Shape shape, std::vector<int32_t> values) {
  return elements<int32_t>(std::move(shape), std::move(values));
}
inline Constant s64(Shape shape, std::vector<int64_t> values) {
  return elements<int64_t>(std::move(shape), std::move(values));
}
inline Constant flags(std::vector<bool> values) {
  const auto count = static_cast<int64_t>(values.size());
  return elements<bool>({count}, std::move(values));
}
/// A list of 64-bit integers.
inline Constant list(std::vector<int64_t> values) {
  const auto count = static_cast<int64_t>(values.size());
  return s64({count}, std::move(values));
}
inline Constant scalar(float value) { return f32({}, {value}); }

/// 0, 1, 2 ... in row-major order.
Constant ramp(Shape shape);

/// Multiples of 1/16 in [-4, 4), the same for the same seed.
Constant noise(Shape shape, uint64_t seed = 1);

/// Codes over the whole range of their type.
Constant noise_u8(Shape shape, uint64_t seed = 1);
Constant noise_s8(Shape shape, uint64_t seed = 1);

using CaseAttributes = std::vector<std::pair<std::string, Attribute>>;
inline Attribute ints(std::vector<int64_t> values) { return values; }
inline Attribute text(const char* value) { return std::string(value); }

struct OpCase {
  std::string name;
  std::string op;  ///< "Conv", "com.microsoft.QLinearAdd" (of that domain's version 1)
  int64_t opset = 17;
  CaseAttributes attributes = {};
  std::vector<Constant> inputs = {};    ///< by slot; null: absent
  std::vector<int> constants = {};      ///< slots that models hold as initializers
  std::vector<Constant> expected = {};  ///< worked by hand; empty: nothing but agreement is asked
  double near = 0;                      ///< how far the reference may be from `expected`, relative
  std::string error = {};               ///< a piece of the message, where the case must be refused
  int outputs = 1;
  bool open_shape = false;  ///< the result's extents are known only when it is computed
};

/// A case whose first input is fed and whose others are, in models, initializers.
inline OpCase make(std::string op, int64_t opset, std::string name, CaseAttributes attributes,
                   std::vector<Constant> inputs, std::vector<Constant> expected = {},
                   std::string error = {}) {
  return {.name = std::move(name),
          .op = std::move(op),
          .opset = opset,
          .attributes = std::move(attributes),
          .inputs = std::move(inputs),
          .constants = {1, 2, 3, 4},
          .expected = std::move(expected),
          .error = std::move(error)};
}

/// The same cases, with results near the expected ones within `relative`.
inline std::vector<OpCase> within(double relative, std::vector<OpCase> cases) {
  for (OpCase& item : cases) item.near = relative;
  return cases;
}

OpKey op_key(const OpCase& item);

/// How a case is asked: all inputs fed, those in `constants` as initializers, so and with each fed
/// tensor stored channels_last, or everything as an initializer.
enum class Form { fed, constants, channels_last, folded };

struct CaseGraph {
  Graph graph;
  TensorMap feeds;
  std::vector<ValueId> outputs;
};
CaseGraph build(const OpCase& item, Form form);

/// "", or the first element of `got` that is further from `wanted` than absolute + relative *
/// |wanted|, with both values. Type and shape must be equal; NaN equals NaN.
std::string difference(const Tensor& got, const Tensor& wanted, double relative, double absolute);

/// Every case of every list below.
const std::vector<OpCase>& all_cases();

// One list a family, one file a list.
std::vector<OpCase> convolution_cases();
std::vector<OpCase> gemm_cases();
std::vector<OpCase> normalization_cases();
std::vector<OpCase> conv_transpose_cases();
std::vector<OpCase> control_flow_cases();
std::vector<OpCase> recurrent_cases();
std::vector<OpCase> layer_norm_cases();
std::vector<OpCase> lp_pool_cases();
std::vector<OpCase> response_norm_cases();
std::vector<OpCase> pooling_cases();
std::vector<OpCase> activation_cases();
std::vector<OpCase> unary_cases();
std::vector<OpCase> clip_cases();
std::vector<OpCase> elementwise_cases();
std::vector<OpCase> arithmetic_cases();
std::vector<OpCase> comparison_cases();
std::vector<OpCase> variadic_cases();
std::vector<OpCase> reduction_cases();
std::vector<OpCase> selection_cases();
std::vector<OpCase> cast_loss_cases();
std::vector<OpCase> softmax_cases();
std::vector<OpCase> shape_cases();
std::vector<OpCase> slice_cases();
std::vector<OpCase> concat_pad_cases();
std::vector<OpCase> data_movement_cases();
std::vector<OpCase> quantize_cases();
std::vector<OpCase> integer_product_cases();
std::vector<OpCase> qoperator_cases();

}  // namespace qtool::test
