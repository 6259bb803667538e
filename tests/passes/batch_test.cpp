// SPDX-License-Identifier: Apache-2.0
// Models that were exported for one sample, run with several.
#include "passes/batch.h"

#include "catch.h"
#include "exec/agree.h"
#include "exec/model.h"

using namespace qtool;
using namespace qtool::test;

namespace {

/// A convolution, a reshape to `shape` and a product, declared for one image throughout.
Model exported(std::vector<int64_t> shape) {
  Model m;
  const ValueId conv = m.conv(m.input("x", {1, 3, 4, 4}), 3, 2, 1);
  m.graph.set_type(conv, {DType::float32, Shape{1, 2, 4, 4}});
  const ValueId flat = m.add("Reshape", {conv, m.constant(list(std::move(shape)))});
  const ValueId y = m.add("Gemm", {flat, m.constant(noise({32, 5}))});
  m.graph.set_type(y, {DType::float32, Shape{1, 5}});
  m.output(y);
  return m;
}

/// A reshape that has the number of elements of one sample.
Model folded() {
  Model m;
  m.output(m.add("Reshape", {m.input("x", {1, 8}), m.constant(list({2, 4}))}));
  return m;
}

std::string refusal(const Graph& graph) {
  try {
    with_batch(graph, builtin_ops(), 3);
  } catch (const Error& error) {
    CHECK(error.kind() == Error::Kind::input);
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("A model exported for one sample gives for several what it gives for each") {
  const Model m = exported(GENERATE(std::vector<int64_t>{0, -1}, std::vector<int64_t>{1, 32},
                                    std::vector<int64_t>{1, -1}));
  const Graph three = with_batch(m.graph, builtin_ops(), 3);
  const Constant all = noise({3, 3, 4, 4}, 9);
  TensorMap feeds;
  feeds.emplace("x", all->clone());
  const TensorMap together = run_on(three, Backend::onednn, feeds);
  const Tensor& y = together.begin()->second;
  REQUIRE(y.shape() == Shape{3, 5});
  for (size_t i = 0; i < 3; ++i) {
    const auto image = all->data<float>().subspan(i * 48, 48);
    TensorMap one;
    one.emplace("x", Tensor::of<float>({1, 3, 4, 4}, image));
    const Tensor alone = run_on(m.graph, Backend::reference, one).begin()->second.clone();
    for (size_t k = 0; k < 5; ++k)
      CHECK(y.data<float>()[i * 5 + k] == Approx(alone.data<float>()[k]).margin(1e-4));
  }
  CHECK(to_text(with_batch(m.graph, builtin_ops(), 1)) == to_text(m.graph));
}

TEST_CASE("A graph that holds one sample says where") {
  const std::string inside = refusal(folded().graph);
  CHECK_THAT(inside, Catch::Contains("exported for batches of 1") && Catch::Contains("Reshape") &&
                         Catch::Contains("--batch 1"));

  Model mixed;
  mixed.output(mixed.add("ReduceMean", {mixed.input("x", {1, 4})}, {{"axes", ints({0})}}));
  CHECK_THAT(refusal(mixed.graph), Catch::Contains("is float[1,4] then"));
}

TEST_CASE("An open batch dimension takes any number of samples, under the same ids") {
  const Model m = exported({1, 32});
  const Graph open = with_open_batch(m.graph, builtin_ops());
  for (const ValueId id : m.graph.values()) CHECK(open.value(id).name == m.graph.value(id).name);
  CHECK(open.value(open.inputs()[0]).type.shape->front() == Dim{std::nullopt, "batch"});
  for (const int64_t batch : {1, 2, 5}) {
    const Constant all = noise({batch, 3, 4, 4}, 9);
    TensorMap feeds;
    feeds.emplace("x", all->clone());
    Graph filled = open;
    filled.set_type(open.inputs()[0], {DType::float32, Shape{batch, 3, 4, 4}});
    const Tensor got = run_on(filled, Backend::onednn, feeds).begin()->second.clone();
    const Graph fixed = with_batch(m.graph, builtin_ops(), batch);
    const Tensor wanted = run_on(fixed, Backend::reference, feeds).begin()->second.clone();
    REQUIRE(got.shape() == Shape{batch, 5});
    REQUIRE(wanted.shape() == got.shape());
    const auto expected = wanted.data<float>();
    for (size_t i = 0; i < expected.size(); ++i)
      CHECK(got.data<float>()[i] == Approx(expected[i]).margin(1e-4));
  }
  CHECK_THROWS_WITH(with_open_batch(folded().graph, builtin_ops()), Catch::Contains("Reshape"));
}
