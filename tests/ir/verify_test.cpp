// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "graphs.h"

using namespace qtool;
using qtool::test::Branches;
using qtool::test::Chain;
using qtool::test::make_node;
using Defects = std::vector<std::string>;

TEST_CASE("verify finds edges that do not agree", "[ir]") {
  Chain c;
  SECTION("a use too few") {
    c.graph.annotations(c.a).uses.clear();
    CHECK(verify(c.graph) == Defects{"Add \"add\" reads \"a\", whose uses do not list it"});
  }
  SECTION("a use too many") {
    c.graph.annotations(c.a).uses.push_back({c.relu, 0});
    CHECK(verify(c.graph) == Defects{"Relu \"relu\" does not read \"a\" in the slot 0"});
  }
  SECTION("the same use twice") {
    c.graph.annotations(c.a).uses.push_back({c.add, 0});
    CHECK(verify(c.graph) == Defects{"a use of \"a\" is listed twice"});
  }
  SECTION("a use in a slot that the node lacks") {
    c.graph.annotations(c.a).uses.push_back({c.relu, kCaptureSlot + 4});
    CHECK(verify(c.graph) == Defects{"Relu \"relu\" does not read \"a\" in the slot 1048580"});
  }
  SECTION("a use by no node") {
    c.graph.annotations(c.a).uses.push_back({static_cast<NodeId>(77), 0});
    CHECK(verify(c.graph) == Defects{"a use of \"a\" is by a node that does not exist"});
  }
  SECTION("a wrong producer") {
    c.graph.annotations(c.a).producer = c.add;
    CHECK(verify(c.graph) == Defects{"Add \"add\" does not make \"a\" in the slot 0",
                                     "Relu \"relu\" makes \"a\", which names another producer",
                                     "the graph has a cycle through Add \"add\""});
  }
  SECTION("a producer that is gone") {
    c.graph.annotations(c.a).producer = static_cast<NodeId>(77);
    CHECK(verify(c.graph).front() == "the producer of \"a\" does not exist");
  }
}

TEST_CASE("verify finds values without or with two origins", "[ir]") {
  Chain c;
  SECTION("nothing makes an output") {
    c.graph.erase(c.add);
    CHECK(verify(c.graph) == Defects{"nothing makes the graph's output \"y\""});
  }
  SECTION("nothing makes what is read") {
    c.graph.erase(c.relu);
    CHECK(verify(c.graph) == Defects{"\"a\" is read but nothing makes it"});
  }
  SECTION("made and fed") {
    c.graph.add_input(c.a);
    CHECK(verify(c.graph) ==
          Defects{"\"a\" is made by Relu \"relu\" and also an input, an initializer or captured"});
  }
  SECTION("made and constant") {
    c.graph.set_constant(c.a, make_constant(Tensor::scalar(1.0F)));
    CHECK(verify(c.graph).size() == 1);
  }
  SECTION("an input twice") {
    c.graph.add_input(c.x);
    CHECK(verify(c.graph) == Defects{"the graph lists the input \"x\" twice"});
  }
  SECTION("a name changed behind the graph's back") {
    c.graph.annotations(c.a).name = std::string("w");
    CHECK(verify(c.graph) == Defects{"the name \"w\" is not unique"});
  }
  SECTION("no op type") {
    c.graph.set_op(c.relu, {});
    CHECK(verify(c.graph) == Defects{"a node has no op type"});
  }
  SECTION("a residue can define a value") {
    c.graph.erase(c.relu);
    c.graph.annotations(c.a).constant_residue = std::string("sparse");
    CHECK(verify(c.graph).empty());
  }
}

TEST_CASE("verify looks into subgraphs", "[ir]") {
  Branches b;
  REQUIRE(verify(b.graph).empty());
  const auto edited = [&](const char* attribute, const auto& edit) {
    auto body = std::make_shared<Graph>(*b.graph.node(b.node).attributes.subgraph(attribute));
    edit(*body);
    b.graph.attributes(b.node).set(attribute, SubgraphPtr(body));
  };
  SECTION("a capture that the node does not serve") {
    edited("then_branch",
           [](Graph& body) { body.annotations(body.add_value("z")).captured = true; });
    CHECK(verify(b.graph) ==
          Defects{"then_branch of If \"choice\": the node gives no value to the captured \"z\""});
  }
  SECTION("a served value that is not captured") {
    edited("else_branch",
           [](Graph& body) { body.annotations(*body.find_value("x")).captured = false; });
    CHECK(verify(b.graph) ==
          Defects{
              "else_branch of If \"choice\": a capture goes to a value that is not captured there",
              "else_branch of If \"choice\": \"x\" is read but nothing makes it"});
  }
  SECTION("a defect of the body's own") {
    edited("then_branch", [](Graph& body) { body.erase(body.nodes()[0]); });
    CHECK(verify(b.graph) ==
          Defects{"then_branch of If \"choice\": nothing makes the graph's output \"Relu_out\""});
  }
  SECTION("a missing body") {
    b.graph.attributes(b.node).set("then_branch", SubgraphPtr());
    CHECK(verify(b.graph) ==
          Defects{"then_branch of If \"choice\" is a graph that is missing",
                  "If \"choice\" lists a capture that none of its subgraphs has"});
  }
  SECTION("a capture without a body") {
    b.graph.attributes(b.node).erase("then_branch");
    CHECK(verify(b.graph) ==
          Defects{"If \"choice\" lists a capture that none of its subgraphs has"});
  }
  SECTION("a capture in the main graph") {
    b.graph.annotations(b.graph.add_value("z")).captured = true;
    CHECK(verify(b.graph) == Defects{"the main graph captures \"z\""});
  }
}
