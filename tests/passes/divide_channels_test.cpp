// SPDX-License-Identifier: Apache-2.0
// Dividing channels leaves the results where they were, whatever takes the factors in.
#include "passes/divide_channels.h"

#include "passes/graphs.h"

namespace qtool {
namespace {

using test::Build;

constexpr int64_t kChannels = 6;

/// x [2,5,6] by way of `h` into MatMul with [6,4], and into Gemm or what else a case adds.
struct Case {
  Build b{17};
  Case() {
    b.input("x", {2, 5, kChannels});
    b.random("w", {kChannels, 4}, 2);
  }
  NodeId product(const std::string& from, const std::string& to = "y") {
    const NodeId id = b.node("MatMul", {from, "w"}, {to});
    b.output(to);
    return id;
  }
  TensorMap run() const {
    TensorMap feeds;
    feeds.emplace("x", test::random_tensor({2, 5, kChannels}, 9));
    return test::run_graph(b.graph, feeds);
  }

  void check(const std::vector<NodeId>& readers, const std::string& divided, bool at_source) {
    const ValueId value = *b.graph.find_value(divided);
    CHECK(divided_at_source(b.graph, value, readers).empty() == !at_source);
    const TensorMap before = run();
    const std::vector<float> scale{1, 0.125F, 30, 2.5F, 0.7F, 1};
    divide_channels(b.graph, value, readers, scale, at_source);
    CHECK(verify(b.graph).empty());
    const TensorMap after = run();
    for (const ValueId id : b.graph.outputs()) {
      const std::string& name = b.graph.value(id).name;
      CHECK(test::relative_difference(after.at(name), before.at(name)) < 1e-5);
    }
    // What the product reads is the divided value.
    const std::string& read = b.graph.value(b.graph.node(readers[0]).inputs[0]).name;
    CHECK((read == divided) == at_source);
    Tensor wanted = before.at(divided).clone();
    for (int64_t i = 0; i < wanted.size(); ++i) {
      wanted.data<float>()[static_cast<size_t>(i)] /= scale[static_cast<size_t>(i % kChannels)];
    }
    CHECK(test::relative_difference(after.at(read), wanted) < 1e-5);
  }
};

TEST_CASE("a Mul divides an input for the products that read it, and for nobody else") {
  Case c;
  const NodeId first = c.product("x");
  c.b.random("v", {kChannels, 3}, 3);
  const NodeId second = c.b.node("MatMul", {"x", "v"}, {"z"});
  c.b.output("z");
  c.b.node("Relu", {"x"}, {"r"});
  c.b.output("r");
  c.check({first, second}, "x", false);
}

TEST_CASE("a LayerNormalization divides by its scale and bias") {
  Case c;
  c.b.random("g", {kChannels}, 4);
  c.b.random("s", {kChannels}, 5);
  c.b.node("LayerNormalization", {"x", "g", "s"}, {"h"});
  c.check({c.product("h")}, "h", true);
}

TEST_CASE("a product and the vector added to it divide by columns and elements") {
  Case c;
  c.b.random("v", {kChannels, kChannels}, 4);
  c.b.random("s", {kChannels}, 5);
  c.b.node("MatMul", {"x", "v"}, {"m"});
  c.b.node("Add", {"s", "m"}, {"h"});
  c.check({c.product("h")}, "h", true);
}

TEST_CASE("a vector that multiplies divides, and a shared one stays for its other reader") {
  Case c;
  c.b.random("g", {kChannels}, 4);
  c.b.node("Mul", {"x", "g"}, {"h"});
  c.b.node("Add", {"x", "g"}, {"other"});
  c.b.output("other");
  c.check({c.product("h")}, "h", true);
}

TEST_CASE("transposed weights of Gemm are channels last, on both sides") {
  Build b(13);
  b.input("x", {3, 4});
  b.random("v", {kChannels, 4}, 2);
  b.random("c", {kChannels}, 3);
  b.random("w", {2, kChannels}, 4);
  b.node("Gemm", {"x", "v", "c"}, {"h"}, {{"transB", int64_t{1}}});
  const NodeId last = b.node("Gemm", {"h", "w"}, {"y"}, {{"transB", int64_t{1}}});
  b.output("y");
  CHECK(product_weights(b.graph, last)->channels == kChannels);
  CHECK(product_weights(b.graph, last)->channels_last);
  TensorMap feeds;
  feeds.emplace("x", test::random_tensor({3, 4}, 9));
  const Tensor before = test::run_graph(b.graph, feeds).at("y").clone();
  const ValueId h = *b.graph.find_value("h");
  CHECK(divided_at_source(b.graph, h, std::vector{last}) == std::vector{h});
  divide_channels(b.graph, h, std::vector{last}, std::vector<float>{3, 1, 0.5F, 9, 1, 4}, true);
  CHECK(test::relative_difference(test::run_graph(b.graph, feeds).at("y"), before) < 1e-5);
}

TEST_CASE("what others read or a Relu makes is not divided where it is made") {
  Case c;
  c.b.random("g", {kChannels}, 4);
  c.b.node("Mul", {"x", "g"}, {"h"});
  c.b.node("Relu", {"h"}, {"r"});
  c.b.output("r");
  const NodeId product = c.product("h");
  CHECK(divided_at_source(c.b.graph, *c.b.graph.find_value("h"), std::vector{product}).empty());
  const NodeId behind = c.product("r", "z");
  CHECK(divided_at_source(c.b.graph, *c.b.graph.find_value("r"), std::vector{behind}).empty());
}

}  // namespace
}  // namespace qtool
