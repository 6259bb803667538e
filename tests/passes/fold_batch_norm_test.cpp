// SPDX-License-Identifier: Apache-2.0
#include "passes/graphs.h"
#include "passes/passes.h"

namespace qtool {
namespace {

using test::Build;
using test::random_tensor;

int fold(Graph& graph) {
  const int rewrites = fold_batch_norm()->run(graph, {builtin_ops(), nullptr});
  CHECK(verify(graph).empty());
  return rewrites;
}

void norm(Build& b, const std::string& from, const std::string& to, int64_t channels,
          uint64_t seed) {
  b.random(to + ".gamma", {channels}, seed);
  b.random(to + ".beta", {channels}, seed + 1);
  b.random(to + ".mean", {channels}, seed + 2);
  Tensor variance = random_tensor({channels}, seed + 3);
  for (float& v : variance.data<float>()) v = v * v + 0.1F;
  b.constant(to + ".var", std::move(variance));
  b.node("BatchNormalization", {from, to + ".gamma", to + ".beta", to + ".mean", to + ".var"}, {to},
         {{"epsilon", 1e-3F}});
}

TEST_CASE("one channel worked by hand") {
  // s = 3 / sqrt(3 + 1) = 1.5; W' = 2 * 1.5 = 3; b' = 4 * 1.5 + 5 - 6 * 1.5 = 2.
  Build b;
  b.input("x", {1, 1, 1, 1});
  b.constant("w", {1, 1, 1, 1}, {2});
  b.constant("b", {1}, {4});
  b.constant("gamma", {1}, {3});
  b.constant("beta", {1}, {5});
  b.constant("mean", {1}, {6});
  b.constant("var", {1}, {3});
  b.node("Conv", {"x", "w", "b"}, {"c"});
  b.node("BatchNormalization", {"c", "gamma", "beta", "mean", "var"}, {"y"}, {{"epsilon", 1.0F}});
  b.output("y");
  CHECK(fold(b.graph) == 1);
  b.graph.erase_dead();
  CHECK(to_text(b.graph) ==
        "graph \"test\" opset 13\n"
        "  input %x: float[1,1,1,1]\n"
        "  constant %w: float[1,1,1,1] = [3]\n"
        "  constant %b: float[1] = [2]\n"
        "  %y = Conv(%x, %w, %b) \"node_c\"\n"
        "  output %y: ?[...]\n");
}

TEST_CASE("Conv with groups, with and without a bias, gives the same numbers") {
  const bool bias = GENERATE(false, true);
  Build b;
  b.input("x", {2, 4, 5, 5});
  b.random("w", {6, 2, 3, 3}, 1);
  if (bias) b.random("b", {6}, 2);
  b.node("Conv", {"x", "w", bias ? "b" : ""}, {"c"}, {{"group", int64_t{2}}}, "conv");
  norm(b, "c", "y", 6, 10);
  b.output("y");
  TensorMap feeds;
  feeds.emplace("x", random_tensor({2, 4, 5, 5}, 3));
  const Graph before = b.graph;
  CHECK(fold(b.graph) == 1);
  CHECK(b.graph.find_value(bias ? "b" : "conv.bias").has_value());
  CHECK(test::relative_difference(test::run_graph(before, feeds).at("y"),
                                  test::run_graph(b.graph, feeds).at("y")) < 1e-5);
}

TEST_CASE("Gemm in both orders of its weights") {
  const int64_t transposed = GENERATE(0, 1);
  Build b;
  b.input("x", {3, 4});
  b.random("w", transposed != 0 ? Shape{5, 4} : Shape{4, 5}, 1);
  b.node("Gemm", {"x", "w"}, {"c"}, {{"transB", transposed}}, "fc");
  norm(b, "c", "y", 5, 10);
  b.output("y");
  TensorMap feeds;
  feeds.emplace("x", random_tensor({3, 4}, 3));
  const Graph before = b.graph;
  CHECK(fold(b.graph) == 1);
  CHECK(test::relative_difference(test::run_graph(before, feeds).at("y"),
                                  test::run_graph(b.graph, feeds).at("y")) < 1e-5);
}

TEST_CASE("ConvTranspose: channel c of group g is row g of the second axis") {
  // 2 input channels in 2 groups of 1, 2 output channels each: weights [2, 2, 1, 1], outputs 4.
  Build b;
  b.input("x", {1, 2, 1, 1});
  b.constant("w", {2, 2, 1, 1}, {1, 1, 1, 1});
  b.constant("gamma", {4}, {2, 3, 5, 7});
  b.constant("zero", {4}, {0, 0, 0, 0});
  b.constant("one", {4}, {1, 1, 1, 1});
  b.node("ConvTranspose", {"x", "w"}, {"c"}, {{"group", int64_t{2}}});
  b.node("BatchNormalization", {"c", "gamma", "zero", "zero", "one"}, {"y"}, {{"epsilon", 0.0F}});
  b.output("y");
  CHECK(fold(b.graph) == 1);
  CHECK(to_floats(*b.graph.constant(*b.graph.find_value("w"))) == std::vector<float>{2, 3, 5, 7});
}

TEST_CASE("weights that two convolutions share are copied for the folded one") {
  Build b;
  b.input("x", {1, 2, 3, 3});
  b.random("w", {2, 2, 1, 1}, 1);
  b.node("Conv", {"x", "w"}, {"c"}, {}, "first");
  norm(b, "c", "y", 2, 10);
  b.node("Conv", {"x", "w"}, {"z"}, {}, "second");
  b.output("y");
  b.output("z");
  TensorMap feeds;
  feeds.emplace("x", random_tensor({1, 2, 3, 3}, 3));
  const Graph before = b.graph;
  CHECK(fold(b.graph) == 1);
  CHECK(b.graph.find_value("w_folded").has_value());
  const TensorMap expected = test::run_graph(before, feeds);
  const TensorMap actual = test::run_graph(b.graph, feeds);
  CHECK(test::relative_difference(expected.at("y"), actual.at("y")) < 1e-5);
  CHECK(expected.at("z").equals(actual.at("z")));
}

TEST_CASE("in front of a Conv: one channel worked by hand, and groups by their numbers") {
  // s = 3 / sqrt(3 + 1) = 1.5, t = 5 - 6 * 1.5 = -4; W' = 2 * 1.5 = 3; b' = 4 + 2 * -4 = -4.
  Build hand;
  hand.input("x", {1, 1, 1, 1});
  hand.constant("w", {1, 1, 1, 1}, {2});
  hand.constant("b", {1}, {4});
  hand.constant("gamma", {1}, {3});
  hand.constant("beta", {1}, {5});
  hand.constant("mean", {1}, {6});
  hand.constant("var", {1}, {3});
  hand.node("BatchNormalization", {"x", "gamma", "beta", "mean", "var"}, {"n"},
            {{"epsilon", 1.0F}});
  hand.node("Conv", {"n", "w", "b"}, {"y"});
  hand.output("y");
  CHECK(fold_batch_norm_ahead()->run(hand.graph, {builtin_ops(), nullptr}) == 1);
  CHECK(to_floats(*hand.graph.constant(*hand.graph.find_value("w"))) == std::vector<float>{3});
  CHECK(to_floats(*hand.graph.constant(*hand.graph.find_value("b"))) == std::vector<float>{-4});

  const bool bias = GENERATE(false, true);
  Build b;
  b.input("x", {2, 4, 5, 5});
  norm(b, "x", "n", 4, 10);
  b.random("w", {6, 2, 3, 3}, 1);
  if (bias) b.random("b", {6}, 2);
  b.node("Conv", {"n", "w", bias ? "b" : ""}, {"y"}, {{"group", int64_t{2}}}, "conv");
  b.output("y");
  TensorMap feeds;
  feeds.emplace("x", random_tensor({2, 4, 5, 5}, 3));
  const Graph before = b.graph;
  CHECK(fold_batch_norm_ahead()->run(b.graph, {builtin_ops(), nullptr}) == 1);
  CHECK(verify(b.graph).empty());
  CHECK(test::relative_difference(test::run_graph(before, feeds).at("y"),
                                  test::run_graph(b.graph, feeds).at("y")) < 1e-5);
}

TEST_CASE("in front of a Conv: not where padding would see it, nor where others read it") {
  enum class Obstacle { pads, automatic, second_reader, output, none };
  const auto obstacle = GENERATE(Obstacle::pads, Obstacle::automatic, Obstacle::second_reader,
                                 Obstacle::output, Obstacle::none);
  Build b;
  b.input("x", {1, 2, 4, 4});
  norm(b, "x", "n", 2, 10);
  b.random("w", {2, 2, 3, 3}, 1);
  const NodeId conv = b.node("Conv", {"n", "w"}, {"y"});
  b.output("y");
  if (obstacle == Obstacle::pads)
    b.graph.attributes(conv).set("pads", std::vector<int64_t>{0, 0, 0, 1});
  if (obstacle == Obstacle::automatic)
    b.graph.attributes(conv).set("auto_pad", std::string("SAME_UPPER"));
  if (obstacle == Obstacle::second_reader) {
    b.node("Relu", {"n"}, {"z"});
    b.output("z");
  }
  if (obstacle == Obstacle::output) b.output("n");
  const int folded = obstacle == Obstacle::none ? 1 : 0;
  CHECK(fold_batch_norm_ahead()->run(b.graph, {builtin_ops(), nullptr}) == folded);
}

TEST_CASE("what cannot be folded exactly stays") {
  enum class Obstacle { second_reader, output, training, computed_mean, negative_variance };
  const auto obstacle = GENERATE(Obstacle::second_reader, Obstacle::output, Obstacle::training,
                                 Obstacle::computed_mean, Obstacle::negative_variance);
  Build b;
  b.input("x", {1, 2, 3, 3});
  b.input("fed", {2});
  b.random("w", {2, 2, 1, 1}, 1);
  b.node("Conv", {"x", "w"}, {"c"});
  norm(b, "c", "y", 2, 10);
  b.output("y");
  const NodeId id = b.graph.value(*b.graph.find_value("y")).producer;
  switch (obstacle) {
    case Obstacle::second_reader:
      b.node("Relu", {"c"}, {"z"});
      b.output("z");
      break;
    case Obstacle::output: b.output("c"); break;
    case Obstacle::training: b.graph.attributes(id).set("training_mode", int64_t{1}); break;
    case Obstacle::computed_mean: b.graph.set_input(id, 3, *b.graph.find_value("fed")); break;
    case Obstacle::negative_variance:
      b.graph.set_constant(*b.graph.find_value("y.var"),
                           make_constant(Tensor::of<float>({2}, {1, -1})));
      break;
  }
  CHECK(fold(b.graph) == 0);
}

}  // namespace
}  // namespace qtool
