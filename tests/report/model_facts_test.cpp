// SPDX-License-Identifier: Apache-2.0
#include "report/model_facts.h"

#include "catch.h"

using namespace qtool;

TEST_CASE("constants are counted by element type, wherever they stand") {
  Graph graph;
  graph.add_constant("weight", make_constant(Tensor(DType::float32, {2, 3})));  // 24 bytes
  graph.add_constant("codes", make_constant(Tensor(DType::int8, {4})));         // 4
  graph.add_constant("packed", make_constant(Tensor(DType::int4, {3})));        // 2
  graph.add_constant("shape", make_constant(Tensor(DType::int64, {2})));        // 16, no parameter
  graph.add_constant("words",
                     make_constant(Tensor::of_strings({2}, {"ab", "c"})));  // 3, no parameter
  graph.add_value("x");

  Graph branch;
  branch.add_constant("inner", make_constant(Tensor(DType::float32, {1})));  // 4
  Node constant{.name = "c",
                .op = {"", "Constant"},
                .attributes = {},
                .inputs = {},
                .outputs = {},
                .captures = {},
                .residue = {}};
  constant.attributes.set("value",
                          TensorAttribute{make_constant(Tensor(DType::float32, {5})), "", ""});
  constant.outputs = {graph.add_value("c_out")};
  graph.add_node(constant);
  Node choice{.name = "if",
              .op = {"", "If"},
              .attributes = {},
              .inputs = {},
              .outputs = {},
              .captures = {},
              .residue = {}};
  choice.attributes.set("then_branch", SubgraphPtr(std::make_shared<const Graph>(branch)));
  choice.outputs = {graph.add_value("if_out")};
  graph.add_node(choice);

  const ModelFacts facts = model_facts(graph);
  CHECK(facts.weight_bytes ==
        std::map<std::string, uint64_t>{
            {"float", 24 + 20 + 4}, {"int4", 2}, {"int64", 16}, {"int8", 4}, {"string", 3}});
  CHECK(facts.parameters == 6 + 4 + 3 + 5 + 1);
}

TEST_CASE("an empty graph has no weights") { CHECK(model_facts(Graph()) == ModelFacts{}); }

TEST_CASE("bottomless subgraphs are an error") {
  auto inner = std::make_shared<const Graph>();
  for (int depth = 0; depth < 100; ++depth) {
    Graph outer;
    Node node{.name = "",
              .op = {"", "Loop"},
              .attributes = {},
              .inputs = {},
              .outputs = {},
              .captures = {},
              .residue = {}};
    node.attributes.set("body", SubgraphPtr(inner));
    outer.add_node(node);
    inner = std::make_shared<const Graph>(outer);
  }
  CHECK_THROWS_WITH(model_facts(*inner), Catch::Contains("nested deeper than 64"));
}
