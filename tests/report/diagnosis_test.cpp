// SPDX-License-Identifier: Apache-2.0
#include "report/diagnosis.h"

#include "passes/graphs.h"

using namespace qtool;
using test::Build;
using test::contains;

namespace {

/// x -> MatMul with these 8-bit codes (two rows), one scale or one a column -> y.
Build product(std::vector<int8_t> codes, std::vector<float> scales) {
  Build b;
  const auto columns = static_cast<int64_t>(codes.size() / 2);
  b.input("x", {1, 2});
  b.constant("codes", Tensor::of<int8_t>({2, columns}, std::span<const int8_t>(codes)));
  const Shape shape = scales.size() == 1 ? Shape{} : Shape{columns};
  b.constant("scale", Tensor::of<float>(shape, std::span<const float>(scales)));
  b.node("DequantizeLinear", {"codes", "scale"}, {"w"}, {{"axis", int64_t{1}}});
  b.node("MatMul", {"x", "w"}, {"y"}, {}, "product");
  b.output("y");
  return b;
}

LayerError layer(double own_sqnr) {
  LayerError result;
  result.tensor = "y";
  result.node = "product";
  result.op = "MatMul";
  result.added_sqnr_db = own_sqnr;
  return result;
}

std::vector<Finding> found(const Build& b, const LayerError& bad) {
  return diagnose({bad}, b.graph, builtin_ops());
}

const std::vector<int8_t> kUnlike{127, 3, 2, -50, -5, 4};  // columns reach 127, 5 and 4
const std::vector<int8_t> kAlike{127, 3, 92, -50, -95, 4};

}  // namespace

TEST_CASE("diagnosis: one scale for channels of unlike sizes") {
  const auto findings = found(product(kUnlike, {0.1F}), layer(20));
  REQUIRE(findings.size() == 1);
  CHECK(findings[0].tensor == "y");
  CHECK(contains(findings[0].cause,
                 "half of the 3 channels of its weights have codes of at most 5 of 127"));
  CHECK(contains(findings[0].advice, "--method cle"));
  // Not with a scale each, not where the sizes are alike, not where the layer is good.
  CHECK(found(product(kUnlike, {0.1F, 0.2F, 0.3F}), layer(20)).empty());
  CHECK(found(product(kAlike, {0.1F}), layer(20)).empty());
  CHECK(found(product(kUnlike, {0.1F}), layer(kPoorSqnr)).empty());
}

TEST_CASE("diagnosis: few bits are seen by the codes") {
  const auto findings = found(product({7, 3, -1, -7, 5, 4}, {0.1F}), layer(12));
  REQUIRE(findings.size() == 1);
  CHECK(findings[0].cause == "its weights have codes of at most 7");
}

TEST_CASE("diagnosis: elements beyond the grid, a few or most of them") {
  const Build b = product(kAlike, {0.1F});
  LayerError bad = layer(20);
  bad.saturated = 0.01;
  CHECK(found(b, bad).empty());
  bad.saturated = 0.04;
  REQUIRE(found(b, bad).size() == 1);
  CHECK(found(b, bad)[0].cause == "4 % of its elements lie beyond its grid");
  CHECK(contains(found(b, bad)[0].advice, "minmax"));
  bad.saturated = 0.5;
  CHECK(contains(found(b, bad)[0].advice, "samples like these"));
}

TEST_CASE("diagnosis: a grid that a few elements stretch") {
  const Build b = product(kAlike, {0.1F});
  LayerError bad = layer(20);
  bad.saturated = 0;
  bad.histogram = LayerHistogram{-1.5, 1.5, std::vector<uint64_t>(48), -1, 1};
  auto& counts = bad.histogram->counts;
  // 99 of 100 in 4 bins of 1/16: an eighth of the grid.
  counts[24] = 50;
  counts[25] = 30;
  counts[26] = 10;
  counts[27] = 9;
  counts[40] = 1;
  REQUIRE(found(b, bad).size() == 1);
  CHECK(contains(found(b, bad)[0].cause, "99 % of its elements lie in 12 % of its grid"));
  // In 5 bins it is no longer narrow.
  counts[27] = 5;
  counts[28] = 4;
  CHECK(found(b, bad).empty());
}

TEST_CASE("diagnosis: the worst first, as many as asked for") {
  const Build b = product(kUnlike, {0.1F});
  std::vector<LayerError> layers{layer(24), layer(3), layer(60)};
  layers[1].tensor = "worst";
  CHECK(diagnose(layers, b.graph, builtin_ops()).size() == 2);
  const auto one = diagnose(layers, b.graph, builtin_ops(), 1);
  REQUIRE(one.size() == 1);
  CHECK(one[0].tensor == "worst");
}
