// SPDX-License-Identifier: Apache-2.0
// If, Loop and Scan in sessions: captures, bodies in bodies, shapes that change, loops without end.
#include "catch.h"
#include "exec/model.h"
#include "exec/session.h"
#include "ops/body.h"

using namespace qtool;
using namespace qtool::test;

namespace {

/// Builds a node with bodies whose values capture some of the outer graph's.
struct Nested {
  Model body;
  std::vector<std::pair<ValueId, ValueId>> captured;  ///< inner, outer

  ValueId capture(const Graph& outer, ValueId id) {
    const ValueId inner = body.graph.add_value(outer.value(id).name);
    body.graph.annotations(inner).captured = true;
    captured.emplace_back(inner, id);
    return inner;
  }
};

ValueId add_control(Model& model, const std::string& op, std::vector<ValueId> inputs,
                    std::vector<std::pair<std::string, Nested*>> bodies, int outputs = 1) {
  Node node;
  node.op = {"", op};
  node.name = model.graph.unique_name(op);
  node.inputs = std::move(inputs);
  for (auto& [attribute, nested] : bodies) {
    node.attributes.set(attribute, std::make_shared<const Graph>(nested->body.graph));
    for (const auto& [inner, outer] : nested->captured) {
      node.captures.push_back({attribute, 0, inner, outer});
    }
  }
  for (int i = 0; i < outputs; ++i) {
    node.outputs.push_back(model.graph.add_value(model.graph.unique_name(op + "_out")));
  }
  const ValueId first = node.outputs[0];
  model.graph.add_node(std::move(node));
  return first;
}

/// x times a weight matrix that both branches capture; the else branch also adds a run-time y.
struct Branches {
  Model model;
  ValueId condition, x, y, weights, result;

  explicit Branches(bool computed_condition) {
    x = model.input("x", {2, 3});
    y = model.input("y", {2, 2});
    weights = model.constant(f32({3, 2}, {1, 0, 0, 1, 0, 0}));
    if (computed_condition) {
      const ValueId rank = model.add("Size", {x});
      condition = model.add("Greater", {rank, model.constant(s64({}, {5}))});
    } else {
      condition = model.input("condition", TensorType(DType::boolean, Shape{}));
    }
    Nested then_branch;
    Nested else_branch;
    for (Nested* branch : {&then_branch, &else_branch}) {
      Model& body = branch->body;
      const ValueId inner = branch->capture(model.graph, x);
      const ValueId w = branch->capture(model.graph, weights);
      ValueId product = body.add("MatMul", {inner, w});
      if (branch == &else_branch) {
        product = body.add("Add", {product, branch->capture(model.graph, y)});
      }
      body.output(product);
    }
    result = model.output(add_control(
        model, "If", {condition}, {{"then_branch", &then_branch}, {"else_branch", &else_branch}}));
    model.output(model.add("Relu", {result}));
  }

  TensorMap feeds(std::optional<bool> choice) const {
    TensorMap map;
    map.emplace("x", f32({2, 3}, {1, -2, 3, 4, 5, 6})->clone());
    map.emplace("y", f32({2, 2}, {10, 20, 30, 40})->clone());
    if (choice) map.emplace("condition", elements<bool>({}, {*choice})->clone());
    return map;
  }
};

std::string failure(const Graph& graph, const TensorMap& feeds, Backend backend) {
  try {
    Session session(graph, builtin_ops(), {.backend = backend});
    session.run(feeds);
  } catch (const Error& error) {
    CHECK(error.kind() != Error::Kind::internal);
    return error.what();
  }
  return "no error";
}

/// Loop over a carried value: the body is filled in by `build`, which gives condition, carried...
template <class Build>
Model loop_model(Constant trips, Constant initial, Build&& build, int outputs = 1) {
  Model model;
  Nested nested;
  const ValueId count = nested.body.input("i", TensorType(DType::int64, Shape{}));
  nested.body.input("go", TensorType(DType::boolean, Shape{}));
  const ValueId carried = nested.body.input("v", TensorType{});
  const ValueId start = model.input("start", TensorType(initial->dtype(), initial->shape()));
  for (const ValueId id : build(model, nested, count, carried)) nested.body.output(id);
  const ValueId limit = trips == nullptr ? ValueId::none : model.constant(std::move(trips));
  const ValueId first =
      add_control(model, "Loop", {limit, ValueId::none, start}, {{"body", &nested}}, outputs);
  for (const ValueId id : model.graph.node(model.graph.value(first).producer).outputs) {
    model.output(id);
  }
  REQUIRE(verify(model.graph).empty());
  return model;
}

constexpr Backend kBackends[] = {Backend::reference, Backend::onednn};

}  // namespace

TEST_CASE("An If runs the branch that its condition chooses, with what it captures") {
  const Branches branches(false);
  REQUIRE(verify(branches.model.graph).empty());
  for (const Backend backend : kBackends) {
    Session session(branches.model.graph, builtin_ops(), {.backend = backend});
    for (int round = 0; round < 2; ++round) {
      TensorMap taken = session.run(branches.feeds(true));
      const std::string name = branches.model.graph.value(branches.result).name;
      CHECK(taken.at(name).equals(*f32({2, 2}, {1, -2, 4, 5})));
      TensorMap other = session.run(branches.feeds(false));
      CHECK(other.at(name).equals(*f32({2, 2}, {11, 18, 34, 45})));
    }
  }
}

TEST_CASE("The result of an If whose branches agree is planned as other values are") {
  const Branches branches(false);
  const Facts facts = infer_facts(branches.model.graph, builtin_ops());
  CHECK(to_string(facts[branches.result].type) == "float[2,2]");
  const Session session(branches.model.graph, builtin_ops(), {});
  REQUIRE(session.steps().size() == 2);
  CHECK_FALSE(session.steps()[1].reference);
}

TEST_CASE("An If whose condition follows from shapes becomes the branch") {
  const Branches branches(true);
  const Session session(branches.model.graph, builtin_ops(), {});
  for (const StepInfo& step : session.steps()) CHECK(step.op.find("If") == std::string::npos);
  Session again(branches.model.graph, builtin_ops(), {});
  const TensorMap results = again.run(branches.feeds({}));
  CHECK(results.at(branches.model.graph.value(branches.result).name)
            .equals(*f32({2, 2}, {1, -2, 4, 5})));

  Graph graph = branches.model.graph;
  CHECK(inline_known_branches(graph, builtin_ops()) == 1);
  CHECK(verify(graph).empty());
  CHECK_FALSE(has_branches(graph));
}

TEST_CASE("A branch that gives what it captured, or one value twice, can be inlined") {
  Model model;
  const ValueId x = model.input("x", {2});
  Nested branch;
  const ValueId inner = branch.capture(model.graph, x);
  const ValueId twice = branch.body.add("Add", {inner, inner});
  branch.body.output(inner);
  branch.body.output(twice);
  branch.body.output(twice);
  branch.body.output(branch.body.constant(f32({1}, {7})));
  const ValueId condition = model.constant(elements<bool>({}, {true}));
  const ValueId first = add_control(model, "If", {condition},
                                    {{"then_branch", &branch}, {"else_branch", &branch}}, 4);
  for (const ValueId id : model.graph.node(model.graph.value(first).producer).outputs) {
    model.output(id);
  }
  Graph graph = model.graph;
  CHECK(inline_known_branches(graph, builtin_ops()) == 1);
  CHECK(verify(graph).empty());
  for (const Graph* form : {&model.graph, &graph}) {
    for (const Backend backend : kBackends) {
      Session session(*form, builtin_ops(), {.backend = backend});
      TensorMap feeds;
      feeds.emplace("x", f32({2}, {1, 2})->clone());
      session.execute(std::vector<TensorView>{feeds.at("x").view()});
      CHECK(session.output(0).as<float>()[1] == 2);
      CHECK(session.output(1).as<float>()[1] == 4);
      CHECK(session.output(2).as<float>()[1] == 4);
      CHECK(session.output(3).as<float>()[0] == 7);
    }
  }
}

TEST_CASE("A loop carries, stacks, captures, and may change shapes as it goes") {
  // v grows by its own sum and a captured number in each iteration.
  const Model model = loop_model(
      s64({}, {3}), f32({1}, {1}),
      [](Model& outer, Nested& nested, ValueId, ValueId carried) {
        const ValueId step = nested.capture(outer.graph, outer.input("step", Shape{1}));
        Model& body = nested.body;
        const ValueId sum = body.add("ReduceSum", {carried});
        const ValueId next = body.add("Add", {sum, step});
        const ValueId grown = body.add("Concat", {carried, next}, {{"axis", int64_t{0}}});
        return std::vector{body.constant(elements<bool>({}, {true})), grown, next};
      },
      2);
  for (const Backend backend : kBackends) {
    Session session(model.graph, builtin_ops(), {.backend = backend});
    for (int round = 0; round < 2; ++round) {
      TensorMap feeds;
      feeds.emplace("start", f32({1}, {1})->clone());
      feeds.emplace("step", f32({1}, {10})->clone());
      const TensorMap results = session.run(feeds);
      CHECK(results.at("Loop_out").equals(*f32({4}, {1, 11, 22, 44})));
      CHECK(results.at("Loop_out_1").equals(*f32({3, 1}, {11, 22, 44})));
    }
  }
}

TEST_CASE("A condition in a body in a body reads through both") {
  // Adds the captured x while the iteration is even, else subtracts it.
  const Model model = loop_model(
      s64({}, {5}), f32({1}, {0}),
      [](Model& outer, Nested& nested, ValueId count, ValueId carried) {
        const ValueId x = nested.capture(outer.graph, outer.input("x", Shape{1}));
        Model& body = nested.body;
        const ValueId odd = body.add("Mod", {count, body.constant(s64({}, {2}))});
        const ValueId is_odd =
            body.add("Cast", {odd}, {{"to", static_cast<int64_t>(DType::boolean)}});
        Nested minus;
        Nested plus;
        minus.body.output(minus.body.add(
            "Sub", {minus.capture(body.graph, carried), minus.capture(body.graph, x)}));
        plus.body.output(
            plus.body.add("Add", {plus.capture(body.graph, carried), plus.capture(body.graph, x)}));
        const ValueId next =
            add_control(body, "If", {is_odd}, {{"then_branch", &minus}, {"else_branch", &plus}});
        return std::vector{body.constant(elements<bool>({}, {true})), next};
      });
  for (const Backend backend : kBackends) {
    Session session(model.graph, builtin_ops(), {.backend = backend});
    TensorMap feeds;
    feeds.emplace("start", f32({1}, {0})->clone());
    feeds.emplace("x", f32({1}, {3})->clone());
    CHECK(session.run(feeds).at("Loop_out").equals(*f32({1}, {3})));
  }
}

TEST_CASE("A loop that does not end is an error") {
  for (const Constant& trips : {s64({}, {int64_t{1} << 60}), Constant{}}) {
    const Model model =
        loop_model(trips, f32({}, {1}), [](Model&, Nested& nested, ValueId, ValueId carried) {
          return std::vector{nested.body.constant(elements<bool>({}, {true})), carried};
        });
    TensorMap feeds;
    feeds.emplace("start", f32({}, {1})->clone());
    CHECK_THAT(failure(model.graph, feeds, Backend::onednn), Catch::Contains("does not end"));
  }
}

TEST_CASE("Errors in a body name the node and the body") {
  const Model unknown =
      loop_model(s64({}, {1}), f32({}, {1}), [](Model&, Nested& nested, ValueId, ValueId carried) {
        return std::vector{nested.body.constant(elements<bool>({}, {true})),
                           nested.body.add("Imagined", {carried})};
      });
  TensorMap feeds;
  feeds.emplace("start", f32({}, {1})->clone());
  CHECK_THAT(failure(unknown.graph, feeds, Backend::onednn),
             Catch::Contains("does not know Imagined"));
  const Model contradiction = loop_model(
      s64({}, {1}), f32({3}, {1, 2, 3}), [](Model&, Nested& nested, ValueId, ValueId carried) {
        Model& body = nested.body;
        return std::vector{body.constant(elements<bool>({}, {true})),
                           body.add("Add", {carried, body.constant(f32({2}, {1, 2}))})};
      });
  feeds.clear();
  feeds.emplace("start", f32({3}, {1, 2, 3})->clone());
  const std::string text = failure(contradiction.graph, feeds, Backend::reference);
  CHECK_THAT(text, Catch::Contains("Loop \"Loop\"") && Catch::Contains("body") &&
                       Catch::Contains("do not broadcast"));
}

TEST_CASE("Stacked results of unlike shapes are an error") {
  const Model model = loop_model(
      s64({}, {2}), f32({1}, {1}),
      [](Model&, Nested& nested, ValueId, ValueId carried) {
        Model& body = nested.body;
        const ValueId grown = body.add("Concat", {carried, carried}, {{"axis", int64_t{0}}});
        return std::vector{body.constant(elements<bool>({}, {true})), grown,
                           body.add("Relu", {grown})};
      },
      2);
  TensorMap feeds;
  feeds.emplace("start", f32({1}, {1})->clone());
  for (const Backend backend : kBackends) {
    CHECK_THAT(failure(model.graph, feeds, backend), Catch::Contains("after float[2]"));
  }
}
