// SPDX-License-Identifier: Apache-2.0
#include "quant/insert_qdq.h"

#include "quant/quantized.h"

namespace qtool {
namespace {

using test::Build;
using test::Planned;
using test::ranges;

/// x -> Conv -> Relu -> y with one weight 0.5 and the bias 0.25.
Build small() {
  Build b;
  b.input("x", {1, 1, 1, 2});
  b.constant("w", {1, 1, 1, 1}, {0.5F});
  b.constant("b", {1}, {0.25F});
  b.node("Conv", {"x", "w", "b"}, {"c"}, {}, "conv");
  b.node("Relu", {"c"}, {"y"}, {}, "relu");
  b.output("y");
  b.graph.set_type(*b.graph.find_value("y"), TensorType(DType::float32, Shape{1, 1, 1, 2}));
  return b;
}
const CalibrationTable kTable =
    ranges({{"x", {0, 63.75F}}, {"y", {0, 31.875F}}});  // scales 1/4, 1/8

TEST_CASE("the whole of a small graph") {
  Build b = small();
  Graph graph = b.graph;
  insert_qdq(graph, Planned(b.graph, kTable).plan);
  CHECK(verify(graph).empty());
  CHECK(to_text(graph) ==
        "graph \"test\" opset 13\n"
        "  input %x: float[1,1,1,2]\n"
        "  constant %x_scale: float[] = [0.25]\n"
        "  constant %x_zero_point: uint8[] = [0]\n"
        "  constant %w_quantized: int8[1,1,1,1] = [127]\n"
        "  constant %w_scale: float[1] = [0.003937008]\n"
        "  constant %w_zero_point: int8[1] = [0]\n"
        "  constant %y_scale: float[] = [0.125]\n"
        "  constant %y_zero_point: uint8[] = [0]\n"
        "  constant %b_quantized: int32[1] = [254]\n"
        "  constant %b_scale: float[] = [0.000984252]\n"
        "  %x_quantized = QuantizeLinear(%x, %x_scale, %x_zero_point) \"x_quantize\"\n"
        "  %x_dequantized = DequantizeLinear(%x_quantized, %x_scale, %x_zero_point) "
        "\"x_dequantize\"\n"
        "  %w_dequantized = DequantizeLinear(%w_quantized, %w_scale, %w_zero_point) {axis=0} "
        "\"w_dequantize\"\n"
        "  %b_dequantized = DequantizeLinear(%b_quantized, %b_scale) \"b_dequantize\"\n"
        "  %y_float = Conv(%x_dequantized, %w_dequantized, %b_dequantized) \"conv\"\n"
        "  %y_quantized = QuantizeLinear(%y_float, %y_scale, %y_zero_point) \"y_quantize\"\n"
        "  %y = DequantizeLinear(%y_quantized, %y_scale, %y_zero_point) \"y_dequantize\"\n"
        "  output %y: float[1,1,1,2]\n");
}

TEST_CASE("its numbers, by hand") {
  // x = 10, -3: codes 40, 0 (the range begins at 0). 10 * 0.5 + 0.25 = 5.25 = 42 / 8; 0.25 = 2 / 8.
  Build b = small();
  Graph graph = b.graph;
  insert_qdq(graph, Planned(b.graph, kTable).plan);
  TensorMap feeds;
  feeds.emplace("x", Tensor::of<float>({1, 1, 1, 2}, {10, -3}));
  const TensorMap values = test::run_graph(graph, feeds);
  CHECK(to_int64s(values.at("x_quantized")) == std::vector<int64_t>{40, 0});
  CHECK(to_int64s(values.at("y_quantized")) == std::vector<int64_t>{42, 2});
  CHECK(to_floats(values.at("y")) == std::vector<float>{5.25F, 0.25F});
}

TEST_CASE("the float graph is not touched, and ids of what both have agree") {
  Build b = small();
  const std::string before = to_text(b.graph);
  Graph graph = b.graph;
  insert_qdq(graph, Planned(b.graph, kTable).plan);
  CHECK(to_text(b.graph) == before);
  for (const char* name : {"x", "y"}) CHECK(graph.find_value(name) == b.graph.find_value(name));
}

TEST_CASE("an activation that stays keeps its place in front of QuantizeLinear") {
  Build b = small();
  Graph graph = b.graph;
  QuantPlan plan = Planned(b.graph, kTable).plan;
  plan.removed.clear();
  insert_qdq(graph, plan);
  CHECK(verify(graph).empty());
  CHECK(graph.find_value("c").has_value());
  CHECK(graph.node(graph.value(*graph.find_value("y_float")).producer).op.type == "Relu");
}

TEST_CASE("names that are taken are avoided, also by nodes and in subgraphs") {
  Build b = small();
  b.node("Relu", {"x"}, {"x_scale"}, {}, "x_quantize");
  b.output("x_scale");
  Graph graph = b.graph;
  insert_qdq(graph, Planned(b.graph, kTable).plan);
  CHECK(verify(graph).empty());
  CHECK(graph.find_value("x_scale_1").has_value());
  std::set<std::string> names;
  for (const NodeId id : graph.nodes()) CHECK(names.insert(graph.node(id).name).second);
}

TEST_CASE("the same inputs give the same graph") {
  Build b = small();
  Graph one = b.graph;
  Graph two = b.graph;
  insert_qdq(one, Planned(b.graph, kTable).plan);
  insert_qdq(two, Planned(b.graph, kTable).plan);
  CHECK(to_text(one) == to_text(two));
}

TEST_CASE("a constant that is a graph output stays float beside its codes") {
  Build b = small();
  b.output("w");
  Graph graph = b.graph;
  insert_qdq(graph, Planned(b.graph, kTable).plan);
  CHECK(verify(graph).empty());
  CHECK(graph.constant(*graph.find_value("w"))->dtype() == DType::float32);
}

TEST_CASE("an opset that is too old is refused") {
  Build b = small();
  const QuantPlan plan = Planned(b.graph, kTable).plan;
  b.graph.model.opsets[""] = 11;
  CHECK(test::contains(
      test::message_of([&] { insert_qdq(b.graph, plan); }, Error::Kind::unsupported), "opset 11"));
}

TEST_CASE("a convolution network: the quantized graph computes nearly the same") {
  Build b;
  b.input("x", {2, 3, 8, 8});
  b.random("w1", {8, 3, 3, 3}, 1);
  b.random("b1", {8}, 2);
  b.node("Conv", {"x", "w1", "b1"}, {"c1"});
  b.node("Relu", {"c1"}, {"r1"});
  b.random("w2", {8, 1, 3, 3}, 3);
  b.node("Conv", {"r1", "w2"}, {"c2"},
         {{"group", int64_t{8}}, {"pads", std::vector<int64_t>{1, 1, 1, 1}}});
  b.node("Add", {"c2", "r1"}, {"s"});
  b.node("Relu", {"s"}, {"r2"});
  b.node("GlobalAveragePool", {"r2"}, {"g"});
  b.node("Flatten", {"g"}, {"f"});
  b.random("w3", {8, 5}, 4);
  b.random("b3", {5}, 5);
  b.node("Gemm", {"f", "w3", "b3"}, {"y"});
  b.output("y");
  TensorMap feeds;
  feeds.emplace("x", test::random_tensor({2, 3, 8, 8}, 9));
  Graph graph = b.graph;
  insert_qdq(graph, Planned(b.graph, test::calibrated(b.graph, feeds)).plan);
  CHECK(verify(graph).empty());
  const double difference = test::relative_difference(test::run_graph(b.graph, feeds).at("y"),
                                                      test::run_graph(graph, feeds).at("y"));
  CHECK(difference < 0.05);
  CHECK(difference > 0);
}

}  // namespace
}  // namespace qtool
