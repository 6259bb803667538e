// SPDX-License-Identifier: Apache-2.0
// Grids of few bits: which layers get them, and how the model stores them.
#include "quant/widths.h"

#include "quant/quantized.h"
#include "quant/summary.h"
#include "quant/widths.h"

namespace qtool {
namespace {

using test::Build;
using test::contains;
using test::message_of;
using test::Planned;

/// Three convolutions in a row, with an addition around the second.
Build three_layers(int64_t opset = 13) {
  Build b(opset);
  b.input("x", {1, 2, 4, 4});
  for (const char* w : {"w1", "w2", "w3"}) b.random(w, {2, 2, 1, 1}, static_cast<uint64_t>(w[1]));
  b.node("Conv", {"x", "w1"}, {"c1"}, {}, "first");
  b.node("Conv", {"c1", "w2"}, {"c2"}, {}, "second");
  b.node("Add", {"c1", "c2"}, {"sum"}, {}, "add");
  b.node("Conv", {"sum", "w3"}, {"y"}, {}, "third");
  b.output("y");
  return b;
}

TensorMap feeds() {
  TensorMap all;
  all.emplace("x", test::random_tensor({1, 2, 4, 4}, 5));
  return all;
}

Recipe with_bits(const std::string& bits, bool edges_too) {
  Recipe recipe;
  set_bits(recipe, bits);
  recipe.edges_too = edges_too;
  return recipe;
}

TEST_CASE("layers get the recipe's bits, the first and the last ones only when asked") {
  const Build b = three_layers();
  const CalibrationTable table = test::calibrated(b.graph, feeds());
  const auto bits = [&](const std::string& widths, bool edges_too) {
    const Planned planned(b.graph, table, with_bits(widths, edges_too));
    std::vector<int> found;
    for (const char* value : {"x", "w1", "c1", "w2", "c2", "sum", "w3", "y"}) {
      found.push_back(planned.params(value).type.bits);
    }
    return found;
  };
  // c1 is read by the second layer; what only the addition or the last layer reads keeps 8 bits.
  CHECK(bits("w4a4", false) == std::vector<int>{8, 8, 4, 4, 8, 8, 8, 8});
  CHECK(bits("w4a4", true) == std::vector<int>{4, 4, 4, 4, 8, 4, 4, 8});
  CHECK(bits("w3", false) == std::vector<int>{8, 8, 8, 3, 8, 8, 8, 8});
  CHECK(bits("a2", true) == std::vector<int>{2, 8, 2, 8, 8, 2, 8, 8});
}

TEST_CASE("widths are read as they are written") {
  Recipe recipe;
  set_bits(recipe, "w4a6");
  CHECK(recipe.weight_bits == 4);
  CHECK(recipe.activation_bits == 6);
  for (const char* wrong :
       {"", "4", "w", "w1", "w9", "w4w4", "w16", "a12", "w4a4w4", "w4a", "x4", "w44", "a4 w4"}) {
    INFO(wrong);
    CHECK(contains(message_of([&] { set_bits(recipe, wrong); }, Error::Kind::usage), wrong));
  }
  set_bits(recipe, "a16w8");
  CHECK(recipe.weight_bits == 8);
  CHECK(recipe.activation_bits == 16);
  const Recipe file = parse_recipe("{schema: qtool.recipe/1, bits: w4a4, edges_too: true}");
  CHECK(file.weight_bits == 4);
  CHECK(file.edges_too);
}

TEST_CASE("activations of 16 bits are for all of them and need opset 21; weights stay as asked") {
  const Build b = three_layers(21);
  const Recipe recipe = with_bits("w4a16", false);
  const Target target = qtool::with_bits(load_target("ort-cpu"), recipe);
  CHECK(target.opset == 21);
  Planned planned(b.graph, test::calibrated(b.graph, feeds()), recipe, target);
  for (const char* value : {"x", "c1", "c2", "sum", "y"})
    CHECK(planned.params(value).type == QuantType{16, false, false});
  CHECK(planned.params("w1").type.bits == 8);
  CHECK(planned.params("w2").type.bits == 4);
  // The usual ones leave nothing out at 16 bits.
  CHECK(to_string(activation_method(recipe, target.activation_type)) == "minmax");
  CHECK(qtool::with_bits(load_target("tidl"), with_bits("a8", false)).opset ==
        load_target("tidl").opset);
  CHECK(contains(
      message_of([] { parse_recipe("schema: qtool.recipe/1\nrules: [{match: Conv, bits: a16}]"); },
                 Error::Kind::input),
      "16 bits in a rule"));
}

DType type_of(const Graph& graph, const std::string& name) {
  const auto id = graph.find_value(name);
  REQUIRE(id);
  const Constant constant = graph.constant(*id);
  return constant != nullptr ? constant->dtype() : graph.value(*id).type.dtype;
}

TEST_CASE("constants are stored in 4 bits where the opset has them, all else in 8") {
  for (const int64_t opset : {13, 21}) {
    INFO(opset);
    const Build b = three_layers(opset);
    Graph graph = b.graph;
    Planned planned(b.graph, test::calibrated(b.graph, feeds()), with_bits("w4a4", false));
    planned.plan.opset = opset;
    insert_qdq(graph, planned.plan);
    CHECK(verify(graph).empty());
    CHECK(type_of(graph, "w2_quantized") == (opset == 21 ? DType::int4 : DType::int8));
    CHECK(type_of(graph, "c1_quantized") == DType::uint8);
    CHECK(type_of(graph, "w1_quantized") == DType::int8);
    CHECK(narrow_grids(planned.plan) ==
          (opset == 21 ? "4 bits: 1 activation, 1 constant, stored in 8-bit codes, constants in "
                         "4-bit ones\n"
                       : "4 bits: 1 activation, 1 constant, stored in 8-bit codes (--pack: "
                         "constants in 4-bit ones)\n"));
  }
}

TEST_CASE("in wider codes a grid of few bits still ends where it ends") {
  const Build b = three_layers();
  Graph graph = b.graph;
  const Planned planned(b.graph, test::calibrated(b.graph, feeds()), with_bits("w3a3", false));
  insert_qdq(graph, planned.plan);
  TensorMap large;
  large.emplace("x", test::random_tensor({1, 2, 4, 4}, 6));
  for (float& element : large.at("x").data<float>()) element *= 50;
  const TensorMap values = test::run_graph(graph, large);
  const auto codes = to_int64s(values.at("c1_quantized"));
  CHECK(*std::ranges::max_element(codes) == 7);
  CHECK(*std::ranges::min_element(codes) == 0);
  for (const int64_t code : to_int64s(values.at("w2_quantized"))) CHECK(std::abs(code) <= 3);
}

}  // namespace
}  // namespace qtool
