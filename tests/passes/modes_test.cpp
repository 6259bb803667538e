// SPDX-License-Identifier: Apache-2.0
#include <set>

#include "passes/graphs.h"
#include "passes/half_precision.h"
#include "passes/quantize_dynamically.h"

namespace qtool {
namespace {

using test::Build;
using test::contains;
using test::run_graph;

std::multiset<std::string> ops_of(const Graph& graph) {
  std::multiset<std::string> ops;
  for (const NodeId id : graph.nodes()) ops.insert(graph.node(id).op.type);
  return ops;
}

DType type_of(const Graph& graph, const std::string& name) {
  const auto found = graph.find_value(name);
  REQUIRE(found.has_value());
  return infer_facts(graph, builtin_ops())[*found].type.dtype;
}

std::string reason_of(const ModeReport& report, const std::string& node) {
  for (const auto& [kept, reason] : report.kept) {
    if (contains(kept, '"' + node + '"')) return reason;
  }
  return "it was not kept";
}

std::vector<std::string> excluding(const Graph& graph, const std::string& node) {
  std::vector<std::string> excluded(graph.node_id_bound());
  for (const NodeId id : graph.nodes()) {
    if (graph.node(id).name == node) excluded[static_cast<size_t>(id)] = "excluded by hand";
  }
  return excluded;
}

// ---- dynamic ----------------------------------------------------------------------------------

TEST_CASE("dynamic: products of what 8 bits hold exactly are exact") {
  // x reaches from 0 to 255, so its scale is 1; the columns' scales are 1 and 2.
  const Tensor x = Tensor::of<float>({2, 2}, {0, 255, 3, 7});
  const std::vector<float> plain{0 * 127 + 255 * -127, 0 * 254 + 255 * 2,  //
                                 3 * 127.0F + 7 * -127.0F, 3 * 254 + 7 * 2};
  SECTION("MatMul") {
    Build b;
    b.input("x", {2, 2});
    b.constant("w", {2, 2}, {127, 254, -127, 2});
    b.node("MatMul", {"x", "w"}, {"y"});
    b.output("y");
    const ModeReport report = quantize_dynamically(b.graph, builtin_ops(), {});
    CHECK(report.converted == 1);
    CHECK(ops_of(b.graph) == std::multiset<std::string>{"Cast", "DynamicQuantizeLinear",
                                                        "MatMulInteger", "Mul", "Mul"});
    CHECK(verify(b.graph).empty());
    CHECK(to_floats(run_graph(b.graph,
                              [&] {
                                TensorMap feeds;
                                feeds.emplace("x", x.clone());
                                return feeds;
                              }())
                        .at("y")) == plain);
  }
  SECTION("Gemm with everything it can have") {
    Build b;
    b.input("x", {2, 2});
    b.constant("w", {2, 2}, {127, -127, 254, 2});
    b.constant("c", {2}, {10, 20});
    b.node("Gemm", {"x", "w", "c"}, {"y"},
           {{"transB", int64_t{1}}, {"alpha", 0.5F}, {"beta", 2.0F}});
    b.output("y");
    quantize_dynamically(b.graph, builtin_ops(), {});
    CHECK(verify(b.graph).empty());
    std::vector<float> wanted = plain;
    for (size_t i = 0; i < 4; ++i) wanted[i] = wanted[i] / 2 + (i % 2 == 0 ? 20.0F : 40.0F);
    TensorMap feeds;
    feeds.emplace("x", x.clone());
    CHECK(to_floats(run_graph(b.graph, feeds).at("y")) == wanted);
  }
}

TEST_CASE("dynamic: a convolution with stride, groups and a bias, whose codes are exact") {
  Build b;
  b.input("x", {1, 2, 5});
  b.constant("w", {2, 1, 2}, {127, 1, -254, 2});
  b.constant("b", {2}, {0.5F, -3});
  b.node("Conv", {"x", "w", "b"}, {"y"},
         {{"group", int64_t{2}},
          {"strides", std::vector<int64_t>{2}},
          {"pads", std::vector<int64_t>{0, 1}}},
         "conv");
  b.output("y");
  TensorMap feeds;
  feeds.emplace("x", Tensor::of<float>({1, 2, 5}, {0, 255, 1, 2, 3, 5, 6, 7, 8, 9}));
  const std::vector<float> wanted = to_floats(run_graph(b.graph, feeds).at("y"));
  CHECK(wanted[0] == 255.5F);
  CHECK(quantize_dynamically(b.graph, builtin_ops(), {}).converted == 1);
  CHECK(verify(b.graph).empty());
  CHECK(ops_of(b.graph).contains("ConvInteger"));
  CHECK(to_floats(run_graph(b.graph, feeds).at("y")) == wanted);
}

TEST_CASE("dynamic: readers share the codes; what cannot be converted says why") {
  Build b;
  b.input("x", {2, 2});
  b.constant("w", {2, 2}, {1, 2, 3, 4});
  b.constant("v", {2, 2}, {1, 0, 0, 1});
  b.node("MatMul", {"x", "w"}, {"p"}, {}, "first");
  b.node("MatMul", {"x", "v"}, {"q"}, {}, "second");
  b.node("MatMul", {"p", "q"}, {"r"}, {}, "attention");
  b.node("MatMul", {"r", "w"}, {"y"}, {}, "left out");
  b.output("y");
  const auto excluded = excluding(b.graph, "left out");
  const ModeReport report = quantize_dynamically(b.graph, builtin_ops(), excluded);
  CHECK(report.converted == 2);
  CHECK(ops_of(b.graph).count("DynamicQuantizeLinear") == 1);
  CHECK(reason_of(report, "attention") == "its weights are computed at run time");
  CHECK(reason_of(report, "left out") == "excluded by hand");
  CHECK(contains(kept_text(report), "left: MatMul \"attention\": its weights"));
  CHECK(verify(b.graph).empty());
}

// ---- float16 ----------------------------------------------------------------------------------

/// x * 2 + 0.5, then something.
Build halvable() {
  Build b;
  b.input("x", {3});
  b.constant("two", {1}, {2});
  b.constant("half", {3}, {0.5F, 0.5F, 0.5F});
  b.node("Mul", {"x", "two"}, {"doubled"}, {}, "mul");
  b.node("Add", {"doubled", "half"}, {"y"}, {}, "add");
  b.output("y");
  return b;
}

TEST_CASE("float16: inside of the graph, between Casts; what it holds exactly stays exact") {
  Build b = halvable();
  const ModeReport report = to_float16(b.graph, builtin_ops(), {});
  CHECK(report.converted == 2);
  CHECK(report.kept.empty());
  CHECK(verify(b.graph).empty());
  CHECK(ops_of(b.graph) == std::multiset<std::string>{"Add", "Cast", "Cast", "Mul"});
  CHECK(type_of(b.graph, "x") == DType::float32);
  CHECK(type_of(b.graph, "doubled") == DType::float16);
  CHECK(type_of(b.graph, "two") == DType::float16);
  CHECK(type_of(b.graph, "y") == DType::float32);
  TensorMap feeds;
  feeds.emplace("x", Tensor::of<float>({3}, {1, -4, 1.0F / 3}));
  // 1/3 becomes 1365/4096; twice that and a half, 4778/4096, lies on the grid of 1/1024 above 1
  // at 1194.5: the even neighbour is 1194.
  CHECK(to_floats(run_graph(b.graph, feeds).at("y")) ==
        std::vector<float>{2.5F, -7.5F, 1194.0F / 1024});
}

TEST_CASE("float16: --half-io takes the inputs and outputs along") {
  Build b = halvable();
  HalfOptions options;
  options.half_io = true;
  to_float16(b.graph, builtin_ops(), options);
  CHECK(verify(b.graph).empty());
  CHECK(ops_of(b.graph) == std::multiset<std::string>{"Add", "Mul"});
  CHECK(type_of(b.graph, "x") == DType::float16);
  CHECK(type_of(b.graph, "y") == DType::float16);
}

TEST_CASE("float16: what would overflow or vanish stays float32") {
  Build b = halvable();
  SECTION("a constant") {
    b.graph.set_constant(*b.graph.find_value("half"),
                         make_constant(Tensor::of<float>({3}, {0, 1, -70000})));
    const ModeReport report = to_float16(b.graph, builtin_ops(), {});
    CHECK(reason_of(report, "add") == "\"half\" reaches 70000, float16 ends at 65504");
    CHECK(type_of(b.graph, "doubled") == DType::float16);
    CHECK(type_of(b.graph, "half") == DType::float32);
  }
  SECTION("an epsilon") {
    b.graph.set_constant(*b.graph.find_value("two"),
                         make_constant(Tensor::of<float>({1}, {1e-12F})));
    const ModeReport report = to_float16(b.graph, builtin_ops(), {});
    CHECK(contains(reason_of(report, "mul"), "would be 0"));
  }
  SECTION("a value that data showed: both that make and read it") {
    HalfOptions options;
    options.largest = {{"doubled", 1e5F}};
    const ModeReport report = to_float16(b.graph, builtin_ops(), options);
    CHECK(report.converted == 0);
    CHECK(contains(reason_of(report, "mul"), "\"doubled\" reaches 100000"));
    CHECK(contains(reason_of(report, "add"), "\"doubled\" reaches 100000"));
  }
  SECTION("an excluded node, between Casts") {
    HalfOptions options;
    options.excluded = excluding(b.graph, "mul");
    const ModeReport report = to_float16(b.graph, builtin_ops(), options);
    CHECK(reason_of(report, "mul") == "excluded by hand");
    CHECK(type_of(b.graph, "doubled") == DType::float32);
    CHECK(type_of(b.graph, "half") == DType::float16);
  }
  CHECK(verify(b.graph).empty());
}

TEST_CASE("float16: a weight too small for it is 0, and that is told") {
  Build b = halvable();
  b.graph.set_constant(*b.graph.find_value("half"),
                       make_constant(Tensor::of<float>({3}, {1e-9F, 0, 0.5F})));
  const ModeReport report = to_float16(b.graph, builtin_ops(), {});
  REQUIRE(report.notes.size() == 1);
  CHECK(report.notes[0].starts_with("1 weights are smaller"));
}

TEST_CASE("float16: extents, float-only inputs and bodies keep their types") {
  Build b(17);
  b.input("x", {1, 1, 2, 2});
  b.constant("scales", {4}, {1, 1, 2, 2});
  b.node("Resize", {"x", "", "scales"}, {"wide"}, {}, "resize");
  b.node("Cast", {"wide"}, {"counts"}, {{"to", int64_t{7}}}, "to counts");
  b.node("Relu", {"wide"}, {"relu"}, {}, "relu");
  b.output("counts");
  b.output("relu");
  const ModeReport report = to_float16(b.graph, builtin_ops(), {});
  CHECK(verify(b.graph).empty());
  CHECK(type_of(b.graph, "scales") == DType::float32);
  CHECK(type_of(b.graph, "wide") == DType::float16);
  CHECK(contains(reason_of(report, "to counts"), "whole numbers"));
  TensorMap feeds;
  feeds.emplace("x", Tensor::of<float>({1, 1, 2, 2}, {1, 2, 3, -4}));
  const TensorMap results = run_graph(b.graph, feeds);
  CHECK(to_floats(results.at("relu")) ==
        std::vector<float>{1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 0, 0, 3, 3, 0, 0});
  CHECK(results.at("counts").data<int64_t>()[15] == -4);
}

// ---- bfloat16 ---------------------------------------------------------------------------------

TEST_CASE("bfloat16: large constants are stored in 16 bits and widened") {
  Build b;
  b.input("x", {1, 64});
  Tensor weights(DType::float32, {64, 1});
  for (float& w : weights.data<float>()) w = 1.00390625F;  // 1 + 2^-8: a tie, to even
  b.constant("w", std::move(weights));
  b.constant("c", {1}, {1.00390625F});
  b.node("Gemm", {"x", "w", "c"}, {"y"}, {}, "gemm");
  b.output("y");
  SECTION("rounded to nearest even, the small ones as they are") {
    CHECK(store_as_bfloat16(b.graph, {}).converted == 1);
    CHECK(verify(b.graph).empty());
    CHECK(type_of(b.graph, "w_bfloat16") == DType::bfloat16);
    TensorMap feeds;
    feeds.emplace("x", Tensor::of<float>({1, 64}, std::vector<float>(64, 1)));
    CHECK(to_floats(run_graph(b.graph, feeds).at("y")) == std::vector<float>{65.00390625F});
  }
  SECTION("not for an excluded node") {
    const ModeReport report = store_as_bfloat16(b.graph, excluding(b.graph, "gemm"));
    CHECK(report.converted == 0);
    REQUIRE(report.kept.size() == 1);
    CHECK(report.kept[0].first == "w");
  }
}

}  // namespace
}  // namespace qtool
