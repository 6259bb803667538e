// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "exec/session.h"
#include "passes/graphs.h"
#include "passes/passes.h"

using namespace qtool;
using namespace qtool::test;

namespace {

/// x → MatMul(codes behind DequantizeLinear) → Q → DQ → y's MatMul. The grid has steps of 1/4 and
/// `zero` as its zero point; the weights' have 1/4 and, by column, 1/2.
Build quantized(uint8_t zero) {
  Build b;
  b.input("x", {2, 3});
  b.constant("scale", {}, {0.25F});
  b.constant("scales", {2}, {0.25F, 0.5F});
  b.graph.add_constant("zero", make_constant(Tensor::scalar<uint8_t>(zero)));
  b.graph.add_constant("codes", make_constant(Tensor::of<int8_t>({3, 2}, {1, -2, 3, 4, 5, -6})));
  b.graph.add_constant("zeros", make_constant(Tensor::of<int8_t>({2}, {0, 1})));
  b.node("DequantizeLinear", {"codes", "scales", "zeros"}, {"w"}, {{"axis", int64_t{1}}});
  b.node("MatMul", {"x", "w"}, {"h"});
  b.node("QuantizeLinear", {"h", "scale", "zero"}, {"q"});
  b.node("DequantizeLinear", {"q", "scale", "zero"}, {"dq"});
  b.node("Neg", {"dq"}, {"y"});
  b.output("y");
  return b;
}

std::vector<std::string> types(const Graph& graph) {
  std::vector<std::string> found;
  for (const NodeId id : graph.topological_order()) found.push_back(graph.node(id).op.type);
  return found;
}

std::vector<float> run(const Graph& graph, std::vector<float> x) {
  TensorMap feeds;
  feeds.emplace("x", Tensor::of<float>({2, 3}, x));
  return to_floats(
      Session(graph, builtin_ops(), {.backend = Backend::reference}).run(feeds).at("y"));
}

}  // namespace

TEST_CASE("drop_qdq leaves weights as constants and nothing of a grid that goes below zero") {
  Build b = quantized(4);
  CHECK(drop_qdq()->run(b.graph, {builtin_ops()}) == 2);
  CHECK(verify(b.graph).empty());
  CHECK(types(b.graph) == std::vector<std::string>{"MatMul", "Neg"});
  // The second column is (code - 1) / 2.
  CHECK(to_floats(*b.graph.constant(*b.graph.find_value("w"))) ==
        std::vector<float>{0.25F, -1.5F, 0.75F, 1.5F, 1.25F, -3.5F});
  CHECK(run(b.graph, {1, 0, 0, 0, 100, 0}) == std::vector<float>{-0.25F, 1.5F, -75, -150});
}

TEST_CASE("drop_qdq: a grid that begins at zero may stand for a Relu") {
  Build b = quantized(0);
  CHECK(drop_qdq()->run(b.graph, {builtin_ops()}) == 2);
  CHECK(verify(b.graph).empty());
  CHECK(types(b.graph) == std::vector<std::string>{"MatMul", "Clip", "Neg"});
  // 255 steps of 1/4 are 63.75.
  CHECK(run(b.graph, {1, 0, 0, 0, 100, 0}) == std::vector<float>{-0.25F, 0, -63.75F, -63.75F});
}

TEST_CASE("drop_qdq: no Clip where nothing negative comes, a graph output keeps its name") {
  Build b;
  b.input("x", {2, 3});
  b.constant("scale", {}, {0.25F});
  b.graph.add_constant("zero", make_constant(Tensor::scalar<uint8_t>(0)));
  b.node("QuantizeLinear", {"x", "scale", "zero"}, {"q"});
  b.node("DequantizeLinear", {"q", "scale", "zero"}, {"dq"});
  b.node("Relu", {"dq"}, {"r"});
  b.node("QuantizeLinear", {"r", "scale", "zero"}, {"q2"});
  b.node("DequantizeLinear", {"q2", "scale", "zero"}, {"y"});
  b.output("y");
  CHECK(drop_qdq()->run(b.graph, {builtin_ops()}) == 2);
  CHECK(types(b.graph) == std::vector<std::string>{"Relu", "Identity"});
  CHECK(run(b.graph, {-1, 0.3F, 2, 1, 1, 100}) == std::vector<float>{0, 0.3F, 2, 1, 1, 100});
}

TEST_CASE("drop_qdq leaves pairs of two grids") {
  Build b = quantized(4);
  b.constant("other", {}, {0.5F});
  b.node("DequantizeLinear", {"q", "other", "zero"}, {"wider"});
  b.output("wider");
  drop_qdq()->run(b.graph, {builtin_ops()});
  CHECK(types(b.graph) ==
        std::vector<std::string>{"MatMul", "QuantizeLinear", "Neg", "DequantizeLinear"});
  CHECK(verify(b.graph).empty());
}
