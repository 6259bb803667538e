// SPDX-License-Identifier: Apache-2.0
// Bodies of If: what they capture, and under which name it is written.
#include "messages.h"

using namespace qtool;
using test::model_of;
using test::parsed;
using test::require_round_trip;
using test::written;

namespace {

// if (c) { if (d) y = x + k else y = d } else y = x, where c, d, x come from the main graph and k
// from the outer branch.
constexpr const char* kNested = R"(
  input { name: "c" } input { name: "d" } input { name: "x" } output { name: "y" }
  node { input: "c" output: "y" op_type: "If" name: "outer"
    attribute { name: "then_branch" type: GRAPH g { name: "then" output { name: "r" }
      initializer { name: "k" data_type: 1 float_data: 1 }
      node { input: "d" output: "r" op_type: "If" name: "inner"
        attribute { name: "then_branch" type: GRAPH g { name: "deep" output { name: "s" }
          node { input: "x" input: "k" output: "s" op_type: "Add" } value_info { name: "x" } } }
        attribute { name: "else_branch" type: GRAPH g { name: "bare" output { name: "d" } } } } } }
    attribute { name: "else_branch" type: GRAPH g { name: "else" output { name: "t" }
      node { input: "x" output: "t" op_type: "Identity" } } } })";

}  // namespace

TEST_CASE("captures go through every level", "[onnx_io]") {
  const auto model = model_of(kNested);
  require_round_trip(model);
  const Graph graph = parsed(model);
  const Node& outer = graph.node(graph.nodes()[0]);
  // then_branch reads d itself and x for the body in it; else_branch reads x.
  REQUIRE(outer.captures.size() == 3);
  CHECK(graph.value(outer.captures[0].outer).name == "d");
  CHECK(graph.value(outer.captures[1].outer).name == "x");
  CHECK(outer.captures[2].attribute == "else_branch");
  CHECK(graph.value(*graph.find_value("x")).uses.size() == 2);
  const SubgraphPtr then = outer.attributes.subgraph("then_branch");
  CHECK(then->value(*then->find_value("x")).captured);
  CHECK(!then->value(*then->find_value("k")).captured);
  const Node& inner = then->node(then->nodes()[0]);
  REQUIRE(inner.captures.size() == 3);  // x and k below then_branch, d as the output of else_branch
  CHECK(then->value(inner.captures[1].outer).name == "k");
  CHECK(inner.attributes.subgraph("then_branch")
            ->value(*inner.attributes.subgraph("then_branch")->find_value("x"))
            .listed);
}

TEST_CASE("an edit outside reaches the names inside", "[onnx_io]") {
  Graph graph = parsed(model_of(kNested));
  const ValueId x = *graph.find_value("x");
  const auto redirect = [&](const std::string& name) {
    const ValueId fresh = graph.add_value(name);
    graph.replace_uses(x, fresh);
    Node node;
    node.op = {"", "Neg"};
    node.inputs = {x};
    node.outputs = {fresh};
    graph.add_node(std::move(node));
    REQUIRE(verify(graph).empty());
    return written(graph);
  };
  SECTION("at every depth") {
    const auto model = redirect("x2");
    const auto& choice = model.graph().node(1);
    CHECK(model.graph().node(0).op_type() == "Neg");
    CHECK(choice.attribute(1).g().node(0).input(0) == "x2");
    const auto& deep = choice.attribute(0).g().node(0).attribute(0).g();
    CHECK(deep.node(0).input(0) == "x2");
    CHECK(deep.node(0).input(1) == "k");
    CHECK(deep.value_info(0).name() == "x2");
    CHECK(verify(parsed(model)).empty());
  }
  SECTION("a local value makes way for the new name") {
    const auto model = redirect("s");
    const auto& deep = model.graph().node(1).attribute(0).g().node(0).attribute(0).g();
    CHECK(deep.node(0).input(0) == "s");
    CHECK(deep.node(0).output(0) != "s");
    CHECK(deep.output(0).name() == deep.node(0).output(0));
    const Graph again = parsed(model);
    CHECK(verify(again).empty());
    CHECK(again.value(*again.find_value("s")).uses.size() == 2);
  }
}

TEST_CASE("a value of the body hides one of the same name outside", "[onnx_io]") {
  const auto model = model_of(R"(
    input { name: "c" } input { name: "x" } output { name: "y" }
    node { input: "c" output: "y" op_type: "If" attribute { name: "then_branch" type: GRAPH g {
      output { name: "r" } node { output: "x" op_type: "Constant" } node { input: "x" output: "r" op_type: "Neg" } } } })");
  require_round_trip(model);
  const Graph graph = parsed(model);
  CHECK(graph.node(graph.nodes()[0]).captures.empty());
}

TEST_CASE("a list of bodies", "[onnx_io]") {
  const auto model = model_of(R"(
    input { name: "x" } input { name: "u" } output { name: "y" }
    node { input: "x" output: "y" op_type: "Switch" domain: "com.example" attribute { name: "cases" type: GRAPHS
      graphs { output { name: "a" } node { input: "x" output: "a" op_type: "Neg" } }
      graphs { output { name: "b" } node { input: "u" output: "b" op_type: "Neg" } } } })");
  require_round_trip(model);
  const Graph graph = parsed(model);
  const auto& captures = graph.node(graph.nodes()[0]).captures;
  REQUIRE(captures.size() == 2);
  CHECK(captures[1].index == 1);
  CHECK(graph.value(captures[1].outer).name == "u");
}

TEST_CASE("errors in a body name the way to it", "[onnx_io]") {
  const auto fails = [](const std::string& text, const std::string& expected) {
    CHECK_THROWS_WITH(parsed(model_of(text)), expected);
  };
  fails(R"(input { name: "c" } output { name: "y" }
    node { input: "c" output: "y" op_type: "If" name: "choice" attribute { name: "then_branch" type: GRAPH g {
      output { name: "r" } node { input: "nowhere" output: "r" op_type: "Neg" } } } })",
        "node If \"choice\": attribute \"then_branch\": node Neg that makes \"r\": it reads the "
        "value "
        "\"nowhere\", which nothing defines");
  // A body's own values are not seen from outside.
  fails(R"(input { name: "c" } output { name: "r" }
    node { input: "c" output: "y" op_type: "If" attribute { name: "then_branch" type: GRAPH g {
      output { name: "r" } node { output: "r" op_type: "Constant" } } } })",
        "the graph's output \"r\" is made by nothing");
  fails("node { op_type: 'If' attribute { name: 'then_branch' type: GRAPH } }",
        "node If: attribute \"then_branch\": its graph is missing");
}

TEST_CASE("a node cannot be inside what it makes", "[onnx_io]") {
  CHECK_THROWS_WITH(parsed(model_of(R"(output { name: "y" }
    node { output: "y" op_type: "If" name: "choice" attribute { name: "then_branch" type: GRAPH g {
      output { name: "r" } node { input: "y" output: "r" op_type: "Neg" } } } })")),
                    Catch::Contains("cycle"));
}

TEST_CASE("bodies nest up to a limit", "[onnx_io]") {
  const auto nested = [](int depth) {
    onnx::ModelProto model = model_of("output { name: 'y0' }");
    onnx::GraphProto* graph = model.mutable_graph();
    for (int i = 0; i <= depth; ++i) {
      const std::string made = "y" + std::to_string(i);
      if (i > 0) graph->add_output()->set_name(made);
      auto& node = *graph->add_node();
      node.set_op_type("If");
      node.add_output(made);
      if (i == depth) break;
      auto& attribute = *node.add_attribute();
      attribute.set_name("then_branch");
      attribute.set_type(onnx::AttributeProto::GRAPH);
      graph = attribute.mutable_g();
    }
    return model;
  };
  require_round_trip(nested(kMaxSubgraphDepth));
  CHECK_THROWS_WITH(parsed(nested(kMaxSubgraphDepth + 1)),
                    Catch::Contains("graphs are nested deeper than 32"));
  CHECK_THROWS_AS(parsed(nested(5000)), Error);
}
