// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "passes/graphs.h"
#include "passes/passes.h"
#include "passes/pipelines.h"

namespace qtool {
namespace {

using test::Build;

const PassContext kContext{builtin_ops(), nullptr};

int run(Graph& graph) {
  const int rewrites = compute_in_float()->run(graph, kContext);
  CHECK(verify(graph).empty());
  return rewrites;
}

Tensor halves(Shape shape, const std::vector<float>& values, DType dtype = DType::float16) {
  return cast(Tensor::of<float>(std::move(shape), std::span<const float>(values)), dtype);
}

/// y = relu(x w + b) and its input as a second output.
Build product(DType dtype) {
  Build b;
  b.input("x", {1, 2}, dtype);
  b.constant("w", halves({2, 2}, {1, -2, 3, 0.5F}, dtype));
  b.constant("b", halves({2}, {0.25F, 0.125F}, dtype));
  b.node("Gemm", {"x", "w", "b"}, {"z"});
  b.node("Relu", {"z"}, {"y"});
  b.output("y");
  b.output("z");
  b.output("x");
  return b;
}

TEST_CASE("halves inside become floats; inputs and outputs keep names and types") {
  for (const DType dtype : {DType::float16, DType::bfloat16}) {
    const Build before = product(dtype);
    Build after = product(dtype);
    CHECK(run(after.graph) > 0);
    TensorMap feeds;
    feeds.emplace("x", halves({1, 2}, {2, -1}, dtype));
    const TensorMap wanted = test::run_graph(before.graph, feeds);
    const TensorMap got = test::run_graph(after.graph, feeds);
    for (const char* name : {"x", "y", "z"}) CHECK(got.at(name).equals(wanted.at(name)));
    CHECK(got.at("y_float").dtype() == DType::float32);
    CHECK(after.graph.constant(after.value("w"))->dtype() == DType::float32);
    CHECK(after.graph.value(after.value("x")).type.dtype == dtype);
    CHECK(after.graph.value(after.value("y")).type.dtype == dtype);
    CHECK(run(after.graph) == run(after.graph));
  }
}

TEST_CASE("a model without halves stays as it is, float64 included") {
  Build b;
  b.input("x", {2}, DType::float64);
  b.node("Relu", {"x"}, {"y"});
  b.output("y");
  const std::string text = to_text(b.graph);
  CHECK(run(b.graph) == 0);
  CHECK(to_text(b.graph) == text);
}

TEST_CASE("casts to halves, constants in attributes and constant outputs") {
  Build b;
  b.input("x", {2});
  b.node("Cast", {"x"}, {"h"}, {{"to", int64_t{10}}});
  b.node("Constant", {}, {"c"},
         {{"value", TensorAttribute{make_constant(halves({2}, {1, 2})), "", ""}}});
  b.node("Add", {"h", "c"}, {"s"});
  b.node("Cast", {"s"}, {"y"}, {{"to", int64_t{1}}});
  b.constant("k", halves({1}, {3}));
  b.output("y");
  b.output("k");
  CHECK(run(b.graph) > 0);
  TensorMap feeds;
  feeds.emplace("x", Tensor::of<float>({2}, {10, 20}));
  const TensorMap got = test::run_graph(b.graph, feeds);
  CHECK(got.at("s").dtype() == DType::float32);
  CHECK(got.at("y").equals(Tensor::of<float>({2}, {11, 22})));
  CHECK(got.at("k").equals(halves({1}, {3})));
}

TEST_CASE("bodies compute in float too") {
  Build branch;
  branch.constant("half", halves({2}, {1, 2}));
  branch.node("Identity", {"half"}, {"result"});
  branch.graph.set_type(branch.value("result"), {DType::float16, Shape{2}});
  branch.output("result");
  Build b;
  b.input("condition", {}, DType::boolean);
  b.input("x", {2}, DType::float16);
  const SubgraphPtr body = std::make_shared<const Graph>(branch.graph);
  b.node("If", {"condition"}, {"chosen"}, {{"then_branch", body}, {"else_branch", body}});
  b.node("Mul", {"x", "chosen"}, {"y"});
  b.output("y");
  CHECK(run(b.graph) > 0);
  const Facts facts = infer_facts(b.graph, builtin_ops());
  CHECK(to_string(facts[b.value("chosen")].type) == "float[2]");
  CHECK(to_string(facts[b.value("y")].type) == "float16[2]");
}

TEST_CASE("the preparation of a model in halves folds as that of a model in floats does") {
  Build b = product(DType::float16);
  run_pipeline(b.graph, preparation_pipeline(), kContext);
  size_t casts = 0;
  for (const NodeId id : b.graph.nodes()) casts += b.graph.node(id).op.type == "Cast" ? 1 : 0;
  CHECK(casts == 3);
  CHECK(b.graph.node_count() == 5);
}

}  // namespace
}  // namespace qtool
