// SPDX-License-Identifier: Apache-2.0
// The numbers must agree wherever the op is known in both forms; forms alone are compared
// elsewhere.
#include "passes/graphs.h"
#include "passes/passes.h"

namespace qtool {
namespace {

using test::Build;

int upgrade(Graph& graph, int64_t opset = 13) {
  const int rewrites = upgrade_opset(opset)->run(graph, {builtin_ops(), nullptr});
  CHECK(verify(graph).empty());
  return rewrites;
}

void check_same(Build& b, const Shape& shape, int64_t opset = 13) {
  TensorMap feeds;
  feeds.emplace("x", test::random_tensor(shape, 5));
  const Graph before = b.graph;
  CHECK(upgrade(b.graph, opset) >= 1);
  CHECK(b.graph.model.opset() == opset);
  const Tensor expected = test::run_graph(before, feeds).at("y").clone();
  CHECK(test::run_graph(b.graph, feeds).at("y").equals(expected));
}

std::vector<int64_t> integers(const Graph& graph, NodeId id, size_t slot) {
  return to_int64s(*graph.constant(graph.node(id).inputs.at(slot)));
}

TEST_CASE("a model that is new enough is not touched") {
  Build b(15);
  b.input("x", {2});
  b.node("Relu", {"x"}, {"y"});
  b.output("y");
  b.graph.model.ir_version = 5;
  CHECK(upgrade(b.graph) == 0);
  CHECK(b.graph.model.opset() == 15);
  CHECK(b.graph.model.ir_version == 5);
}

TEST_CASE("Clip: bounds become inputs, default ones disappear") {
  Build b(7);
  b.input("x", {2, 3});
  b.node("Clip", {"x"}, {"y"}, {{"min", -0.5F}, {"max", 0.25F}});
  b.output("y");
  check_same(b, {2, 3});

  Build half(10);
  half.input("x", {2});
  const NodeId id = half.node("Clip", {"x"}, {"y"}, {{"min", 0.0F}});
  half.output("y");
  CHECK(upgrade(half.graph) == 1);
  CHECK(half.graph.node(id).inputs.size() == 2);
}

TEST_CASE("Slice and Pad: lists become inputs") {
  Build b(7);
  b.input("x", {4, 5});
  b.node("Slice", {"x"}, {"s"},
         {{"starts", std::vector<int64_t>{1}},
          {"ends", std::vector<int64_t>{4}},
          {"axes", std::vector<int64_t>{1}}});
  b.node("Pad", {"s"}, {"y"}, {{"pads", std::vector<int64_t>{1, 0, 0, 2}}, {"value", 1.5F}});
  b.output("y");
  check_same(b, {4, 5});
}

TEST_CASE("Squeeze, Unsqueeze: axes become an input") {
  Build b(11);
  b.input("x", {1, 3});
  b.node("Unsqueeze", {"x"}, {"u"}, {{"axes", std::vector<int64_t>{2}}});
  b.node("Squeeze", {"u"}, {"y"}, {{"axes", std::vector<int64_t>{0}}});
  b.output("y");
  check_same(b, {1, 3});
}

TEST_CASE("Softmax: the axes behind counted as one") {
  const auto axis = GENERATE(int64_t{0}, int64_t{1}, int64_t{2}, int64_t{-1});
  Build b(11);
  b.input("x", {2, 3, 4});
  b.node("Softmax", {"x"}, {"y"}, {{"axis", axis}});
  b.output("y");
  check_same(b, {2, 3, 4});
}

TEST_CASE("Softmax over single axes behind needs no detour") {
  Build b(7);
  b.input("x", {2, 5, 1, 1});
  b.node("Softmax", {"x"}, {"y"});
  b.output("y");
  check_same(b, {2, 5, 1, 1});
  CHECK(b.graph.node_count() == 1);
}

TEST_CASE("forms whose ops qtool need not compute") {
  Build b(7);
  b.input("x", {1, 1, 2, 2});
  const NodeId up =
      b.node("Upsample", {"x"}, {"u"},
             {{"mode", std::string("nearest")}, {"scales", std::vector<float>{1, 1, 2, 2}}});
  const NodeId top = b.node("TopK", {"u"}, {"v", "i"}, {{"k", int64_t{3}}});
  const NodeId sum = b.node("ReduceSum", {"v"}, {"r"}, {{"axes", std::vector<int64_t>{1, 2}}});
  const NodeId cut = b.node("Split", {"r"}, {"p", "q"},
                            {{"split", std::vector<int64_t>{1, 2}}, {"axis", int64_t{3}}});
  const NodeId drop = b.node("Dropout", {"p"}, {"d"}, {{"ratio", 0.5F}});
  for (const char* name : {"d", "q"}) b.output(name);
  CHECK(upgrade(b.graph) == 7);
  const Node& resize = b.graph.node(up);
  CHECK(resize.op.type == "Resize");
  CHECK(resize.attributes.text("coordinate_transformation_mode", "") == "asymmetric");
  CHECK(resize.attributes.text("nearest_mode", "") == "floor");
  CHECK(resize.inputs.at(1) == ValueId::none);
  CHECK(to_floats(*b.graph.constant(resize.inputs.at(2))) == std::vector<float>{1, 1, 2, 2});
  CHECK(integers(b.graph, top, 1) == std::vector<int64_t>{3});
  CHECK(integers(b.graph, sum, 1) == std::vector<int64_t>{1, 2});
  CHECK(integers(b.graph, cut, 1) == std::vector<int64_t>{1, 2});
  CHECK_FALSE(b.graph.node(drop).attributes.has("ratio"));
}

TEST_CASE("beyond 13: axes of the other reductions, Split's count") {
  Build b(13);
  b.input("x", {2, 4});
  const NodeId mean = b.node("ReduceMean", {"x"}, {"m"}, {{"axes", std::vector<int64_t>{0}}});
  const NodeId cut = b.node("Split", {"x"}, {"p", "q"});
  for (const char* name : {"m", "p", "q"}) b.output(name);
  CHECK(upgrade(b.graph, 21) == 2);
  CHECK(integers(b.graph, mean, 1) == std::vector<int64_t>{0});
  CHECK(b.graph.node(cut).attributes.integer("num_outputs", 0) == 2);
  CHECK(b.graph.model.ir_version == 10);
}

TEST_CASE("before IR 4 constants were listed as inputs; afterwards they are not") {
  Build b(7);
  b.graph.model.ir_version = 3;
  b.input("x", {2});
  b.graph.add_input(b.constant("w", {2}, {1, 2}));
  b.node("Add", {"x", "w"}, {"y"});
  b.output("y");
  upgrade(b.graph);
  CHECK(b.graph.model.ir_version == 7);
  CHECK(b.graph.inputs().size() == 1);
  CHECK(b.graph.constant(*b.graph.find_value("w")) != nullptr);
}

TEST_CASE("what cannot be converted is refused by name") {
  const auto message = [](Build& b) -> std::string {
    try {
      upgrade(b.graph);
    } catch (const Error& error) {
      CHECK(error.kind() == Error::Kind::unsupported);
      return error.what();
    }
    return "nothing was thrown";
  };
  Build old(6);
  CHECK(test::contains(message(old), "opset 6; 7 is the oldest"));

  Build crop(9);
  crop.input("x", {2});
  crop.node("Crop", {"x"}, {"y"}, {}, "crop_it");
  crop.output("y");
  CHECK(
      test::contains(message(crop), "\"crop_it\": Crop of opset 9 cannot be brought to opset 13"));

  Build inner(11);
  auto body = std::make_shared<Graph>();
  Node squeeze;
  squeeze.op = {"", "Squeeze"};
  squeeze.inputs = {body->add_value("bx")};
  squeeze.outputs = {body->add_value("by")};
  for (const char* name : {"trip", "go"}) body->add_input(body->add_value(name));
  body->add_input(squeeze.inputs[0]);
  body->add_output(*body->find_value("go"));
  body->add_output(squeeze.outputs[0]);
  body->add_node(squeeze);
  inner.input("n", {}, DType::int64);
  inner.input("x", {1, 2});
  inner.node("Loop", {"n", "", "x"}, {"y"}, {{"body", SubgraphPtr(body)}}, "loop");
  inner.output("y");
  CHECK(test::contains(message(inner), "Squeeze in a subgraph"));
}

}  // namespace
}  // namespace qtool
