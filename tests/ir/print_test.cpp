// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "graphs.h"

using namespace qtool;
using qtool::test::Branches;
using qtool::test::Chain;
using qtool::test::make_node;

TEST_CASE("a graph as text", "[ir]") {
  const Chain c;
  CHECK(to_text(c.graph) == R"(graph "chain" opset 17
  input %x: float[2]
  constant %w: float[2] = [1,2.5]
  %a = Relu(%x) "relu"
  %y = Add(%a, %w) "add"
  output %y: float[2]
)");
}

TEST_CASE("subgraphs as text", "[ir]") {
  const Branches b;
  CHECK(to_text(b.graph) == R"(graph "branches"
  input %cond: bool[]
  input %x: float[2]
  %y = If(%cond) {then_branch=graph, else_branch=graph} "choice"
    then_branch: graph "Relu_branch"
      capture %x = outer %x
      %Relu_out = Relu(%x)
      output %Relu_out: ?[...]
    else_branch: graph "Identity_branch"
      capture %x = outer %x
      %Identity_out = Identity(%x)
      output %Identity_out: ?[...]
  output %y: ?[...]
)");
}

TEST_CASE("every kind of attribute as text", "[ir]") {
  Chain c;
  Attributes& attributes = c.graph.attributes(c.relu);
  attributes.set("i", int64_t{-3});
  attributes.set("f", 0.1F);
  attributes.set("s", std::string("a\"b\n"));
  attributes.set("is", std::vector<int64_t>{1, 2});
  attributes.set("fs", std::vector<float>{1.5F});
  attributes.set("ss", std::vector<std::string>{"p", "q"});
  attributes.set("t", TensorAttribute{make_constant(Tensor::scalar<int64_t>(7)), "", ""});
  attributes.set("ts", std::vector<TensorAttribute>(2));
  attributes.set("o", OpaqueAttribute{"xyz"});
  attributes.set("long", std::vector<int64_t>(20, 0));
  c.graph.set_op(c.relu, {"com.example", "Thing"});
  c.graph.set_input(c.relu, 2, c.w);
  const std::string text = to_text(c.graph);
  CHECK_THAT(text,
             Catch::Contains(
                 "%a = com.example.Thing(%x, _, %w) {i=-3, f=0.1, s=\"a\\\"b\\x0a\", is=[1,2], "
                 "fs=[1.5], ss=[\"p\",\"q\"], t=int64[] = [7], ts=2 tensors, o=opaque 3 bytes, "
                 "long=[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,...20 in all]} \"relu\"\n"));
}

TEST_CASE("odd names and large constants as text", "[ir]") {
  Graph graph;
  const ValueId big = graph.add_constant("big w", make_constant(Tensor(DType::float32, {3, 4})));
  graph.add_constant("bits", make_constant(Tensor(DType::float8e5m2, {2})));
  graph.add_constant("wide", make_constant(Tensor::scalar<uint64_t>(UINT64_MAX)));
  graph.add_output(big);
  CHECK(to_text(graph) ==
        "graph \"\"\n"
        "  constant %\"big w\": float[3,4]\n"
        "  constant %bits: float8e5m2[2] = ...\n"
        "  constant %wide: uint64[] = [18446744073709551615]\n"
        "  output %\"big w\": float[3,4]\n");
}
