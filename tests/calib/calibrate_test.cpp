// SPDX-License-Identifier: Apache-2.0
#include "calib/calibrate.h"

#include "passes/graphs.h"

using namespace qtool;
using namespace qtool::test;

namespace {

/// (x as one vector) * 2: no longer one sample in front.
Graph flat_and_doubled(std::optional<int64_t> batch) {
  Build b;
  const ValueId x = b.input("x", {2, 3});
  TensorType type = b.graph.value(x).type;
  if (!batch) type.shape->front() = Dim{std::nullopt, "N"};
  b.graph.set_type(x, type);
  b.constant("all", Tensor::of<int64_t>({1}, {-1}));
  b.constant("two", {}, {2});
  b.node("Reshape", {"x", "all"}, {"flat"});
  b.node("Mul", {"flat", "two"}, {"y"});
  b.output("y");
  return std::move(b.graph);
}

CalibrationTable calibrated(const Graph& graph, std::vector<float> elements) {
  std::optional<FeedBatch> batch = FeedBatch{{}, {"first", "second"}};
  Tensor x(DType::float32, {2, 3});
  std::ranges::copy(elements, x.data<float>().begin());
  batch->inputs.emplace("x", std::move(x));
  const std::vector<ValueId> tensors{*graph.find_value("x"), *graph.find_value("y")};
  return calibrate(graph, builtin_ops(), tensors, [&] { return std::exchange(batch, {}); });
}

}  // namespace

TEST_CASE(
    "a tensor that mixes the samples: one by one where the model allows it, else as a whole") {
  const bool open = GENERATE(true, false);
  const Graph graph = flat_and_doubled(open ? std::nullopt : std::optional<int64_t>(2));
  const CalibrationTable table = calibrated(graph, {1, -2, 3, 4, 0, 6});
  CHECK(table.samples == 2);
  const TensorStats& y = table.tensors.at("y").stats;
  CHECK(y.elements == 6);
  CHECK(y.zeros == 1);
  CHECK(y.range.low == -4);
  CHECK(y.range.high == 12);
  CHECK(y.samples == (open ? 2u : 1u));

  const std::string sample = open ? "for the sample second" : "for the sample first to second";
  const float infinity = std::numeric_limits<float>::infinity();
  CHECK_THROWS_WITH(calibrated(graph, {1, 2, 3, 4, infinity, 6}), Catch::Contains(sample));
}
