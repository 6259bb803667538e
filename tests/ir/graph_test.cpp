// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <set>

#include "catch.h"
#include "graphs.h"
#include "support/rng.h"

using namespace qtool;
using qtool::test::Branches;
using qtool::test::Chain;
using qtool::test::make_node;

namespace {

using Reads = std::map<ValueId, std::set<std::pair<NodeId, int>>>;

/// Who reads what, from the nodes' own lists: the oracle for Value::uses.
Reads reads_of(const Graph& graph) {
  Reads reads;
  for (const NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (node.inputs[i] != ValueId::none) reads[node.inputs[i]].insert({id, static_cast<int>(i)});
    }
    for (size_t i = 0; i < node.captures.size(); ++i) {
      reads[node.captures[i].outer].insert({id, kCaptureSlot + static_cast<int>(i)});
    }
  }
  return reads;
}

void require_exact_uses(const Graph& graph) {
  const Reads reads = reads_of(graph);
  for (const ValueId id : graph.values()) {
    std::set<std::pair<NodeId, int>> listed;
    for (const Use& use : graph.value(id).uses) listed.insert({use.node, use.slot});
    REQUIRE(listed.size() == graph.value(id).uses.size());
    REQUIRE(listed == (reads.contains(id) ? reads.at(id) : std::set<std::pair<NodeId, int>>{}));
  }
}

void require_sound(const Graph& graph) {
  REQUIRE(verify(graph) == std::vector<std::string>{});
  require_exact_uses(graph);
}

std::vector<std::string> order_of(const Graph& graph) {
  std::vector<std::string> names;
  for (const NodeId id : graph.topological_order()) names.push_back(graph.node(id).name);
  return names;
}

}  // namespace

TEST_CASE("a new graph is sound and answers questions", "[ir]") {
  const Chain c;
  require_sound(c.graph);
  CHECK(c.graph.node_count() == 2);
  CHECK(c.graph.find_value("a") == c.a);
  CHECK(!c.graph.find_value("b"));
  CHECK(c.graph.is_input(c.x));
  CHECK(c.graph.is_output(c.y));
  CHECK(c.graph.value(c.a).producer == c.relu);
  CHECK(c.graph.value(c.a).uses == std::vector<Use>{{c.add, 0}});
  CHECK(c.graph.constant(c.w)->data<float>()[1] == 2.5F);
  CHECK(c.graph.describe(c.relu) == "Relu \"relu\"");
}

TEST_CASE("a node is inserted on an edge", "[ir]") {
  Chain c;
  const ValueId q = c.graph.add_value("q");
  require_sound(c.graph);
  c.graph.replace_uses(c.a, q);
  CHECK(verify(c.graph) == std::vector<std::string>{"\"q\" is read but nothing makes it"});
  c.graph.add_node(make_node("Neg", {c.a}, {q}, "neg"));
  require_sound(c.graph);
  CHECK(order_of(c.graph) == std::vector<std::string>{"relu", "neg", "add"});
  CHECK(c.graph.node(c.add).inputs == std::vector<ValueId>{q, c.w});
}

TEST_CASE("only the chosen uses are replaced, and graph outputs stay", "[ir]") {
  Chain c;
  const ValueId z = c.graph.add_value("z");
  const NodeId mul = c.graph.add_node(make_node("Mul", {c.a, c.a}, {z}, "mul"));
  c.graph.add_output(z);
  c.graph.add_output(c.a);
  require_sound(c.graph);
  const std::vector<Use> only = {{mul, 1}};
  c.graph.replace_uses(c.a, c.x, only);
  require_sound(c.graph);
  CHECK(c.graph.node(mul).inputs == std::vector<ValueId>{c.a, c.x});
  CHECK(c.graph.node(c.add).inputs == std::vector<ValueId>{c.a, c.w});
  c.graph.replace_uses(c.a, c.x);
  require_sound(c.graph);
  CHECK(c.graph.value(c.a).uses.empty());
  CHECK(c.graph.outputs()[2] == c.a);
}

TEST_CASE("inputs and outputs of nodes are set", "[ir]") {
  Chain c;
  c.graph.set_input(c.relu, 3, c.w);
  require_sound(c.graph);
  CHECK(c.graph.node(c.relu).inputs ==
        std::vector<ValueId>{c.x, ValueId::none, ValueId::none, c.w});
  c.graph.set_input(c.relu, 3, ValueId::none);
  require_sound(c.graph);
  const ValueId fresh = c.graph.add_value("fresh");
  c.graph.set_output(c.add, 0, fresh);
  CHECK(verify(c.graph).size() == 1);  // y is an output that nothing makes
  c.graph.set_graph_output(0, fresh);
  require_sound(c.graph);
  c.graph.erase(c.y);
  require_sound(c.graph);
  CHECK(!c.graph.find_value("y"));
  CHECK_THROWS_AS(c.graph.value(c.y), Error);
  CHECK_THROWS_AS(c.graph.set_output(c.add, 1, c.a), Error);  // relu makes it
}

TEST_CASE("erasing", "[ir]") {
  Chain c;
  SECTION("a value in use is refused") { CHECK_THROWS_AS(c.graph.erase(c.w), Error); }
  SECTION("a node leaves its outputs behind") {
    c.graph.erase(c.relu);
    require_exact_uses(c.graph);
    CHECK(c.graph.value(c.x).uses.empty());
    CHECK(c.graph.value(c.a).producer == NodeId::none);
    c.graph.replace_uses(c.a, c.x);
    c.graph.erase(c.a);
    require_sound(c.graph);
  }
  SECTION("what nobody reads goes, chain after chain") {
    const ValueId p = c.graph.add_value("p");
    const ValueId q = c.graph.add_value("q");
    const ValueId k = c.graph.add_constant("k", make_constant(Tensor::scalar(1.0F)));
    c.graph.add_node(make_node("Neg", {c.a}, {p}, "neg"));
    c.graph.add_node(make_node("Sub", {p, k}, {q}, "sub"));
    require_sound(c.graph);
    CHECK(c.graph.erase_dead() == 2);
    require_sound(c.graph);
    CHECK(!c.graph.has(p));
    CHECK(!c.graph.has(q));
    CHECK(!c.graph.has(k));
    CHECK(c.graph.node_count() == 2);
    CHECK(c.graph.erase_dead() == 0);
  }
  SECTION("ids are never reused, names can be") {
    c.graph.set_graph_output(0, c.a);
    c.graph.erase_dead();
    require_sound(c.graph);
    CHECK(c.graph.add_value("y") != c.y);
    CHECK(c.graph.add_node(make_node("Neg", {c.a}, {*c.graph.find_value("y")})) != c.add);
    require_sound(c.graph);
  }
}

TEST_CASE("a copy agrees on ids and shares weights", "[ir]") {
  Chain c;
  Graph copy = c.graph;
  copy.erase(c.relu);
  copy.replace_uses(c.a, c.x);
  copy.erase_dead();
  require_sound(copy);
  require_sound(c.graph);
  CHECK(copy.value(c.y).name == "y");
  CHECK(copy.value(c.w).constant == c.graph.value(c.w).constant);
  CHECK(c.graph.has(c.relu));
}

TEST_CASE("the order is stable", "[ir]") {
  SECTION("sorted graphs keep their order") {
    Graph graph;
    const ValueId x = graph.add_value("x");
    graph.add_input(x);
    std::vector<std::string> expected;
    ValueId last = x;
    for (const std::string name : {"e", "d", "c", "b", "a"}) {
      const ValueId out = graph.add_value(name);
      graph.add_node(make_node("Neg", {name == "c" ? x : last}, {out}, name));
      expected.push_back(name);
      last = out;
    }
    CHECK(order_of(graph) == expected);
  }
  SECTION("a late node stands right before its first reader") {
    Chain c;
    const ValueId z = c.graph.add_value("z");
    c.graph.add_node(make_node("Neg", {c.y}, {z}, "neg"));
    const ValueId q = c.graph.add_value("q");
    c.graph.add_node(make_node("Exp", {c.w}, {q}, "exp"));
    c.graph.set_input(c.add, 1, q);
    CHECK(order_of(c.graph) == std::vector<std::string>{"relu", "exp", "add", "neg"});
  }
  SECTION("a cycle is an error that names a node") {
    Chain c;
    c.graph.set_input(c.relu, 0, c.y);
    CHECK_THROWS_WITH(c.graph.topological_order(), "the graph has a cycle through Relu \"relu\"");
    CHECK(verify(c.graph) ==
          std::vector<std::string>{"the graph has a cycle through Relu \"relu\""});
  }
}

TEST_CASE("initializers that are inputs depend on the IR version", "[ir]") {
  Chain c;
  c.graph.add_input(c.w);
  require_sound(c.graph);
  c.graph.model.ir_version = 3;
  CHECK(c.graph.constant(c.w) != nullptr);
  CHECK(c.graph.required_inputs() == std::vector<ValueId>{c.x});
  c.graph.model.ir_version = 4;
  CHECK(c.graph.constant(c.w) == nullptr);
  CHECK(c.graph.required_inputs() == std::vector<ValueId>{c.x});
  c.graph.set_constant(c.w, nullptr);
  CHECK(c.graph.required_inputs() == std::vector<ValueId>{c.x, c.w});
  require_sound(c.graph);
}

TEST_CASE("an input that is dropped from the list stays a value", "[ir]") {
  Chain c;
  c.graph.add_input(c.w);
  c.graph.drop_input(c.w);
  require_sound(c.graph);
  CHECK(c.graph.inputs().size() == 1);
  CHECK(c.graph.constant(c.w) != nullptr);
  c.graph.drop_input(c.x);
  CHECK(verify(c.graph) == std::vector<std::string>{"\"x\" is read but nothing makes it"});
}

TEST_CASE("captures are uses", "[ir]") {
  Branches b;
  require_sound(b.graph);
  CHECK(b.graph.value(b.x).uses.size() == 2);
  const ValueId x2 = b.graph.add_value("x2");
  b.graph.replace_uses(b.x, x2);
  b.graph.add_node(make_node("Neg", {b.x}, {x2}, "neg"));
  require_sound(b.graph);
  CHECK(b.graph.node(b.node).captures[1].outer == x2);
  CHECK(order_of(b.graph) == std::vector<std::string>{"neg", "choice"});
  b.graph.erase(b.node);
  CHECK(b.graph.value(x2).uses.empty());
  require_exact_uses(b.graph);
}

TEST_CASE("unique names avoid values, nodes and subgraphs", "[ir]") {
  const Branches b;
  CHECK(b.graph.unique_name("fresh") == "fresh");
  CHECK(b.graph.unique_name("x") == "x_1");
  CHECK(b.graph.unique_name("choice") == "choice_1");
  CHECK(b.graph.unique_name("Relu_out") == "Relu_out_1");
}

TEST_CASE("uses stay right through a thousand random edits", "[ir]") {
  Rng rng(20240229);
  Graph graph;
  std::vector<ValueId> made = {graph.add_value("in")};
  graph.add_input(made[0]);
  for (int step = 0; step < 1000; ++step) {
    const auto pick = [&](size_t bound) { return rng.below(static_cast<uint32_t>(bound)); };
    const std::vector<NodeId> nodes = graph.nodes();
    std::erase_if(made, [&](ValueId id) { return !graph.has(id); });
    const uint32_t action = pick(10);
    if (action < 5 || nodes.empty()) {
      const ValueId out = graph.add_value(graph.unique_name("v"));
      const ValueId second = pick(4) == 0 ? ValueId::none : made[pick(made.size())];
      graph.add_node(make_node("Add", {made[pick(made.size())], second}, {out}));
      if (pick(3) == 0) graph.add_output(out);
      made.push_back(out);
    } else if (action < 7) {
      // Reading from the graph's input cannot close a cycle.
      graph.replace_uses(made[pick(made.size())], made[0]);
    } else if (action == 7) {
      graph.set_input(nodes[pick(nodes.size())], static_cast<int>(pick(3)), made[0]);
    } else if (action == 8) {
      const NodeId victim = nodes[pick(nodes.size())];
      const ValueId out = graph.node(victim).outputs[0];
      if (graph.is_output(out)) continue;
      graph.replace_uses(out, made[0]);
      graph.erase(victim);
      graph.erase(out);
    } else if (pick(20) == 0) {
      graph.erase_dead();
    }
    CAPTURE(step);
    require_sound(graph);
  }
  CHECK(graph.node_count() > 10);
}
