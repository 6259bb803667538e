// SPDX-License-Identifier: Apache-2.0
// Properties over real models, with made-up statistics: nothing here depends on data.
#include "onnx_io/onnx_io.h"
#include "passes/pipelines.h"
#include "quant/quantized.h"

namespace qtool {
namespace {

CalibrationTable made_up(const Graph& graph, const Target& target) {
  CalibrationTable table;
  float bound = 1;
  for (const std::string& name : tensors_to_calibrate(graph, builtin_ops(), target)) {
    table.tensors.emplace(name, test::observed({-bound, bound + 1}));
    bound = bound < 9 ? bound * 1.25F : 1;
  }
  return table;
}

bool is_code(const Graph& graph, ValueId id) {
  const NodeId producer = graph.value(id).producer;
  return producer != NodeId::none && graph.node(producer).op.type == "DequantizeLinear";
}

/// The scale and zero point behind an input that is dequantized.
QuantParams params_of(const Graph& graph, ValueId id) {
  const Node& node = graph.node(graph.value(id).producer);
  const Tensor& zero_point = *graph.constant(node.inputs.at(2));
  QuantParams params;
  params.scale = to_floats(*graph.constant(node.inputs.at(1)));
  for (const int64_t code : to_int64s(zero_point))
    params.zero_point.push_back(static_cast<int32_t>(code));
  return params;
}

void check_model(const std::filesystem::path& path) {
  INFO(path.filename().string());
  Graph graph = load_model(path);
  const Target target = load_target("ort-cpu");
  run_pipeline(graph, quantization_pipeline(target.opset), {builtin_ops(), nullptr});
  const std::string before = to_text(graph);
  const test::Planned p(graph, made_up(graph, target));
  CHECK(to_text(graph) == before);

  for (const NodeId id : graph.nodes()) {
    const std::string& op = graph.node(id).op.type;
    if (op == "Conv" || op == "Gemm") CHECK(p.quantized(own_name(graph, id)));
  }
  Graph quantized = graph;
  insert_qdq(quantized, p.plan);
  CHECK(verify(quantized).empty());

  for (const NodeId id : p.plan.quantized) {
    const Node& node = quantized.node(id);
    INFO(quantized.describe(id));
    for (const ValueId input : node.inputs)
      CHECK((input == ValueId::none || is_code(quantized, input)));
  }
  for (const NodeId id : p.plan.moved) {
    const Node& node = quantized.node(id);
    INFO(quantized.describe(id));
    REQUIRE(quantized.value(node.outputs[0]).uses.size() == 1);
    const Node& behind = quantized.node(quantized.value(node.outputs[0]).uses[0].node);
    REQUIRE(behind.op.type == "QuantizeLinear");
    const QuantParams in = params_of(quantized, node.inputs[0]);
    CHECK(to_floats(*quantized.constant(behind.inputs[1])) == in.scale);
  }
  const QuantPlan again = plan_from_json(to_json(p.plan, graph), graph);
  CHECK(to_text(to_json(again, graph)) == to_text(to_json(p.plan, graph)));
}

TEST_CASE("real models: every Conv and Gemm on codes, scales shared, graphs sound, plans read back",
          "[assets]") {
  QTOOL_NEED_ASSETS();
  const std::filesystem::path models = std::filesystem::path(QTOOL_ASSETS) / "models";
  for (const char* name :
       {"resnet20_cifar10", "resnet56_cifar10", "mlperf_tiny_resnet8_cifar10",
        "mobilenetv2_1.0_224_imagenet", "squeezenet1.1_imagenet", "mlperf_tiny_kws_dscnn",
        "mlperf_tiny_ad_autoencoder", "ultraface_rfb320"}) {
    check_model(models / (std::string(name) + ".onnx"));
  }
}

}  // namespace
}  // namespace qtool
