// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "ops/families.h"
#include "ops/op_def.h"

namespace qtool {

void OpRegistry::add(OpDef def) {
  QTOOL_CHECK(def.infer != nullptr && def.reference != nullptr, to_string(def.key));
  QTOOL_CHECK(find(def.key, def.since_version) == nullptr ||
                  find(def.key, def.since_version)->since_version != def.since_version,
              to_string(def.key) + " is registered twice");
  defs_.push_back(std::move(def));
}

const OpDef* OpRegistry::find(const OpKey& key, int64_t opset) const {
  const OpDef* best = nullptr;
  for (const OpDef& def : defs_) {
    if (def.key == key && def.since_version <= opset &&
        (best == nullptr || def.since_version > best->since_version)) {
      best = &def;
    }
  }
  return best;
}

const OpDef* OpRegistry::find(const Node& node, const ModelInfo& model) const {
  return find(node.op, model.opset(node.op.domain));
}

const OpRegistry& builtin_ops() {
  static const OpRegistry registry = [] {
    OpRegistry ops;
    register_convolution(ops);
    register_conv_transpose(ops);
    register_gemm(ops);
    register_normalization(ops);
    register_layer_norm(ops);
    register_response_norm(ops);
    register_pooling(ops);
    register_lp_pool(ops);
    register_activation(ops);
    register_unary(ops);
    register_clip(ops);
    register_elementwise(ops);
    register_arithmetic(ops);
    register_comparison(ops);
    register_variadic(ops);
    register_reduction(ops);
    register_cast(ops);
    register_selection(ops);
    register_loss(ops);
    register_softmax(ops);
    register_reshape(ops);
    register_shape_ops(ops);
    register_slice_concat(ops);
    register_pad(ops);
    register_split(ops);
    register_gather(ops);
    register_scatter(ops);
    register_expand_tile(ops);
    register_depth_space(ops);
    register_fill(ops);
    register_windows(ops);
    register_pick(ops);
    register_resize(ops);
    register_einsum(ops);
    register_recurrent(ops);
    register_control_flow(ops);
    register_scan(ops);
    register_signal(ops);
    register_det(ops);
    register_unpool(ops);
    register_crop_fold(ops);
    register_non_max_suppression(ops);
    register_roi(ops);
    register_grid_sample(ops);
    register_quantize_linear(ops);
    register_dynamic_quantize(ops);
    register_integer_product(ops);
    register_qoperator(ops);
    register_matmul_nbits(ops);
    register_legacy(ops);  // asks for the records of opset 7
    return ops;
  }();
  return registry;
}

std::string arity_problem(const Node& node, const OpDef& def) {
  const auto check = [](const char* what, size_t has, size_t required, Arity arity) -> std::string {
    if (static_cast<int>(required) < arity.least) {
      return "has " + std::to_string(required) + ' ' + what + ", needs at least " +
             std::to_string(arity.least);
    }
    if (arity.most >= 0 && static_cast<int>(has) > arity.most) {
      return "has " + std::to_string(has) + ' ' + what + ", takes at most " +
             std::to_string(arity.most);
    }
    return {};
  };
  // An absent input counts as missing only among the required ones.
  size_t inputs = 0;
  while (inputs < node.inputs.size() && node.inputs[inputs] != ValueId::none) ++inputs;
  auto problem = check("inputs", node.inputs.size(), inputs, def.inputs);
  if (problem.empty()) {
    problem = check("outputs", node.outputs.size(), node.outputs.size(), def.outputs);
  }
  return problem;
}

std::vector<Tensor> evaluate(const OpDef& def, const NodeView& node,
                             std::span<const Tensor* const> inputs,
                             const SubgraphRunner* subgraphs) {
  return within_frame([&] { return node.description(); },
                      [&] {
                        // The checks of inference, now that every type is known: reference loops
                        // rely on them.
                        std::vector<ValueFacts> inferred(node.output_count());
                        InferContext context(node, inferred);
                        def.infer(context);
                        return def.reference({node, inputs, subgraphs});
                      });
}

DType code_type(const NodeView& node) {
  if (node.op().type == "DequantizeLinear") return node.input_type(0).dtype;
  if (node.has_input(2)) return node.input_type(2).dtype;
  const int64_t wanted = node.attributes().integer("output_dtype", 0);
  if (wanted == 0) return DType::uint8;
  const bool fits = wanted > 0 && wanted < 256 && is_known(static_cast<int>(wanted));
  return fits ? static_cast<DType>(wanted) : DType::undefined;
}

std::optional<QuantParams> constant_params(const NodeView& node) {
  const Constant scale = node.input_constant(1);
  const Constant zero_point = node.input_constant(2);
  if (scale == nullptr || (node.has_input(2) && zero_point == nullptr)) return std::nullopt;
  const DType codes = code_type(node);
  if (!is_integer(codes) || bits(codes) > 16 || !is_floating(scale->dtype())) return std::nullopt;
  std::vector<float> scales = to_floats(*scale);
  std::vector<int32_t> zero_points(scales.size(), 0);
  if (zero_point != nullptr) {
    if (zero_point->size() != scale->size()) return std::nullopt;
    const std::vector<int64_t> values = to_int64s(*zero_point);
    std::ranges::transform(values, zero_points.begin(),
                           [](int64_t value) { return static_cast<int32_t>(value); });
  }
  std::optional<int> axis;
  const int64_t block_size = node.attributes().integer("block_size", 0);
  const bool whole_tensor = scale->rank() == 0 || (scale->size() == 1 && block_size == 0);
  if (!whole_tensor) {
    int64_t at = node.attributes().integer("axis", 1);
    if (at < 0) {
      if (!node.input_type(0).shape) return std::nullopt;
      at += static_cast<int64_t>(node.input_type(0).shape->size());
    }
    axis = static_cast<int>(at);
  }
  try {
    return checked_params({bits(codes), is_signed(codes), false}, std::move(scales),
                          std::move(zero_points), axis, block_size);
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace qtool
