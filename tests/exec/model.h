// SPDX-License-Identifier: Apache-2.0
// Small models in a few lines, float and with Q/DQ.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "numerics/affine.h"
#include "ops/op_case.h"

namespace qtool::test {

/// Scale and zero point of an activation; signed or unsigned 8 bits.
struct Grid {
  float scale = 1;
  int32_t zero_point = 0;
  bool is_signed = false;
};

struct Model {
  Graph graph;

  explicit Model(int64_t opset = 17) { graph.model.opsets[""] = opset; }

  ValueId input(const std::string& name, TensorType type) {
    const ValueId id = graph.add_value(name, std::move(type));
    graph.add_input(id);
    return id;
  }
  ValueId input(const std::string& name, const Shape& shape) {
    return input(name, {DType::float32, shape});
  }
  ValueId constant(Constant tensor) {
    return graph.add_constant(graph.unique_name("c"), std::move(tensor));
  }

  /// A node with these inputs; its first output.
  ValueId add(const std::string& op, std::vector<ValueId> inputs,
              const CaseAttributes& attributes = {}, int outputs = 1) {
    Node node;
    node.op = {"", op};
    node.name = graph.unique_name(op);
    node.inputs = std::move(inputs);
    for (const auto& [name, value] : attributes) node.attributes.set(name, value);
    for (int i = 0; i < outputs; ++i)
      node.outputs.push_back(graph.add_value(graph.unique_name(op + "_out")));
    const ValueId first = node.outputs[0];
    graph.add_node(std::move(node));
    return first;
  }
  ValueId output(ValueId id) {
    graph.add_output(id);
    return id;
  }

  /// 3x3, same padding, random weights and bias.
  ValueId conv(ValueId x, int64_t channels, int64_t filters, uint64_t seed,
               const CaseAttributes& more = {}) {
    CaseAttributes attributes{{"pads", ints({1, 1, 1, 1})}};
    attributes.insert(attributes.end(), more.begin(), more.end());
    return add("Conv",
               {x, constant(scaled(noise({filters, channels, 3, 3}, seed), channels * 9)),
                constant(noise({filters}, seed + 1))},
               attributes);
  }

  ValueId quantize(ValueId x, const Grid& grid) {
    return add("QuantizeLinear", {x, scale(grid), zero(grid)});
  }
  ValueId dequantize(ValueId codes, const Grid& grid) {
    return add("DequantizeLinear", {codes, scale(grid), zero(grid)});
  }
  ValueId qdq(ValueId x, const Grid& grid) { return dequantize(quantize(x, grid), grid); }

  /// Weights as s8 codes behind a DequantizeLinear, symmetric, one scale per slice of `axis`; the
  /// scales are returned too.
  ValueId weights(const Tensor& real, int axis, std::vector<float>& scales) {
    const int64_t slices = real.shape()[static_cast<size_t>(axis)];
    int64_t inner = 1;
    for (size_t d = static_cast<size_t>(axis) + 1; d < real.shape().size(); ++d)
      inner *= real.shape()[d];
    std::vector<Range> ranges(static_cast<size_t>(slices));
    for (int64_t i = 0; i < real.size(); ++i) {
      Range& range = ranges[static_cast<size_t>(i / inner % slices)];
      const float value = real.data<float>()[static_cast<size_t>(i)];
      range = {std::min(range.low, value), std::max(range.high, value)};
    }
    const QuantParams params = choose_params(ranges, {8, true, true}, Scheme::symmetric, axis);
    scales = params.scale;
    return add(
        "DequantizeLinear",
        {constant(make_constant(qtool::quantize(real, params))), constant(f32({slices}, scales)),
         constant(s8({slices}, std::vector<int8_t>(static_cast<size_t>(slices), 0)))},
        {{"axis", int64_t{axis}}});
  }

  /// Bias as int32 codes in units of source scale times weight scale.
  ValueId bias(const Tensor& real, float source_scale, const std::vector<float>& weight_scales) {
    std::vector<int32_t> codes;
    std::vector<float> scales;
    for (size_t i = 0; i < weight_scales.size(); ++i) {
      scales.push_back(source_scale * weight_scales[i]);
      codes.push_back(quantize_bias(real.data<float>()[i], scales.back()));
    }
    const auto count = static_cast<int64_t>(codes.size());
    return add("DequantizeLinear", {constant(s32({count}, codes)), constant(f32({count}, scales))},
               {{"axis", int64_t{0}}});
  }

  /// A quantized 3x3 convolution of a dequantized x.
  ValueId quantized_conv(ValueId x, float source_scale, int64_t channels, int64_t filters,
                         uint64_t seed, const CaseAttributes& more = {}) {
    std::vector<float> scales;
    const ValueId w =
        weights(*scaled(noise({filters, channels, 3, 3}, seed), channels * 9), 0, scales);
    CaseAttributes attributes{{"pads", ints({1, 1, 1, 1})}};
    attributes.insert(attributes.end(), more.begin(), more.end());
    return add("Conv", {x, w, bias(*noise({filters}, seed + 1), source_scale, scales)}, attributes);
  }

  /// Divided by the square root of the number of summands, so that depth does not blow values up.
  static Constant scaled(const Constant& tensor, int64_t summands) {
    Tensor result = tensor->clone();
    const float factor = 1 / std::sqrt(static_cast<float>(summands) * 4);
    for (float& value : result.data<float>()) value *= factor;
    return make_constant(std::move(result));
  }

 private:
  ValueId scale(const Grid& grid) { return constant(scalar(grid.scale)); }
  ValueId zero(const Grid& grid) {
    return constant(grid.is_signed ? s8({}, {static_cast<int8_t>(grid.zero_point)})
                                   : u8({}, {static_cast<uint8_t>(grid.zero_point)}));
  }
};

}  // namespace qtool::test
