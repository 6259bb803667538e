// SPDX-License-Identifier: Apache-2.0
#include "rounding/segments.h"

#include "ops/gradient.h"
#include "passes/graphs.h"
#include "quant/names.h"

namespace qtool {
namespace {

using test::Build;

/// stem, then a block of two layers with a shortcut around it, then a last layer.
Graph residual() {
  Build b;
  b.input("x", {4, 2, 3, 3});
  for (const char* w : {"w1", "w2", "w3", "w4"}) b.random(w, {2, 2, 1, 1}, 1);
  b.node("Conv", {"x", "w1"}, {"a"}, {}, "stem");
  b.node("Conv", {"a", "w2"}, {"b"}, {}, "one");
  b.node("Relu", {"b"}, {"c"}, {}, "relu");
  b.node("Conv", {"c", "w3"}, {"d"}, {}, "two");
  b.node("Add", {"d", "a"}, {"e"}, {}, "add");
  b.node("Conv", {"e", "w4"}, {"f"}, {}, "last");
  b.output("f");
  return b.graph;
}

struct Cut {
  std::vector<std::vector<std::string>> layers;
  std::vector<Segment> segments;
};

Cut cut(const Graph& graph, Granularity granularity) {
  const Facts facts = infer_facts(graph, training_ops());
  const SegmentGraphs graphs{
      graph, facts, graph, facts, 4, [&](NodeId id) {
                               return graph.node(id).op.type == "Conv"; }};
  Cut result;
  result.segments = segments(graphs, granularity);
  for (const Segment& segment : result.segments) {
    result.layers.emplace_back();
    for (const NodeId id : segment.layers) result.layers.back().push_back(own_name(graph, id));
  }
  return result;
}

using Layers = std::vector<std::vector<std::string>>;

TEST_CASE("blocks end where a single tensor passes, layers in front of the next layer") {
  const Graph graph = residual();
  CHECK(cut(graph, Granularity::block).layers == Layers{{"stem"}, {"one", "two"}, {"last"}});
  CHECK(cut(graph, Granularity::layer).layers == Layers{{"stem"}, {"one"}, {"two"}, {"last"}});
}

TEST_CASE("a segment names what passes in and out: the shortcut goes around the inner cut") {
  const Graph graph = residual();
  const auto names = [&](const std::vector<ValueId>& ids) {
    std::vector<std::string> result;
    for (const ValueId id : ids) result.push_back(graph.value(id).name);
    return result;
  };
  const Cut made = cut(graph, Granularity::layer);
  CHECK(names(made.segments[1].inputs) == std::vector<std::string>{"a"});
  CHECK(names(made.segments[1].targets) == std::vector<std::string>{"c"});
  CHECK(names(made.segments[2].inputs) == std::vector<std::string>{"a", "c"});
  CHECK(names(made.segments[2].kept) == std::vector<std::string>{"e"});
  CHECK(names(made.segments[3].targets) == std::vector<std::string>{"f"});
}

TEST_CASE("nothing is cut where the batch is not in front of what passes") {
  Build b;
  b.input("x", {4, 2, 3, 3});
  b.random("w", {2, 2, 1, 1}, 1);
  b.node("Conv", {"x", "w"}, {"a"}, {}, "one");
  b.node("Transpose", {"a"}, {"t"}, {{"perm", std::vector<int64_t>{1, 0, 2, 3}}}, "turn");
  b.constant("v", {1, 4, 1, 1}, {1, 2, 3, 4});
  b.node("Conv", {"t", "v"}, {"c"}, {}, "two");
  b.output("c");
  CHECK(cut(b.graph, Granularity::layer).segments.size() == 1);
}

}  // namespace
}  // namespace qtool
