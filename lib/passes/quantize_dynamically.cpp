// SPDX-License-Identifier: Apache-2.0
// The form that ONNX Runtime's quantizer writes and its kernels fuse:
//   (codes, scale, zero) = DynamicQuantizeLinear(x)
//   y = Cast(MatMulInteger(codes, weights, zero, 0)) * (scale * weight_scale) + bias
#include "passes/quantize_dynamically.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "ir/fresh_names.h"
#include "numerics/affine.h"
#include "passes/edit_constant.h"

namespace qtool {

namespace {

const OpKey kConv{"", "Conv"};
constexpr QuantType kWeights{8, true, true};

/// Codes and one scale per channel of `axis`.
struct Codes {
  Tensor elements;
  std::vector<float> scale;
};

Codes coded(const Tensor& weights, int axis) {
  const auto channels = static_cast<size_t>(weights.shape()[static_cast<size_t>(axis)]);
  std::vector<Range> ranges(channels);
  const std::vector<int64_t> strides = row_major_strides(weights.shape());
  const auto stride = static_cast<size_t>(strides[static_cast<size_t>(axis)]);
  const auto elements = weights.data<float>();
  for (size_t i = 0; i < elements.size(); ++i) {
    Range& range = ranges[i / stride % channels];
    range = {std::min(range.low, elements[i]), std::max(range.high, elements[i])};
  }
  const QuantParams params = choose_params(ranges, kWeights, Scheme::symmetric, axis);
  return {quantize(weights, params), params.scale};
}

/// Signed codes as unsigned ones around 128: what ONNX Runtime's ConvInteger takes.
Tensor unsigned_codes(const Tensor& codes) {
  Tensor result(DType::uint8, codes.shape());
  std::ranges::transform(codes.data<int8_t>(), result.data<uint8_t>().begin(),
                         [](int8_t code) { return static_cast<uint8_t>(code + 128); });
  return result;
}

Tensor transposed(const Tensor& matrix) {
  const auto rows = static_cast<size_t>(matrix.shape()[0]);
  const auto columns = static_cast<size_t>(matrix.shape()[1]);
  Tensor result(DType::float32, {matrix.shape()[1], matrix.shape()[0]});
  for (size_t i = 0; i < rows * columns; ++i)
    result.data<float>()[i % columns * rows + i / columns] = matrix.data<float>()[i];
  return result;
}

class DynamicQuantizer {
 public:
  DynamicQuantizer(Graph& graph, const OpRegistry& ops, const std::vector<std::string>& excluded)
      : graph_(graph), facts_(infer_facts(graph, ops)), excluded_(excluded), names_(graph) {}

  ModeReport run() {
    for (const NodeId id : graph_.topological_order()) {
      const OpKey op = graph_.node(id).op;
      const bool product = op == kConv || op == OpKey{"", "Gemm"} || op == OpKey{"", "MatMul"};
      if (!product && !is_recurrent(op)) continue;
      std::string reason = excluded_reason(id);
      if (reason.empty())
        reason = product ? problem(id) : "no integer form of " + op.type + " is in ONNX";
      if (!reason.empty()) {
        report_.kept.emplace_back(graph_.describe(id), std::move(reason));
        continue;
      }
      op == kConv ? rewrite_convolution(id) : rewrite_product(id);
      ++report_.converted;
    }
    graph_.erase_dead();
    return std::move(report_);
  }

 private:
  static bool is_recurrent(const OpKey& op) {
    return op == OpKey{"", "LSTM"} || op == OpKey{"", "GRU"} || op == OpKey{"", "RNN"};
  }

  std::string excluded_reason(NodeId id) const {
    const auto at = static_cast<size_t>(id);
    return at < excluded_.size() ? excluded_[at] : "";
  }

  std::string problem(NodeId id) const {
    const Node& node = graph_.node(id);
    for (const size_t slot : {0U, 1U}) {
      const DType dtype = facts_[node.inputs.at(slot)].type.dtype;
      if (dtype != DType::float32)
        return fmt::format("it multiplies elements of type {}", name(dtype));
    }
    const Constant weights = graph_.constant(node.inputs[1]);
    if (weights == nullptr) return "its weights are computed at run time";
    if (weights->size() == 0) return "its weights are empty";
    if (graph_.constant(node.inputs[0]) != nullptr) return "it reads a constant";
    if (node.op.type == "MatMul" && weights->shape().size() != 2)
      return "its weights are no matrix";
    if (node.op.type == "Gemm" && node.attributes.integer("transA", 0) != 0)
      return "its input is transposed";
    return {};
  }

  ValueId add_constant(const std::string& stem, Tensor tensor) {
    return graph_.add_constant(names_.take(stem), make_constant(std::move(tensor)));
  }

  ValueId add(const char* op, const std::string& stem, std::vector<ValueId> inputs, TensorType type,
              Attributes attributes = {}) {
    const ValueId result = graph_.add_value(names_.take(stem), std::move(type));
    add_to(op, stem, std::move(inputs), result, std::move(attributes));
    return result;
  }
  void add_to(const char* op, const std::string& stem, std::vector<ValueId> inputs, ValueId result,
              Attributes attributes = {}) {
    Node node;
    node.name = names_.take(stem);
    node.op = {"", op};
    node.attributes = std::move(attributes);
    node.inputs = std::move(inputs);
    node.outputs = {result};
    graph_.add_node(std::move(node));
  }

  struct Quantized {
    ValueId codes;
    ValueId scale;
    ValueId zero;
  };

  /// Made once for all readers of a value.
  Quantized quantized(ValueId id) {
    if (const auto found = quantized_.find(id); found != quantized_.end()) return found->second;
    const std::string name = graph_.value(id).name;
    const TensorType type = graph_.value(id).type;
    Node node;
    node.name = names_.take(name + "_quantize");
    node.op = {"", "DynamicQuantizeLinear"};
    const Quantized made{
        graph_.add_value(names_.take(name + "_quantized"), {DType::uint8, type.shape}),
        graph_.add_value(names_.take(name + "_scale"), {DType::float32, Shape{}}),
        graph_.add_value(names_.take(name + "_zero_point"), {DType::uint8, Shape{}})};
    node.inputs = {id};
    node.outputs = {made.codes, made.scale, made.zero};
    graph_.add_node(std::move(node));
    return quantized_.emplace(id, made).first->second;
  }

  /// The sums as floats, the bias added, in place of the node's result.
  void finish(NodeId id, ValueId sums, ValueId scale, ValueId bias) {
    const ValueId result = graph_.node(id).outputs[0];
    const std::string stem = stem_of(graph_, id);
    const TensorType type = graph_.value(result).type;
    graph_.erase(id);
    Attributes to_float;
    to_float.set("to", static_cast<int64_t>(DType::float32));
    const ValueId floats =
        add("Cast", stem + "_sums", {sums}, {DType::float32, type.shape}, std::move(to_float));
    if (bias == ValueId::none) {
      add_to("Mul", stem + "_rescale", {floats, scale}, result);
      return;
    }
    const ValueId product =
        add("Mul", stem + "_rescale", {floats, scale}, {DType::float32, type.shape});
    add_to("Add", stem + "_bias", {product, bias}, result);
  }

  ValueId combined_scale(const std::string& stem, const Quantized& source, const Codes& weights,
                         Shape shape) {
    const TensorType type{DType::float32, shape};
    const ValueId scale =
        add_constant(stem + "_weight_scale", Tensor::of<float>(std::move(shape), weights.scale));
    return add("Mul", stem + "_scale", {source.scale, scale}, type);
  }

  void rewrite_product(NodeId id) {
    const Node node = graph_.node(id);
    const std::string stem = stem_of(graph_, id);
    Tensor weights = graph_.constant(node.inputs[1])->clone();
    ValueId bias = ValueId::none;
    if (node.op.type == "Gemm") {
      if (node.attributes.integer("transB", 0) != 0) weights = transposed(weights);
      const float alpha = node.attributes.real("alpha", 1);
      for (float& w : weights.data<float>()) w *= alpha;
      if (node.inputs.size() > 2) bias = scaled_bias(node, stem);
    }
    Codes codes = coded(weights, 1);
    const Quantized source = quantized(node.inputs[0]);
    const ValueId stored = add_constant(stem + "_weights", std::move(codes.elements));
    const ValueId zero = add_constant(stem + "_weight_zero_point", Tensor::scalar<int8_t>(0));
    const ValueId sums =
        add("MatMulInteger", stem + "_integer", {source.codes, stored, source.zero, zero},
            {DType::int32, graph_.value(node.outputs[0]).type.shape});
    const ValueId scale = combined_scale(stem, source, codes, {weights.shape()[1]});
    finish(id, sums, scale, bias);
  }

  ValueId scaled_bias(const Node& node, const std::string& stem) {
    const ValueId bias = node.inputs[2];
    const float beta = node.attributes.real("beta", 1);
    if (bias == ValueId::none || beta == 1) return bias;
    const ValueId factor = add_constant(stem + "_beta", Tensor::scalar(beta));
    return add("Mul", stem + "_scaled_bias", {bias, factor}, graph_.value(bias).type);
  }

  void rewrite_convolution(NodeId id) {
    const Node node = graph_.node(id);
    const std::string stem = stem_of(graph_, id);
    const Constant weights = graph_.constant(node.inputs[1]);
    Codes codes = coded(*weights, 0);
    const Quantized source = quantized(node.inputs[0]);
    const ValueId stored = add_constant(stem + "_weights", unsigned_codes(codes.elements));
    const ValueId zero = add_constant(stem + "_weight_zero_point", Tensor::scalar<uint8_t>(128));
    const ValueId sums =
        add("ConvInteger", stem + "_integer", {source.codes, stored, source.zero, zero},
            {DType::int32, graph_.value(node.outputs[0]).type.shape}, node.attributes);
    Shape by_channel(weights->shape().size() - 1, 1);
    by_channel[0] = weights->shape()[0];
    const ValueId scale = combined_scale(stem, source, codes, by_channel);
    ValueId bias = node.inputs.size() > 2 ? node.inputs[2] : ValueId::none;
    if (bias != ValueId::none) {
      bias = by_channel_bias(bias, stem + "_bias_by_channel", by_channel);
    }
    finish(id, sums, scale, bias);
  }

  ValueId by_channel_bias(ValueId bias, const std::string& stem, const Shape& by_channel) {
    if (const Constant elements = graph_.constant(bias))
      return add_constant(stem, elements->clone().reshaped(by_channel));
    const ValueId shape =
        add_constant(stem + "_shape", Tensor::of<int64_t>({static_cast<int64_t>(by_channel.size())},
                                                          std::span<const int64_t>(by_channel)));
    return add("Reshape", stem, {bias, shape}, TensorType(DType::float32, by_channel));
  }

  Graph& graph_;
  Facts facts_;
  const std::vector<std::string>& excluded_;
  FreshNames names_;
  std::map<ValueId, Quantized> quantized_;
  ModeReport report_;
};

}  // namespace

ModeReport quantize_dynamically(Graph& graph, const OpRegistry& ops,
                                const std::vector<std::string>& excluded) {
  return DynamicQuantizer(graph, ops, excluded).run();
}

}  // namespace qtool
