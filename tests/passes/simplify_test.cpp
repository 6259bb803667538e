// SPDX-License-Identifier: Apache-2.0
// Passes that take away: constants lifted and folded, identities, dead nodes.
#include "passes/graphs.h"
#include "passes/passes.h"

namespace qtool {
namespace {

using test::Build;

const PassContext kContext{builtin_ops(), nullptr};

int run(const PassPtr& pass, Graph& graph) {
  const int rewrites = pass->run(graph, kContext);
  CHECK(verify(graph).empty());
  return rewrites;
}

TensorAttribute tensor_attribute(Tensor tensor) {
  return {make_constant(std::move(tensor)), "", ""};
}

TEST_CASE("a Constant node becomes an initializer, whatever form its value has") {
  Build b;
  b.input("x", {2});
  b.node("Constant", {}, {"c"}, {{"value", tensor_attribute(Tensor::of<float>({2}, {1, 2}))}});
  b.node("Constant", {}, {"i"}, {{"value_ints", std::vector<int64_t>{3, 4}}});
  b.node("Constant", {}, {"f"}, {{"value_float", 2.5F}});
  b.node("Add", {"x", "c"}, {"y"});
  b.output("y");
  CHECK(run(lift_constants(), b.graph) == 3);
  CHECK(b.graph.node_count() == 1);
  CHECK(to_floats(*b.graph.constant(*b.graph.find_value("c"))) == std::vector<float>{1, 2});
  CHECK(to_int64s(*b.graph.constant(*b.graph.find_value("i"))) == std::vector<int64_t>{3, 4});
  CHECK(b.graph.constant(*b.graph.find_value("f"))->shape().empty());
}

TEST_CASE("a Constant that is a graph output stays a node") {
  Build b;
  b.node("Constant", {}, {"c"}, {{"value_float", 1.0F}});
  b.output("c");
  CHECK(run(lift_constants(), b.graph) == 0);
}

TEST_CASE("an If with a constant condition becomes its branch, others stay") {
  Build branch;
  branch.node("Constant", {}, {"c"}, {{"value_float", 2.0F}});
  branch.output("c");
  const SubgraphPtr body = std::make_shared<const Graph>(branch.graph);
  Build b;
  b.input("x", {});
  b.input("free", {}, DType::boolean);
  b.constant("known", Tensor::scalar<bool>(false));
  b.node("If", {"known"}, {"a"}, {{"then_branch", body}, {"else_branch", body}});
  b.node("If", {"free"}, {"b"}, {{"then_branch", body}, {"else_branch", body}});
  b.node("Sum", {"x", "a", "b"}, {"y"});
  b.output("y");
  CHECK(run(inline_branches(), b.graph) == 1);
  CHECK(b.graph.node(b.graph.value(b.value("a")).producer).op.type == "Constant");
  CHECK(b.graph.node(b.graph.value(b.value("b")).producer).op.type == "If");
  CHECK_FALSE(b.graph.find_value("known"));
}

TEST_CASE("readers of an Identity read its input") {
  Build b;
  b.input("x", {2});
  b.node("Identity", {"x"}, {"a"});
  b.node("Relu", {"a"}, {"y"});
  b.output("y");
  CHECK(run(eliminate_identity(), b.graph) == 1);
  CHECK(to_text(b.graph) ==
        "graph \"test\" opset 13\n"
        "  input %x: float[2]\n"
        "  %y = Relu(%x) \"node_y\"\n"
        "  output %y: ?[...]\n");
}

TEST_CASE("an Identity in front of a graph output gives the name to the producer") {
  Build b;
  b.input("x", {2});
  b.node("Relu", {"x"}, {"a"});
  b.node("Identity", {"a"}, {"y"});
  b.node("Relu", {"a"}, {"z"});
  b.output("y");
  b.output("z");
  CHECK(run(eliminate_identity(), b.graph) == 1);
  CHECK_FALSE(b.graph.find_value("a").has_value());
  CHECK(b.graph.node(b.graph.value(*b.graph.find_value("z")).producer).inputs[0] ==
        *b.graph.find_value("y"));
}

TEST_CASE("identities that name an input, a constant or another output stay") {
  Build b;
  b.input("x", {2});
  b.node("Identity", {"x"}, {"y"});
  b.node("Relu", {"x"}, {"z"});
  b.node("Identity", {"z"}, {"z2"});
  for (const char* name : {"y", "z", "z2"}) b.output(name);
  CHECK(run(eliminate_identity(), b.graph) == 0);
}

TEST_CASE("a Dropout goes in inference only, and not while its mask is read") {
  const auto rewrites = [](int64_t opset, std::optional<bool> training, bool mask) {
    Build b(opset);
    b.input("x", {2});
    std::vector<std::string> inputs{"x"};
    if (training) {
      b.constant("training", Tensor::scalar(*training));
      inputs = {"x", "", "training"};
    }
    b.node("Dropout", inputs, {"a", "m"});
    b.node("Relu", {"a"}, {"y"});
    b.output("y");
    if (mask) b.output("m");
    return run(eliminate_identity(), b.graph);
  };
  CHECK(rewrites(13, std::nullopt, false) == 1);
  CHECK(rewrites(13, false, false) == 1);
  CHECK(rewrites(13, true, false) == 0);
  CHECK(rewrites(13, std::nullopt, true) == 0);
  CHECK(rewrites(9, std::nullopt, false) == 1);
  CHECK(rewrites(6, std::nullopt, false) == 0);
}

TEST_CASE("what follows from constants and shapes is folded") {
  Build b;
  b.input("x", {2, 3});
  b.constant("w", {3, 2}, {1, 2, 3, 4, 5, 6});
  b.node("Transpose", {"w"}, {"wt"});
  b.node("Add", {"x", "wt"}, {"y"});
  b.output("y");
  CHECK(run(fold_constants(), b.graph) == 1);
  CHECK(b.graph.node_count() == 1);
  CHECK(to_floats(*b.graph.constant(*b.graph.find_value("wt"))) ==
        std::vector<float>{1, 3, 5, 2, 4, 6});
  CHECK_FALSE(b.graph.find_value("w").has_value());
}

TEST_CASE("folding leaves graph outputs, codes behind a DequantizeLinear, and what would grow") {
  Build b;
  b.input("x", {100, 100});
  b.constant("w", {2}, {1, 2});
  b.node("Relu", {"w"}, {"kept"});
  b.output("kept");
  b.constant("codes", Tensor::of<int8_t>({2}, {1, 2}));
  b.constant("scale", Tensor::scalar(0.5F));
  b.node("DequantizeLinear", {"codes", "scale"}, {"real"});
  b.output("real");
  b.constant("bias", Tensor::of<int32_t>({2}, {1, 2}));
  b.node("DequantizeLinear", {"bias", "scale"}, {"real_bias"});
  b.node("Relu", {"real_bias"}, {"r"});
  b.output("r");
  b.constant("column", Tensor(DType::float32, {100, 1}));
  b.constant("row", Tensor(DType::float32, {1, 100}));
  b.node("Add", {"column", "row"}, {"big"});  // 10,000 elements out of 200
  b.node("Add", {"x", "big"}, {"y"});
  b.output("y");
  CHECK(run(fold_constants(), b.graph) == 0);
}

TEST_CASE("constants listed as inputs are constants where all are, and a choice where some are") {
  const bool all = GENERATE(false, true);
  Build b;
  b.input("x", {2});
  b.graph.add_input(b.constant("w", {2}, {1, 2}));
  const ValueId v = b.constant("v", {2}, {3, 4});
  if (all) b.graph.add_input(v);
  b.node("Add", {"x", "w"}, {"a"});
  b.node("Add", {"a", "v"}, {"y"});
  b.output("y");
  CHECK(run(unlist_constants(), b.graph) == (all ? 2 : 0));
  CHECK(b.graph.inputs().size() == (all ? 1u : 2u));
}

TEST_CASE("of several nodes with one name the first keeps it") {
  Build b;
  b.input("x", {2});
  const NodeId first = b.node("Relu", {"x"}, {"a"});
  const NodeId second = b.node("Relu", {"a"}, {"n_1"});
  const NodeId third = b.node("Relu", {"n_1"}, {"c"});
  const NodeId unnamed = b.node("Relu", {"c"}, {"d"});
  const NodeId unnamed_too = b.node("Relu", {"d"}, {"y"});
  b.output("y");
  for (const NodeId id : {first, second, third}) b.graph.set_node_name(id, "n");
  for (const NodeId id : {unnamed, unnamed_too}) b.graph.set_node_name(id, "");
  CHECK(run(distinct_names(), b.graph) == 2);
  CHECK(b.graph.node(first).name == "n");
  CHECK(b.graph.node(second).name == "n_2");  // n_1 is a value's
  CHECK(b.graph.node(third).name == "n_3");
  CHECK(b.graph.node(unnamed).name.empty());
  CHECK(b.graph.node(unnamed_too).name.empty());
  CHECK(run(distinct_names(), b.graph) == 0);
}

TEST_CASE("dead nodes go, unused inputs stay") {
  Build b;
  b.input("x", {2});
  b.input("unused", {2});
  b.node("Relu", {"x"}, {"dead"});
  b.node("Relu", {"x"}, {"y"});
  b.output("y");
  CHECK(run(eliminate_dead(), b.graph) == 1);
  CHECK(b.graph.inputs().size() == 2);
}

}  // namespace
}  // namespace qtool
