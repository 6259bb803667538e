// SPDX-License-Identifier: Apache-2.0
// Ops that move data do so on codes where their input and result have one scale: no floats are
// made in between, and the result is that of the reference, bit for bit.
#include <algorithm>

#include "catch.h"
#include "exec/agree.h"
#include "exec/model.h"

using namespace qtool;
using namespace qtool::test;

namespace {

const Grid kGrid{0.03F, 120, false};

/// x quantized, moved, quantized by the same grid, and dequantized; further inputs are constants.
Model moved(const std::string& op, const Shape& shape, const std::vector<Constant>& more,
            const CaseAttributes& attributes) {
  Model m(19);
  std::vector<ValueId> inputs{m.qdq(m.input("x", shape), kGrid)};
  for (const Constant& constant : more) {
    inputs.push_back(constant == nullptr ? ValueId::none : m.constant(constant));
  }
  m.output(m.qdq(m.add(op, inputs, attributes), kGrid));
  return m;
}

void check_moves_codes(const Model& m, const std::string& op) {
  CAPTURE(op);
  CHECK(disagreement(m.graph, 0, 0) == "");
  CHECK(ops_of(Session(m.graph, builtin_ops(), {})) ==
        "QuantizeLinear; " + op + " + QuantizeLinear; DequantizeLinear");
}

/// Two convolutions' worth of channels split in two, each half quantized by its grid.
Model split_in_two(const Grid& first, const Grid& second) {
  Model m;
  const ValueId real = m.qdq(m.input("x", {2, 6, 3, 5}), kGrid);
  const ValueId a = m.add("Split", {real, m.constant(list({2, 4}))}, {{"axis", int64_t{1}}}, 2);
  const ValueId b = m.graph.node(m.graph.value(a).producer).outputs[1];
  m.output(m.qdq(a, first));
  m.output(m.qdq(b, second));
  return m;
}

}  // namespace

TEST_CASE("Codes are moved as codes") {
  const Shape images{2, 4, 6, 8};
  const Attribute two = int64_t{2};
  check_moves_codes(moved("DepthToSpace", images, {}, {{"blocksize", two}}), "DepthToSpace");
  check_moves_codes(moved("SpaceToDepth", images, {}, {{"blocksize", two}}), "SpaceToDepth");
  check_moves_codes(moved("Tile", images, {list({1, 2, 1, 3})}, {}), "Tile");
  check_moves_codes(moved("Expand", {2, 1, 6, 1}, {list({2, 3, 6, 4})}, {}), "Expand");
  check_moves_codes(moved("Gather", images, {list({3, 0, -1})}, {{"axis", int64_t{1}}}), "Gather");
  check_moves_codes(moved("Resize", images, {nullptr, f32({4}, {1, 1, 2, 2})}, {}), "Resize");
  check_moves_codes(moved("Split", images, {list({2})}, {}), "Split");
}

TEST_CASE("Floats of a constant are no codes because the result is") {
  Model table(19);
  const Constant values = noise({6, 4});
  const ValueId rows = table.constant(values);
  const ValueId indices = table.input("indices", {DType::int64, Shape{3}});
  table.output(table.qdq(table.add("Gather", {rows, indices}), kGrid));
  Session session(table.graph, builtin_ops(), {});
  TensorMap feeds;
  feeds.emplace("indices", list({4, 0, 5})->clone());
  const Tensor y = session.run(feeds).begin()->second.clone();
  size_t at = 0;
  for (const size_t row : {size_t{4}, size_t{0}, size_t{5}}) {
    for (size_t column = 0; column < 4; ++column) {
      const float value = values->data<float>()[row * 4 + column];
      CHECK(y.data<float>()[at++] == Approx(std::clamp(value, -3.6F, 4.05F)).margin(0.0151));
    }
  }

  Model joined(19);
  const ValueId x = joined.qdq(joined.input("x", {2, 3}), kGrid);
  const ValueId rest = joined.constant(noise({2, 5}));
  joined.output(joined.qdq(joined.add("Concat", {x, rest}, {{"axis", int64_t{1}}}), kGrid));
  CHECK(disagreement(joined.graph, 0, 0) == "");
}

TEST_CASE("Codes are gathered by indices that are computed at run time") {
  Model m;
  const ValueId x = m.qdq(m.input("x", {5, 3}), kGrid);
  const ValueId indices = m.input("indices", {DType::int64, Shape{4}});
  m.output(m.qdq(m.add("Gather", {x, indices}), kGrid));
  Session session(m.graph, builtin_ops(), {});
  CHECK(ops_of(session) == "QuantizeLinear; Gather + QuantizeLinear; DequantizeLinear");
  const auto run = [&](std::vector<int64_t> places) {
    TensorMap feeds;
    feeds.emplace("x", Tensor::of<float>({5, 3}, {0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3, 3}));
    feeds.emplace("indices", list(std::move(places))->clone());
    return session.run(feeds).begin()->second.clone();
  };
  const Tensor y = run({2, -4, 0, 1});
  CHECK(y.data<float>()[0] == Approx(2).margin(0.015));
  CHECK(y.data<float>()[3] == Approx(1).margin(0.015));
  CHECK_THROWS_WITH(run({2, 5, 0, 1}),
                    Catch::Contains("Gather") &&
                        Catch::Contains("the index 5 is outside of an axis of extent 5"));
}

TEST_CASE("Interpolation between codes stays in float") {
  const Model m =
      moved("Resize", {1, 2, 3, 3}, {nullptr, f32({4}, {1, 1, 2, 2})}, {{"mode", text("linear")}});
  CHECK(disagreement(m.graph, 0, 1.0001 * static_cast<double>(kGrid.scale)) == "");
  CHECK(ops_of(Session(m.graph, builtin_ops(), {})).find("; Resize; ") != std::string::npos);
}

TEST_CASE("A Split of codes makes no floats, where its parts keep the scale") {
  const Model same = split_in_two(kGrid, kGrid);
  CHECK(disagreement(same.graph, 0, 0) == "");
  CHECK(ops_of(Session(same.graph, builtin_ops(), {})) ==
        "QuantizeLinear; Split; DequantizeLinear; DequantizeLinear");

  const Grid other{0.05F, 100, false};
  const Model mixed = split_in_two(kGrid, other);
  CHECK(disagreement(mixed.graph, 0, 0) == "");
  CHECK(ops_of(Session(mixed.graph, builtin_ops(), {})) ==
        "QuantizeLinear; Split; DequantizeLinear; QuantizeLinear; DequantizeLinear; "
        "DequantizeLinear");
}

TEST_CASE("The indices of a MaxPool of dequantized data are no codes") {
  Model m;
  const ValueId largest = m.add("MaxPool", {m.qdq(m.input("x", {1, 2, 4, 4}), kGrid)},
                                {{"kernel_shape", ints({2, 2})}}, 2);
  m.output(largest);
  m.output(m.graph.node(m.graph.value(largest).producer).outputs[1]);
  CHECK(disagreement(m.graph, 0, 0) == "");
}

TEST_CASE("The parts of a Split can be outputs and looked at") {
  Model m;
  const ValueId a = m.add("Split", {m.qdq(m.input("x", {2, 3}), kGrid)}, {}, 2);
  const ValueId b = m.graph.node(m.graph.value(a).producer).outputs[1];
  m.output(a);
  m.output(m.qdq(b, kGrid));
  CHECK(disagreement(m.graph, 0, 0) == "");
  Session session(m.graph, builtin_ops(), {.taps = {a, b}});
  int seen = 0;
  session.run(random_feeds(m.graph), [&](const TappedValue& view) {
    seen += view.dtype == DType::float32 && *view.shape == Shape{1, 3} ? 1 : 0;
  });
  CHECK(seen == 2);
}
