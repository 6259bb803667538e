// SPDX-License-Identifier: Apache-2.0
#include "passes/graphs.h"
#include "passes/passes.h"

namespace qtool {
namespace {

using test::Build;

int fold(Graph& graph) {
  const int rewrites = fold_gemm()->run(graph, {builtin_ops(), nullptr});
  CHECK(verify(graph).empty());
  return rewrites;
}

std::vector<float> elements(const Graph& graph, const char* name) {
  return to_floats(*graph.constant(*graph.find_value(name)));
}

TEST_CASE("alpha goes into the weights, beta into the bias") {
  Build b;
  b.input("x", {1, 2});
  b.constant("w", {2, 2}, {1, 2, 3, 4});
  b.constant("c", {2}, {5, 6});
  b.node("Gemm", {"x", "w", "c"}, {"y"}, {{"alpha", 2.0F}, {"beta", 0.5F}, {"transB", int64_t{1}}});
  b.output("y");
  CHECK(fold(b.graph) == 1);
  CHECK(elements(b.graph, "w") == std::vector<float>{2, 4, 6, 8});
  CHECK(elements(b.graph, "c") == std::vector<float>{2.5F, 3});
  const Node& node = b.graph.node(b.graph.nodes()[0]);
  CHECK_FALSE(node.attributes.has("alpha"));
  CHECK_FALSE(node.attributes.has("beta"));
  CHECK(node.attributes.integer("transB", 0) == 1);
}

TEST_CASE("a bias becomes one number per column") {
  const auto [shape, given, expected] = GENERATE(
      table<Shape, std::vector<float>, std::vector<float>>({{Shape{}, {7}, {7, 7, 7}},
                                                            {Shape{1}, {7}, {7, 7, 7}},
                                                            {Shape{1, 1}, {7}, {7, 7, 7}},
                                                            {Shape{1, 3}, {1, 2, 3}, {1, 2, 3}}}));
  Build b;
  b.input("x", {2, 2});
  b.random("w", {2, 3}, 1);
  b.constant("c", Tensor::of<float>(shape, given));
  b.node("Gemm", {"x", "w", "c"}, {"y"});
  b.output("y");
  CHECK(fold(b.graph) == 1);
  CHECK(b.graph.constant(*b.graph.find_value("c"))->shape() == Shape{3});
  CHECK(elements(b.graph, "c") == expected);
}

TEST_CASE("a full matrix as bias keeps its shape, a plain Gemm is left alone") {
  Build b;
  b.input("x", {2, 2});
  b.random("w", {2, 3}, 1);
  b.random("c", {2, 3}, 2);
  b.node("Gemm", {"x", "w", "c"}, {"y"});
  b.output("y");
  CHECK(fold(b.graph) == 0);
}

TEST_CASE("everything at once gives the same numbers") {
  Build b;
  b.constant("a", test::random_tensor({4, 3}, 1));
  b.input("k", {4, 5});
  b.constant("c", test::random_tensor({1, 5}, 2));
  b.node("Gemm", {"a", "k", "c"}, {"y"}, {{"transA", int64_t{1}}, {"beta", 3.0F}});
  b.output("y");
  TensorMap feeds;
  feeds.emplace("k", test::random_tensor({4, 5}, 3));
  const Graph before = b.graph;
  CHECK(fold(b.graph) == 1);
  CHECK_FALSE(b.graph.node(b.graph.nodes()[0]).attributes.has("transA"));
  CHECK(test::relative_difference(test::run_graph(before, feeds).at("y"),
                                  test::run_graph(b.graph, feeds).at("y")) < 1e-6);
}

TEST_CASE("shared weights are copied") {
  Build b;
  b.input("x", {1, 2});
  b.constant("w", {2, 2}, {1, 2, 3, 4});
  b.node("Gemm", {"x", "w"}, {"y"}, {{"alpha", 2.0F}});
  b.node("Gemm", {"x", "w"}, {"z"});
  b.output("y");
  b.output("z");
  CHECK(fold(b.graph) == 1);
  CHECK(elements(b.graph, "w") == std::vector<float>{1, 2, 3, 4});
  CHECK(elements(b.graph, "w_folded") == std::vector<float>{2, 4, 6, 8});
}

}  // namespace
}  // namespace qtool
