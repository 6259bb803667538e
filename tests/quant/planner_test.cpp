// SPDX-License-Identifier: Apache-2.0
// Which nodes work on codes: graphs small enough to say what must come out.
#include "quant/planner.h"

#include "quant/quantized.h"

namespace qtool {
namespace {

using test::Build;
using test::contains;
using test::message_of;
using test::Planned;
using test::ranges;

using Strings = std::vector<std::string>;

void conv(Build& b, const std::string& from, const std::string& to, int64_t in = 2,
          int64_t out = 2) {
  b.random(to + ".w", {out, in, 1, 1}, std::hash<std::string>{}(to));
  b.random(to + ".b", {out}, 7);
  b.node("Conv", {from, to + ".w", to + ".b"}, {to}, {}, to);
}

CalibrationTable all(const Graph& graph, const Shape& shape) {
  TensorMap feeds;
  feeds.emplace("x", test::random_tensor(shape, 3));
  return test::calibrated(graph, feeds);
}

/// x -> c1 -> r1 -> c2 -> sum (+ r1) -> r2 -> c3 -> y
Build residual() {
  Build b;
  b.input("x", {1, 2, 3, 3});
  conv(b, "x", "c1");
  b.node("Relu", {"c1"}, {"r1"}, {}, "r1");
  conv(b, "r1", "c2");
  b.node("Add", {"c2", "r1"}, {"sum"}, {}, "sum");
  b.node("Relu", {"sum"}, {"r2"}, {}, "r2");
  conv(b, "r2", "y");
  b.output("y");
  return b;
}

TEST_CASE("a residual block runs on codes, its Relus are implied") {
  Build b = residual();
  const Planned p(b.graph, all(b.graph, {1, 2, 3, 3}));
  for (const char* node : {"c1", "c2", "sum", "y"}) CHECK(p.quantized(node));
  for (const char* node : {"r1", "r2"}) CHECK(p.removed(node));
  for (const char* tensor : {"x", "r1", "c2", "r2", "y"}) CHECK(p.has(tensor));
  for (const char* tensor : {"c1", "sum"}) CHECK_FALSE(p.has(tensor));
  CHECK(p.placements("r1")[0]->uses.size() == 2);
  CHECK(p.placements("y")[0]->output);
  CHECK(p.plan.skipped.empty());
}

TEST_CASE("calibration observes what planning looks up, and nothing else") {
  Build b = residual();
  CHECK(tensors_to_calibrate(b.graph, builtin_ops(), load_target("ort-cpu")) ==
        Strings{"x", "r1", "c2", "r2", "y"});
}

TEST_CASE("an Add joins in only where codes come in and go out") {
  Build b;
  b.input("x", {1, 2, 3, 3});
  conv(b, "x", "c1");
  b.node("Add", {"c1", "x"}, {"y"}, {}, "last");  // nobody reads y as codes
  b.node("Tanh", {"c1"}, {"t"}, {}, "t");
  b.node("Add", {"c1", "t"}, {"s"}, {}, "mixed");  // t is float
  conv(b, "s", "z");
  for (const char* name : {"y", "z"}) b.output(name);
  const Planned p(b.graph, all(b.graph, {1, 2, 3, 3}));
  CHECK(p.skipped("last") == "its result is read as floats");
  CHECK(p.skipped("mixed") == "its input \"t\" stays float");
  CHECK(contains(p.skipped("t"), "no integer kernel for Tanh"));
}

TEST_CASE("what is dropped drops those that counted on it") {
  // add1 feeds only add2, which feeds only a float op.
  Build b;
  b.input("x", {1, 2, 3, 3});
  conv(b, "x", "c1");
  b.node("Add", {"c1", "x"}, {"a1"}, {}, "add1");
  b.node("Add", {"a1", "c1"}, {"a2"}, {}, "add2");
  b.node("Tanh", {"a2"}, {"y"});
  b.output("y");
  const Planned p(b.graph, all(b.graph, {1, 2, 3, 3}));
  CHECK_FALSE(p.quantized("add1"));
  CHECK_FALSE(p.quantized("add2"));
  CHECK(p.quantized("c1"));
}

TEST_CASE("MatMul leaves floats to float readers, Conv cannot") {
  Build b;
  b.input("x", {3, 4});
  b.random("w", {4, 4}, 1);
  b.random("v", {4, 4}, 2);
  b.node("MatMul", {"x", "w"}, {"m"}, {}, "m");
  b.node("Tanh", {"m"}, {"t"});
  b.node("MatMul", {"m", "v"}, {"n"}, {}, "n");
  for (const char* name : {"t", "n"}) b.output(name);
  const Planned p(b.graph, all(b.graph, {3, 4}));
  REQUIRE(p.placements("m").size() == 1);
  CHECK(p.placements("m")[0]->uses.size() == 1);  // the second MatMul; Tanh reads the floats
  CHECK_FALSE(p.has("n"));
}

TEST_CASE(
    "a MatMul of two activations has two inputs on codes, a Conv with computed weights stays "
    "float") {
  Build b;
  b.input("x", {2, 3, 3});
  b.node("MatMul", {"x", "x"}, {"m"}, {}, "m");
  b.output("m");
  b.input("k", {1, 1, 1, 1});
  b.input("i", {1, 1, 2, 2});
  b.node("Conv", {"i", "k"}, {"c"}, {}, "c");
  b.output("c");
  const Planned p(
      b.graph,
      ranges({{"x", {-1, 1}}, {"m", {-9, 9}}, {"i", {0, 1}}, {"k", {0, 1}}, {"c", {0, 1}}}));
  CHECK(p.quantized("m"));
  CHECK(p.placements("x")[0]->uses.size() == 2);
  CHECK(p.skipped("c") == "its weights are computed at run time");
}

TEST_CASE("data moves as codes where a quantized node reads it") {
  Build b;
  b.input("x", {1, 2, 4, 4});
  conv(b, "x", "c1");
  b.node("MaxPool", {"c1"}, {"p"}, {{"kernel_shape", std::vector<int64_t>{2, 2}}}, "pool");
  conv(b, "p", "c2");
  b.node("Flatten", {"c2"}, {"y"}, {}, "flat");
  b.output("y");
  const Planned p(b.graph, all(b.graph, {1, 2, 4, 4}));
  CHECK(p.moved("pool"));
  CHECK_FALSE(p.moved("flat"));
  CHECK(p.params("c1") == p.params("p"));
}

TEST_CASE("a move in front of a quantized node is fed with codes") {
  Build b;
  b.input("x", {1, 4, 2, 2});
  b.node("Transpose", {"x"}, {"t"}, {{"perm", std::vector<int64_t>{0, 1, 3, 2}}}, "turn");
  conv(b, "t", "y", 4);
  b.output("y");
  const Planned p(b.graph, all(b.graph, {1, 4, 2, 2}));
  CHECK(p.moved("turn"));
  CHECK(p.params("x") == p.params("t"));
}

TEST_CASE("no data: the node stays float and the message names the tensor") {
  Build b = residual();
  CalibrationTable table = all(b.graph, {1, 2, 3, 3});
  table.tensors.erase("c2");
  const Planned p(b.graph, table);
  CHECK(p.skipped("c2") == "no data: \"c2\" was never observed");
  CHECK(p.quantized("c1"));
  CHECK(p.skipped("sum") == "no data: \"c2\" was never observed");
  CHECK(p.quantized("y"));
}

TEST_CASE("excluded nodes stay float, and so does what hangs on them") {
  Build b = residual();
  Recipe recipe;
  recipe.exclude = {"c2"};
  const Planned p(b.graph, all(b.graph, {1, 2, 3, 3}), recipe);
  CHECK(p.skipped("c2") == "excluded by \"c2\"");
  CHECK(p.skipped("sum") == "its input \"c2\" stays float");
  CHECK_FALSE(p.has("c2.w"));
  CHECK(p.quantized("y"));
}

TEST_CASE("with include only those are quantized, moves still serve them") {
  Build b;
  b.input("x", {1, 2, 4, 4});
  conv(b, "x", "c1");
  b.node("Transpose", {"c1"}, {"t"}, {{"perm", std::vector<int64_t>{0, 1, 3, 2}}}, "turn");
  conv(b, "t", "c2");
  b.output("c2");
  Recipe recipe;
  recipe.include = {"c2"};
  const Planned p(b.graph, all(b.graph, {1, 2, 4, 4}), recipe);
  CHECK(p.skipped("c1") == "not included");
  CHECK(p.moved("turn"));
  CHECK(p.quantized("c2"));
}

TEST_CASE("an activation that others read beside is no part of its producer") {
  Build b;
  b.input("x", {1, 2, 3, 3});
  conv(b, "x", "c1");
  b.node("Relu", {"c1"}, {"r"}, {}, "relu");
  conv(b, "r", "c2");
  conv(b, "c1", "c3");
  for (const char* name : {"c2", "c3"}) b.output(name);
  const Planned p(b.graph, all(b.graph, {1, 2, 3, 3}));
  CHECK(p.has("c1"));
  CHECK(p.has("r"));
  CHECK_FALSE(p.removed("relu"));
}

TEST_CASE("half-precision models are left alone with the reason") {
  Build b;
  b.input("x", {2, 2}, DType::float16);
  b.constant("w", Tensor(DType::float16, {2, 2}));
  b.graph.set_type(b.value("y"), TensorType(DType::float16, Shape{2, 2}));
  b.node("MatMul", {"x", "w"}, {"y"}, {}, "m");
  b.output("y");
  const auto target = load_target("ort-cpu");
  const QuantPlan plan = plan_quantization(b.graph, builtin_ops(), {}, target);
  REQUIRE(plan.skipped.size() == 1);
  CHECK(plan.skipped[0].reason == "\"x\" holds float16, not float");
  CHECK(plan.placements.empty());
}

TEST_CASE("a quantized model is refused unless the recipe takes it") {
  Build b;
  b.input("x", {2});
  b.constant("s", Tensor::scalar(0.5F));
  b.node("QuantizeLinear", {"x", "s"}, {"q"}, {}, "quantize_x");
  b.node("DequantizeLinear", {"q", "s"}, {"y"});
  b.output("y");
  const Target target = load_target("ort-cpu");
  const auto plan = [&](const Recipe& recipe) {
    return plan_quantization(b.graph, builtin_ops(), {}, target, recipe);
  };
  CHECK(contains(message_of([&] { plan({}); }, Error::Kind::unsupported), "quantize_x"));
  Recipe recipe;
  recipe.allow_quantized = true;
  CHECK(plan(recipe).placements.empty());
}

TEST_CASE("what a subgraph reads by name stays float for it") {
  Build b;
  b.input("x", {1, 2, 3, 3});
  conv(b, "x", "c1");
  conv(b, "c1", "y");
  b.output("y");
  auto body = std::make_shared<Graph>();
  const ValueId inner = body->add_value("c1");
  body->annotations(inner).captured = true;
  body->add_output(inner);
  b.input("cond", {}, DType::boolean);
  Node choice;
  choice.name = "choice";
  choice.op = {"", "If"};
  choice.inputs = {b.value("cond")};
  choice.outputs = {b.value("z")};
  choice.attributes.set("then_branch", SubgraphPtr(body));
  choice.attributes.set("else_branch", SubgraphPtr(body));
  choice.captures = {{"then_branch", 0, inner, b.value("c1")},
                     {"else_branch", 0, inner, b.value("c1")}};
  b.graph.add_node(choice);
  b.output("z");
  const Planned p(b.graph, ranges({{"x", {-1, 1}}, {"c1", {-1, 1}}, {"y", {-1, 1}}}));
  REQUIRE(p.placements("c1").size() == 1);
  CHECK(p.placements("c1")[0]->uses.size() == 1);
  Graph result = b.graph;
  insert_qdq(result, p.plan);
  CHECK(verify(result).empty());
}

TEST_CASE("custom ops and bodies of If and Loop pass through to the byte") {
  Build b;
  b.graph.model.opsets["com.example"] = 3;
  b.input("x", {1, 2, 3, 3});
  b.input("cond", {}, DType::boolean);
  b.input("trips", {}, DType::int64);
  conv(b, "x", "c1");
  Node twist;
  twist.name = "twist";
  twist.op = {"com.example", "Twist"};
  twist.inputs = {b.value("c1")};
  twist.outputs = {b.value("t")};
  twist.attributes.set("angle", 0.25F);
  twist.attributes.set("words", std::string("kept as they are"));
  b.graph.add_node(twist);
  // A body with a convolution of its own, which could be quantized if anyone looked into it.
  const auto body_of = [](bool loop) {
    Build inner;
    if (loop) {
      inner.input("i", {}, DType::int64);
      inner.input("go", {}, DType::boolean);
    }
    const ValueId carried =
        inner.graph.add_value("carried", TensorType(DType::float32, Shape{1, 2, 3, 3}));
    if (loop) inner.graph.add_input(carried);
    if (!loop) {
      Tensor zeros(DType::float32, {1, 2, 3, 3});
      inner.graph.set_constant(carried, make_constant(std::move(zeros)));
    }
    inner.random("k", {2, 2, 1, 1}, 5);
    inner.node("Conv", {"carried", "k"}, {"made"});
    if (loop) inner.output("go");
    inner.output("made");
    return std::make_shared<Graph>(std::move(inner.graph));
  };
  Node choice;
  choice.name = "choice";
  choice.op = {"", "If"};
  choice.inputs = {b.value("cond")};
  choice.outputs = {b.value("z")};
  choice.attributes.set("then_branch", SubgraphPtr(body_of(false)));
  choice.attributes.set("else_branch", SubgraphPtr(body_of(false)));
  b.graph.add_node(choice);
  Node loop;
  loop.name = "loop";
  loop.op = {"", "Loop"};
  loop.inputs = {b.value("trips"), b.value("cond"), b.value("z")};
  loop.outputs = {b.value("l")};
  loop.attributes.set("body", SubgraphPtr(body_of(true)));
  b.graph.add_node(loop);
  conv(b, "l", "y");
  b.output("y");
  b.output("t");
  const Planned p(b.graph,
                  ranges({{"x", {-1, 1}}, {"c1", {-1, 1}}, {"l", {-1, 1}}, {"y", {-1, 1}}}));
  CHECK(p.plan.quantized.size() == 2);
  Graph result = b.graph;
  insert_qdq(result, p.plan);
  CHECK(verify(result).empty());
  for (const char* name : {"twist", "choice", "loop"}) {
    INFO(name);
    const auto find = [&](const Graph& graph) -> const Node& {
      for (const NodeId id : graph.nodes()) {
        if (graph.node(id).name == name) return graph.node(id);
      }
      throw Error(Error::Kind::internal, "no such node");
    };
    const Node& before = find(b.graph);
    const Node& after = find(result);
    CHECK(after.op == before.op);
    REQUIRE(after.attributes.entries().size() == before.attributes.entries().size());
    for (const auto& entry : before.attributes.entries()) {
      REQUIRE(after.attributes.has(entry.name));
      if (before.op.domain.empty()) {
        CHECK(to_text(*after.attributes.subgraph(entry.name)) ==
              to_text(*before.attributes.subgraph(entry.name)));
      }
    }
    if (!before.op.domain.empty()) {
      CHECK(after.attributes.real("angle", 0) == 0.25F);
      CHECK(after.attributes.text("words", "") == "kept as they are");
    }
  }
}

}  // namespace
}  // namespace qtool
