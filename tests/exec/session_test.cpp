// SPDX-License-Identifier: Apache-2.0
// What grouping, layouts, aliases and shared memory must not change: the results.
#include "catch.h"
#include "exec/agree.h"
#include "exec/model.h"
#include "exec/session_runner.h"
#include "support/parallel.h"

using namespace qtool;
using namespace qtool::test;

namespace {

const Shape kImages{2, 5, 7, 6};

std::string compiled_ops(const Model& m) { return ops_of(Session(m.graph, builtin_ops(), {})); }

}  // namespace

TEST_CASE("A residual block adds in place and is one kernel") {
  Model m;
  const ValueId x = m.conv(m.input("x", kImages), 5, 8, 1);
  const ValueId branch = m.conv(m.add("Relu", {m.conv(x, 8, 8, 3)}), 8, 8, 5);
  m.output(m.add("Relu", {m.add("Add", {branch, x})}));
  CHECK(disagreement(m.graph) == "");
  CHECK(compiled_ops(m) == "(layout); Conv; Conv + Relu; Conv + Add + Relu; (layout)");
}

TEST_CASE("A residual behind a product without a bias") {
  Model m;
  const ValueId x = m.conv(m.input("x", kImages), 5, 5, 1);
  m.output(m.add("Add", {m.add("Conv", {x, m.constant(noise({5, 5, 1, 1}))}), x}));
  const ValueId flat = m.add("Flatten", {x});
  m.output(m.add("Add", {flat, m.add("Gemm", {flat, m.constant(noise({210, 210}))})}));
  m.output(m.add("Add", {m.add("MatMul", {flat, m.constant(noise({210, 210}))}), flat}));
  CHECK(disagreement(m.graph) == "");
}

TEST_CASE("Two convolutions that meet in an addition: one takes it in, the other stands alone") {
  Model m;
  const ValueId x = m.input("x", kImages);
  m.output(m.add("Relu", {m.add("Add", {m.conv(x, 5, 8, 1), m.conv(x, 5, 8, 3)})}));
  CHECK(disagreement(m.graph) == "");
  CHECK(compiled_ops(m) == "(layout); Conv; Conv + Add + Relu; (layout)");
}

TEST_CASE("A residual that is needed afterwards is not written over") {
  Model m;
  const ValueId x = m.conv(m.input("x", kImages), 5, 5, 1);
  const ValueId sum = m.add("Add", {m.conv(x, 5, 5, 3), x});
  m.output(m.add("Mul", {sum, x}));
  CHECK(disagreement(m.graph) == "");

  Model output;
  const ValueId kept = output.output(output.conv(output.input("x", kImages), 5, 5, 1));
  output.output(output.add("Add", {output.conv(kept, 5, 5, 3), kept}));
  CHECK(disagreement(output.graph) == "");
}

TEST_CASE(
    "A residual that is the graph's input, and a convolution whose residual is its own source") {
  Model m;
  const ValueId x = m.input("x", kImages);
  m.output(m.add("Add", {m.conv(x, 5, 5, 1), x}));
  CHECK(disagreement(m.graph) == "");

  Model own;
  const ValueId y = own.conv(own.input("x", kImages), 5, 5, 1);
  own.output(own.add("Relu", {own.add("Add", {y, own.conv(y, 5, 5, 3)})}));
  CHECK(disagreement(own.graph) == "");

  Model residual_input;
  const ValueId a = residual_input.input("a", kImages);
  const ValueId b = residual_input.input("b", kImages);
  residual_input.output(residual_input.add("Add", {b, residual_input.conv(a, 5, 5, 1)}));
  CHECK(disagreement(residual_input.graph) == "");
}

TEST_CASE("Additions of values that die, that are equal, that are shared") {
  Model m;
  const ValueId x = m.conv(m.input("x", kImages), 5, 5, 1);
  const ValueId a = m.add("Sigmoid", {x});
  const ValueId b = m.add("Tanh", {x});
  const ValueId sum = m.add("Add", {a, b});
  const ValueId twice = m.add("Add", {sum, sum});
  const ValueId product = m.add("Mul", {twice, a});
  m.output(m.add("Sub", {product, x}));
  CHECK(disagreement(m.graph) == "");
}

TEST_CASE("Broadcast operands may lie in any layout") {
  Model m;
  const ValueId x = m.conv(m.input("x", kImages), 5, 5, 1);
  const ValueId gate = m.add("Sigmoid", {m.conv(m.add("GlobalAveragePool", {x}), 5, 5, 3)});
  const ValueId gated = m.add("Mul", {x, gate});
  const ValueId shifted = m.add("Add", {gated, m.constant(noise({5, 1, 1}))});
  const ValueId columns = m.add("Add", {shifted, m.constant(noise({6}))});
  const ValueId rows = m.add("Mul", {m.constant(noise({7, 1}, 2)), columns});
  m.output(m.add("Add", {rows, m.constant(noise({2, 5, 7, 6}, 3))}));
  CHECK(disagreement(m.graph) == "");
}

TEST_CASE("Renaming ops see values of another layout in ONNX's order") {
  for (const char* kind :
       {"Flatten", "Reshape", "Unsqueeze", "Transpose", "Softmax", "Identity", "Dropout"}) {
    Model m;
    const ValueId conv = m.conv(m.input("x", kImages), 5, 8, 1);
    std::vector<ValueId> inputs{conv};
    CaseAttributes attributes;
    if (std::string(kind) == "Reshape") inputs.push_back(m.constant(s64({3}, {2, 4, -1})));
    if (std::string(kind) == "Unsqueeze") inputs.push_back(m.constant(s64({1}, {1})));
    if (std::string(kind) == "Softmax") attributes = {{"axis", int64_t{1}}};
    const ValueId renamed = m.add(kind, inputs, attributes);
    m.output(renamed);
    m.output(m.add("Relu", {renamed}));
    m.output(m.add("Sigmoid", {conv}));
    CAPTURE(kind);
    CHECK(disagreement(m.graph) == "");
  }
}

TEST_CASE("A renamed value of which both names live on is not computed over") {
  Model m;
  const ValueId x = m.input("x", Shape{4, 6});
  const ValueId a = m.add("Relu", {x});
  const ValueId flat = m.add("Reshape", {a, m.constant(s64({1}, {24}))});
  const ValueId b = m.add("Sigmoid", {a});
  const ValueId c = m.add("Tanh", {flat});
  m.output(m.add("Add", {m.add("Reshape", {b, m.constant(s64({1}, {24}))}), c}));
  m.output(flat);
  CHECK(disagreement(m.graph) == "");
}

TEST_CASE("Outputs that are inputs, constants, renamed inputs, and outputs that others read") {
  Model m;
  const ValueId x = m.input("x", Shape{2, 3});
  m.output(x);
  m.output(m.constant(f32({2}, {1, 2})));
  m.output(m.add("Flatten", {x}, {{"axis", int64_t{0}}}));
  const ValueId relu = m.output(m.add("Relu", {x}));
  m.output(m.add("Tanh", {relu}));
  m.output(m.add("Add", {m.constant(f32({1}, {1})), m.constant(f32({1}, {2}))}));
  CHECK(disagreement(m.graph) == "");
  const TensorMap results = run_on(m.graph, Backend::onednn, random_feeds(m.graph));
  CHECK(results.size() == 6);
  CHECK(results.at("x").equals(random_feeds(m.graph).at("x")));
}

TEST_CASE("Running again gives the same bits, on one thread and on two") {
  Model m;
  const ValueId x = m.conv(m.input("x", Shape{2, 5, 33, 31}), 5, 40, 1);
  const ValueId y = m.add("Relu", {m.add("Add", {m.conv(x, 40, 40, 3), x})});
  const ValueId pooled =
      m.add("AveragePool", {y}, {{"kernel_shape", ints({3, 3})}, {"strides", ints({2, 2})}});
  m.output(m.add("Softmax", {m.add("Gemm", {m.add("Flatten", {pooled}),
                                            m.constant(noise({40 * 16 * 15, 10}))})}));
  const TensorMap feeds = random_feeds(m.graph);
  set_thread_count(1);
  Session one(m.graph, builtin_ops(), {});
  const TensorMap first = one.run(feeds);
  const TensorMap again = one.run(feeds);
  set_thread_count(2);
  const TensorMap with_two = one.run(feeds);
  Session two(m.graph, builtin_ops(), {});
  const TensorMap made_for_two = two.run(feeds);
  set_thread_count(0);
  for (const auto& [name, tensor] : first) {
    CHECK(again.at(name).equals(tensor));
    CHECK(with_two.at(name).equals(tensor));
    CHECK(made_for_two.at(name).equals(tensor));
  }
  CHECK(disagreement(m.graph) == "");
}

TEST_CASE("What a session tells of itself") {
  Model m;
  const ValueId conv = m.conv(m.input("x", Shape{1, 3, 8, 8}), 3, 4, 1);
  const ValueId shape = m.input("shape", {DType::int64, Shape{2}});
  m.output(m.add("Reshape", {m.add("Relu", {conv}), shape}));
  Session session(m.graph, builtin_ops(), {.profile = true});
  CHECK(session.macs() == 4 * 64 * 27);
  CHECK(session.input_names()[0] == "x");
  CHECK(session.input_names()[1] == "shape");
  CHECK(session.arena_bytes() > 0);
  REQUIRE(ops_of(session) == "(layout); Conv + Relu; (layout); Reshape");
  const auto steps = session.steps();
  CHECK(steps[1].macs == 4 * 64 * 27);
  CHECK(steps[1].shape == "[1,4,8,8]");
  CHECK(steps[1].types == "float,float,float -> float");
  CHECK(steps[1].layout == Layout::channels_last);
  CHECK(!steps[1].integer);
  CHECK(steps[1].fallback == "");
  CHECK_THAT(steps[1].kernel, Catch::Contains("oneDNN"));
  CHECK(steps[3].reference);
  CHECK(steps[3].fallback == "shapes known only at run time");
  TensorMap feeds;
  feeds.emplace("x", Tensor(DType::float32, {1, 3, 8, 8}));
  feeds.emplace("shape", s64({2}, {16, 16})->clone());
  CHECK(session.run(feeds).begin()->second.shape() == Shape{16, 16});
  CHECK(session.steps()[1].total_ms > 0);
}

TEST_CASE("Wrong feeds and models that cannot run say what is wrong") {
  Model m;
  m.output(m.add("Relu", {m.input("x", Shape{2, 3})}));
  Session session(m.graph, builtin_ops(), {});
  const auto run_with = [&](const std::string& name, Tensor tensor) {
    TensorMap feeds;
    feeds.emplace(name, std::move(tensor));
    session.run(feeds);
  };
  CHECK_THROWS_WITH(run_with("y", Tensor(DType::float32, {2, 3})),
                    Catch::Contains("no data for the input \"x\""));
  CHECK_THROWS_WITH(run_with("x", Tensor(DType::float32, {3, 2})),
                    Catch::Contains("the input \"x\" takes float[2,3], the data is float[3,2]"));
  CHECK_THROWS_WITH(run_with("x", Tensor(DType::int64, {2, 3})),
                    Catch::Contains("the data is int64[2,3]"));

  Model open;
  open.output(
      open.add("Relu", {open.input("x", {DType::float32, std::vector<Dim>{{{}, "N"}, {3, {}}}})}));
  CHECK_THROWS_WITH(
      Session(open.graph, builtin_ops(), {}),
      Catch::Contains("the input \"x\" is float[N,3]: its open extents must be fixed"));
  Session fixed(open.graph, builtin_ops(), {.input_shapes = {{"x", {4, 3}}}});
  CHECK(to_string(fixed.input_types()[0]) == "float[4,3]");

  Model unknown;
  unknown.output(unknown.add("TfIdfVectorizer", {unknown.input("x", Shape{2})}));
  try {
    Session refused(unknown.graph, builtin_ops(), {});
    FAIL("an unknown op was accepted");
  } catch (const Error& error) {
    CHECK(error.kind() == Error::Kind::unsupported);
    CHECK_THAT(error.what(),
               Catch::Contains("TfIdfVectorizer") &&
                   Catch::Contains("qtool does not know TfIdfVectorizer of opset 17"));
  }

  Model too_old(1);
  too_old.output(too_old.add("GridSample",
                             {too_old.input("x", Shape{2, 2}), too_old.input("y", Shape{2, 2})}));
  CHECK_THROWS_WITH(Session(too_old.graph, builtin_ops(), {}),
                    Catch::Contains("GridSample of opset 1"));
}

TEST_CASE("A runner makes a session a batch size and refuses inputs the model has not") {
  auto m = std::make_shared<Model>();
  m->output(
      m->add("Relu", {m->input("x", {DType::float32, std::vector<Dim>{{{}, "N"}, {2, {}}}})}));
  const auto runner = open_session({m, &m->graph}, builtin_ops());
  CHECK(runner->inputs()[0].dims == std::vector<int64_t>{-1, 2});
  for (const int64_t batch : {1, 4, 2, 7, 1, 9, 4}) {
    TensorMap feeds;
    feeds.emplace("x", Tensor(DType::float32, {batch, 2}));
    CHECK(runner->run(feeds).begin()->second.shape() == Shape{batch, 2});
  }
  TensorMap feeds;
  feeds.emplace("z", Tensor(DType::float32, {1, 2}));
  CHECK_THROWS_WITH(runner->run(feeds), Catch::Contains("the model has no input \"z\"") &&
                                            Catch::Contains("Its inputs: x"));
}
