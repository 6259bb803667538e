// SPDX-License-Identifier: Apache-2.0
#include <google/protobuf/text_format.h>
#include <onnx/onnx_pb.h>

#include "exec/session.h"
#include "onnx_io/onnx_io.h"
#include "passes/graphs.h"
#include "passes/passes.h"

namespace qtool {
namespace {

/// A model of opset 17 and my 1, in protobuf's text format.
Graph model(const std::string& functions, const std::string& graph) {
  onnx::ModelProto proto;
  REQUIRE(google::protobuf::TextFormat::ParseFromString(
      "ir_version: 8 opset_import { version: 17 } opset_import { domain: 'my' version: 1 } " +
          functions + " graph { name: 'main' " + graph + " }",
      &proto));
  const std::string bytes = proto.SerializeAsString();
  return parse_model(std::as_bytes(std::span<const char>(bytes)), {});
}

std::string function(const std::string& name, const std::string& body,
                     const std::string& opset = "17") {
  return "functions { domain: 'my' name: '" + name + "' opset_import { version: " + opset +
         " } opset_import { domain: 'my' version: 1 } " + body + " } ";
}

std::string value(const std::string& role, const std::string& name) {
  return role + " { name: '" + name +
         "' type { tensor_type { elem_type: 1 shape { dim { dim_value: 3 } } } } } ";
}

std::string call(const std::string& name, const std::string& edges, const std::string& more = {}) {
  return "node { op_type: '" + name + "' domain: 'my' " + edges + ' ' + more + " } ";
}

std::string node(const std::string& op, const std::string& edges, const std::string& more = {}) {
  return "node { op_type: '" + op + "' " + edges + ' ' + more + " } ";
}

const std::string kInOut = value("input", "x") + value("output", "y");

int inline_all(Graph& graph) {
  const int calls = inline_functions()->run(graph, {builtin_ops(), nullptr});
  CHECK(verify(graph).empty());
  return calls;
}

std::vector<float> result(Graph graph) {
  inline_all(graph);
  TensorMap feeds;
  feeds.emplace("x", Tensor::of<float>({3}, {-4, 0, 2}));
  Session session(graph, builtin_ops(), {.backend = Backend::reference});
  return to_floats(session.run(feeds).at("y"));
}

std::string message(Graph graph) {
  try {
    inline_functions()->run(graph, {builtin_ops(), nullptr});
  } catch (const Error& error) {
    CHECK(error.kind() != Error::Kind::internal);
    return error.what();
  }
  return "accepted";
}

/// y = x + x, whose inner value has the name that the caller uses too.
const std::string kDouble = function(
    "Double", "input: 'a' output: 'b' " + node("Add", "input: 'a' input: 'a' output: 'x'") +
                  node("Identity", "input: 'x' output: 'b'"));

TEST_CASE("a call becomes the function's nodes, each call its own") {
  Graph graph = model(kDouble, kInOut + call("Double", "input: 'x' output: 't'", "name: 'first'") +
                                   call("Double", "input: 't' output: 'y'"));
  CHECK(inline_all(graph) == 2);
  CHECK(graph.node_count() == 4);
  CHECK(inline_all(graph) == 0);
  CHECK(result(graph) == std::vector<float>{-16, 0, 8});
}

TEST_CASE("functions call functions, and the graph takes an input for a result") {
  const std::string both = function("Quadruple", "input: 'a' output: 'c' output: 'a' " +
                                                     call("Double", "input: 'a' output: 'b'") +
                                                     call("Double", "input: 'b' output: 'c'"));
  Graph graph =
      model(kDouble + both, kInOut + value("output", "same") +
                                call("Quadruple", "input: 'x' output: 'y' output: 'same'"));
  CHECK(result(graph) == std::vector<float>{-16, 0, 8});
}

TEST_CASE("attributes: the caller's, the default's, or the op's own") {
  const std::string leaky =
      function("Leaky", "input: 'a' output: 'b' attribute: 'slope' " +
                            node("LeakyRelu", "input: 'a' output: 'b'",
                                 "attribute { name: 'alpha' ref_attr_name: 'slope' type: FLOAT }"));
  const auto with = [&](const std::string& attribute) {
    return result(model(leaky, kInOut + call("Leaky", "input: 'x' output: 'y'", attribute)));
  };
  CHECK(with("attribute { name: 'slope' f: 0.5 type: FLOAT }") == std::vector<float>{-2, 0, 2});
  CHECK(with("")[0] == Approx(-0.04F));  // LeakyRelu's own 0.01
}

TEST_CASE("attributes inside of a body, and what that body captures") {
  const std::string constant = "attribute { name: 'value_float' ref_attr_name: 'k' type: FLOAT }";
  const auto branch = [&](const std::string& name, const std::string& op) {
    return "attribute { name: '" + name + "' type: GRAPH g { name: '" + name + "' " +
           node("Constant", "output: 'c'", constant) +
           node(op, "input: 'a' input: 'c' output: 'r'") + " output { name: 'r' } } } ";
  };
  const std::string choose =
      function("Choose", "input: 'a' output: 'b' attribute: 'k' " +
                             node("ReduceMax", "input: 'a' output: 'm'",
                                  "attribute { name: 'keepdims' i: 0 type: INT }") +
                             node("Sub", "input: 'm' input: 'm' output: 'zero'") +
                             node("Greater", "input: 'm' input: 'zero' output: 'positive'") +
                             node("If", "input: 'positive' output: 'b'",
                                  branch("then_branch", "Mul") + branch("else_branch", "Add")));
  const std::string three = "attribute { name: 'k' f: 3 type: FLOAT }";
  Graph graph = model(choose, kInOut + call("Choose", "input: 'x' output: 't'", three) +
                                  call("Choose", "input: 't' output: 'y'", three));
  CHECK(result(graph) == std::vector<float>{-36, 0, 18});
}

TEST_CASE("inputs that are left out are left out inside") {
  const std::string bounded =
      function("Bounded", "input: 'a' input: 'low' input: 'high' output: 'b' " +
                              node("Clip", "input: 'a' input: 'low' input: 'high' output: 'b'"));
  const std::string one = "initializer { name: 'one' data_type: 1 float_data: 1 } ";
  CHECK(result(model(
            bounded,
            kInOut + one + call("Bounded", "input: 'x' input: '' input: 'one' output: 'y'"))) ==
        std::vector<float>{-4, 0, 1});
  CHECK(result(model(bounded,
                     kInOut + one + call("Bounded", "input: 'x' input: 'one' output: 'y'"))) ==
        std::vector<float>{1, 1, 2});
}

TEST_CASE("an op that qtool knows is not replaced by the model's function of that name") {
  const std::string relu =
      "functions { name: 'Relu' opset_import { version: 17 } input: 'a' output: 'b' " +
      node("Neg", "input: 'a' output: 'b'") + " } ";
  CHECK(result(model(relu, kInOut + node("Relu", "input: 'x' output: 'y'"))) ==
        std::vector<float>{0, 0, 2});
}

TEST_CASE("what cannot be inlined is refused by name") {
  const std::string ping =
      function("Ping", "input: 'a' output: 'b' " + call("Pong", "input: 'a' output: 'b'")) +
      function("Pong", "input: 'a' output: 'b' " + call("Ping", "input: 'a' output: 'b'"));
  CHECK(test::contains(message(model(ping, kInOut + call("Ping", "input: 'x' output: 'y'"))),
                       "my.Ping -> my.Pong -> my.Ping"));
  const std::string self =
      function("Self", "input: 'a' output: 'b' " + call("Self", "input: 'a' output: 'b'"));
  CHECK(test::contains(message(model(self, kInOut + call("Self", "input: 'x' output: 'y'"))),
                       "my.Self -> my.Self"));
  CHECK(test::contains(
      message(model(kDouble, kInOut + call("Double", "input: 'x' input: 'x' output: 'y'"))),
      "the call has 2 inputs and 1 outputs, the function 1 and 1"));
  const std::string old = function(
      "Old", "input: 'a' output: 'b' " + node("ReduceSum", "input: 'a' output: 'b'"), "11");
  CHECK(test::contains(message(model(old, kInOut + call("Old", "input: 'x' output: 'y'"))),
                       "ReduceSum of opset 11"));
  CHECK(test::contains(
      message(model(kDouble + kDouble, kInOut + call("Double", "input: 'x' output: 'y'"))),
      "more than once"));
  // Each calls the one before twice: 2^40 nodes.
  std::string bomb = kDouble;
  std::string last = "Double";
  for (int i = 0; i < 40; ++i) {
    const std::string name = "F" + std::to_string(i);
    bomb += function(name, "input: 'a' output: 'b' " + call(last, "input: 'a' output: 't'") +
                               call(last, "input: 't' output: 'b'"));
    last = name;
  }
  CHECK(test::contains(message(model(bomb, kInOut + call(last, "input: 'x' output: 'y'"))),
                       "calls of functions add more than"));
}

}  // namespace
}  // namespace qtool
