// SPDX-License-Identifier: Apache-2.0
#include "rounding/sensitivity.h"

#include <cmath>

#include "quant/quantized.h"

namespace qtool {
namespace {

using test::Build;
using test::message_of;
using test::random_tensor;

/// x [2,6] -> Gemm 8 -> Relu -> Gemm 4 -> y.
Build two_layers() {
  Build b;
  b.input("x", {2, 6});
  b.random("w1", {6, 8}, 1);
  b.random("b1", {8}, 2);
  b.random("w2", {8, 4}, 3);
  b.node("Gemm", {"x", "w1", "b1"}, {"h"}, {}, "first");
  b.node("Relu", {"h"}, {"r"}, {}, "relu");
  b.node("MatMul", {"r", "w2"}, {"y"}, {}, "second");
  b.output("y");
  return b;
}

std::vector<TensorMap> samples(size_t count) {
  std::vector<TensorMap> batches;
  for (size_t i = 0; i < count; ++i) {
    TensorMap feeds;
    feeds.emplace("x", random_tensor({2, 6}, 20 + i));
    batches.push_back(std::move(feeds));
  }
  return batches;
}

struct Measured {
  Build b = two_layers();
  std::vector<TensorMap> batches = samples(40);
  std::map<int, QuantPlan> plans;
  std::vector<LayerSensitivity> layers;

  Measured() {
    const CalibrationTable table = test::calibrated(b.graph, batches[0]);
    for (const int bits : {2, 4, 8}) {
      Recipe recipe;
      recipe.weight_bits = bits;
      recipe.edges_too = true;
      plans.emplace(
          bits, plan_quantization(b.graph, builtin_ops(), table, load_target("ort-cpu"), recipe));
    }
    layers = sensitive_layers(b.graph, plans.at(8));
  }
  SensitivityTask task() const { return {b.graph, batches, plans}; }
};

TEST_CASE("sensitivity: one layer at a time, against the outputs computed by the references") {
  Measured m;
  REQUIRE(m.layers.size() == 2);
  CHECK(m.layers[0].nodes == std::vector<std::string>{"first"});
  CHECK(m.layers[1].weights == 32);
  int told = 0;
  measure_sensitivity(m.task(), m.layers, [&] { ++told; });
  CHECK(told == 2);
  for (const LayerSensitivity& layer : m.layers) {
    CHECK(*layer.widths.at(2).noise > *layer.widths.at(4).noise);
    CHECK(*layer.widths.at(4).noise > *layer.widths.at(8).noise);
    CHECK(layer.widths.at(4).kl);
  }
  // The second layer has no bias: only its weights change.
  Graph rounded = m.b.graph;
  double square = 0;
  double power = 0;
  for (const Placement& placement : m.plans.at(2).placements) {
    if (m.b.graph.value(placement.value).name != "w2") continue;
    rounded.set_constant(
        placement.value,
        make_constant(fake_quantize(*m.b.graph.constant(placement.value), placement.params)));
  }
  for (const TensorMap& feeds : m.batches) {
    const TensorMap wanted = test::run_graph(m.b.graph, feeds);
    const TensorMap found = test::run_graph(rounded, feeds);
    for (size_t i = 0; i < 8; ++i) {
      const double r = static_cast<double>(wanted.at("y").data<float>()[i]);
      square += std::pow(static_cast<double>(found.at("y").data<float>()[i]) - r, 2);
      power += r * r;
    }
  }
  CHECK(*m.layers[1].widths.at(2).noise == Approx(square / power).epsilon(1e-4));
  CHECK(*m.layers[1].widths.at(2).mse == Approx(square / 320).epsilon(1e-4));
  // What is known is not measured again.
  measure_sensitivity(m.task(), m.layers, [&] { ++told; });
  CHECK(told == 2);
}

TEST_CASE("sensitivity: gradients foresee what is measured, all layers from one pass a sample") {
  Measured m;
  measure_sensitivity(m.task(), m.layers, nullptr);
  taylor_scores(m.task(), m.layers);
  // The outputs are linear in the last layer's weights: there it is exact but for the random signs,
  // of which 40 draws leave some 20 %.
  for (const int bits : {2, 4, 8}) {
    const WidthError& error = m.layers[1].widths.at(bits);
    CHECK(*error.taylor > 0.5 * *error.noise);
    CHECK(*error.taylor < 2 * *error.noise);
  }
  CHECK(*m.layers[0].widths.at(8).taylor == Approx(*m.layers[0].widths.at(8).noise).epsilon(0.6));
}

TEST_CASE("sensitivity: as a file and back; wrong files are refused") {
  Measured m;
  measure_sensitivity(m.task(), m.layers, nullptr);
  Sensitivity whole{"abc", "target x", {{"k", 1}}, Json::object(), 80, m.layers};
  const Sensitivity back = sensitivity_from_json(to_json(whole));
  CHECK(back.layers == whole.layers);
  CHECK(back.data == whole.data);
  CHECK(back.samples == 80);
  Json wrong = to_json(whole);
  wrong["layers"][0]["widths"]["9"] = Json::object();
  CHECK(test::contains(message_of([&] { sensitivity_from_json(wrong); }, Error::Kind::input),
                       "\"9\" bits"));
  wrong = to_json(whole);
  wrong["layers"][0]["widths"]["4"]["noise"] = -1;
  message_of([&] { sensitivity_from_json(wrong); }, Error::Kind::input);
  wrong = to_json(whole);
  wrong["schema"] = "qtool.plan/1";
  message_of([&] { sensitivity_from_json(wrong); }, Error::Kind::input);
}

}  // namespace
}  // namespace qtool
