// SPDX-License-Identifier: Apache-2.0
// Which parameters values get: ties, activations that the grid implies, known ranges, hands.
#include "quant/ranges.h"

#include "quant/quantized.h"

namespace qtool {
namespace {

using test::Build;
using test::Planned;
using test::ranges;

/// One filter [1,1,1,1] with weight 1.
void conv(Build& b, const std::string& from, const std::string& to) {
  b.constant(to + ".w", {1, 1, 1, 1}, {1});
  b.node("Conv", {from, to + ".w"}, {to}, {}, to);
}

TEST_CASE("asymmetric unsigned: the whole of the range on 256 codes") {
  Build b;
  b.input("x", {1, 1, 2, 2});
  conv(b, "x", "y");
  b.output("y");
  const Planned p(b.graph, ranges({{"x", {-1, 4.1F}}, {"y", {0, 0}}}));
  CHECK(p.params("x").scale[0] == Approx(5.1 / 255));
  CHECK(p.params("x").zero_point[0] == 50);
  CHECK(p.params("y").scale[0] == 1);  // nothing but zero was seen
  CHECK(p.noted("\"y\" was zero in all samples"));
}

TEST_CASE("Concat: one set of parameters for all that it joins, constants included") {
  Build b;
  b.input("x", {1, 1, 2, 2});
  b.constant("k", {1, 1, 2, 2}, {0, 0, 0, 40});
  conv(b, "x", "a");
  conv(b, "x", "c");
  b.node("Concat", {"a", "k", "c"}, {"j"}, {{"axis", int64_t{1}}}, "join");
  b.random("y.w", {1, 3, 1, 1}, 1);
  b.node("Conv", {"j", "y.w"}, {"y"}, {}, "y");
  b.output("y");
  const Planned p(b.graph, ranges({{"x", {0, 1}}, {"a", {-11, 3}}, {"c", {0, 7}}, {"y", {0, 1}}}));
  for (const char* tensor : {"a", "c", "j", "k"}) {
    CHECK(p.params(tensor).scale[0] == Approx(51.0 / 255));
    CHECK(p.params(tensor).zero_point[0] == 55);
  }
  CHECK(p.placements("k")[0]->kind == Placement::Kind::constant);
  CHECK(test::contains(p.placements("a")[0]->reason, "shared by 3 tensors"));
}

TEST_CASE("ties reach through chains of moves") {
  Build b;
  b.input("x", {1, 1, 4, 4});
  conv(b, "x", "a");
  b.node("MaxPool", {"a"}, {"p"}, {{"kernel_shape", std::vector<int64_t>{1, 1}}});
  b.node("Transpose", {"p"}, {"t"}, {{"perm", std::vector<int64_t>{0, 1, 3, 2}}});
  b.node("Concat", {"t", "x"}, {"j"}, {{"axis", int64_t{1}}});
  b.random("y.w", {1, 2, 1, 1}, 1);
  b.node("Conv", {"j", "y.w"}, {"y"}, {}, "y");
  b.output("y");
  const Planned p(b.graph, ranges({{"x", {-2, 1}}, {"a", {0, 8}}, {"y", {0, 1}}}));
  for (const char* tensor : {"a", "p", "t", "j"}) CHECK(p.params(tensor) == p.params("x"));
  CHECK(p.params("x").representable().high == Approx(8).epsilon(0.01));
}

TEST_CASE("Pad brings elements of its own into the range") {
  Build b;
  b.input("x", {1, 1, 2, 2});
  conv(b, "x", "a");
  b.constant("pads", Tensor::of<int64_t>({8}, {0, 0, 1, 1, 0, 0, 1, 1}));
  b.constant("fill", Tensor::scalar(-5.0F));
  b.node("Pad", {"a", "pads", "fill"}, {"p"}, {}, "pad");
  conv(b, "p", "y");
  b.output("y");
  const auto wanted = tensors_to_calibrate(b.graph, builtin_ops(), load_target("ort-cpu"));
  CHECK(std::ranges::count(wanted, "p") == 1);
  const Planned p(b.graph, ranges({{"x", {0, 1}}, {"a", {0, 1}}, {"p", {-5, 1}}, {"y", {0, 1}}}));
  CHECK(p.params("p").representable().low == Approx(-5).epsilon(0.01));
  CHECK(p.params("a") == p.params("p"));
}

TEST_CASE("a Relu or Clip goes where the grid has nothing that it would change") {
  const auto [op, range, implied] = GENERATE(table<std::string, Range, bool>({
      {"relu", Range{0, 5.3F}, true},
      {"relu", Range{-0.1F, 5}, false},  // a range widened by hand
      {"relu6", Range{0, 6}, true},      // 255 * float(6.0 / 255) can exceed 6 by an ulp
      {"relu6", Range{0, 4.7F}, true},
      {"relu6", Range{0, 6.5F}, false},
  }));
  Build b;
  b.input("x", {1, 1, 2, 2});
  conv(b, "x", "c");
  b.constant("low", Tensor::scalar(0.0F));
  b.constant("high", Tensor::scalar(6.0F));
  if (op == "relu") {
    b.node("Relu", {"c"}, {"r"}, {}, "act");
  } else {
    b.node("Clip", {"c", "low", "high"}, {"r"}, {}, "act");
  }
  conv(b, "r", "y");
  b.output("y");
  const Planned p(b.graph, ranges({{"x", {0, 1}}, {"r", range}, {"y", {0, 1}}}));
  CHECK(p.removed("act") == implied);
  CHECK_FALSE(p.has("c"));
  if (implied && op == "relu6") CHECK(p.params("r").representable().high <= 6);
}

TEST_CASE("for every upper bound the fitted grid stays below it, by no more than a few ulps") {
  for (int i = 1; i < 2000; ++i) {
    const float high = 0.013F * static_cast<float>(i);
    Build b;
    b.input("x", {1, 1, 1, 1});
    conv(b, "x", "c");
    b.constant("low", Tensor::scalar(0.0F));
    b.constant("high", Tensor::scalar(high));
    b.node("Clip", {"c", "low", "high"}, {"r"}, {}, "act");
    conv(b, "r", "y");
    b.output("y");
    const Planned p(b.graph, ranges({{"x", {0, 1}}, {"r", {0, high}}, {"y", {0, 1}}}));
    const float top = p.params("r").representable().high;
    if (!p.removed("act") || top > high || top < high * 0.99999F)
      FAIL("bound " << high << " gives " << top);
  }
  SUCCEED();
}

TEST_CASE("a signed symmetric grid keeps the Relu") {
  Target target = load_target("ort-cpu");
  target.activation_type = {8, true, false};
  target.activation_scheme = Scheme::symmetric;
  Build b;
  b.input("x", {1, 1, 2, 2});
  conv(b, "x", "c");
  b.node("Relu", {"c"}, {"r"}, {}, "act");
  conv(b, "r", "y");
  b.output("y");
  const Planned p(b.graph, ranges({{"x", {0, 1}}, {"r", {0, 5}}, {"y", {0, 1}}}), {}, target);
  CHECK_FALSE(p.removed("act"));
  CHECK(p.params("r").zero_point[0] == 0);
  CHECK(p.params("r").scale[0] == Approx(5.0 / 127));
}

TEST_CASE("a range written by hand decides for all that are tied") {
  Build b;
  b.input("x", {1, 1, 2, 2});
  conv(b, "x", "a");
  b.node("Concat", {"a", "x"}, {"j"}, {{"axis", int64_t{1}}});
  b.random("y.w", {1, 2, 1, 1}, 1);
  b.node("Conv", {"j", "y.w"}, {"y"}, {}, "y");
  b.output("y");
  CalibrationTable table = ranges({{"x", {0, 1}}, {"a", {0, 100}}, {"y", {0, 1}}});
  table.tensors.at("a").override_range = Range{0, 2.55F};
  const Planned p(b.graph, table);
  CHECK(p.params("x").scale[0] == Approx(0.01));
  CHECK(p.params("a") == p.params("x"));
  CHECK(test::contains(p.placements("a")[0]->reason, "written by hand"));
}

TEST_CASE("a range that is known from the op: without data, or where the target demands it") {
  Build b;
  b.input("x", {4, 4});
  b.node("Softmax", {"x"}, {"s"}, {}, "s");
  b.random("w", {4, 4}, 1);
  b.node("MatMul", {"s", "w"}, {"y"}, {}, "y");
  b.output("y");
  Target target = load_target("ort-cpu");
  const CalibrationTable data = ranges({{"s", {0.125F, 0.5F}}});
  CHECK(Planned(b.graph, {}).params("s").scale[0] == Approx(1.0 / 255));
  CHECK(Planned(b.graph, data).params("s").scale[0] == Approx(0.5 / 255));
  target.fixed_ranges = true;
  CHECK(Planned(b.graph, data, {}, target).params("s").scale[0] == Approx(1.0 / 255));
}

TEST_CASE("elements that are not finite are left out and noted") {
  Build b;
  b.input("x", {1, 1, 2, 2});
  conv(b, "x", "y");
  b.output("y");
  CalibrationTable table = ranges({{"y", {0, 1}}});
  table.tensors["x"] = test::observed({0, 2.55F, std::numeric_limits<float>::infinity()});
  const Planned p(b.graph, table);
  CHECK(p.params("x").scale[0] == Approx(0.01));
  CHECK(p.noted("\"x\" held 1 elements that were NaN or infinite"));
}

}  // namespace
}  // namespace qtool
