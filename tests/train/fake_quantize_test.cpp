// SPDX-License-Identifier: Apache-2.0
// The op against numbers worked out by hand and LSQ's formulas; the inserted graph against the
// Q/DQ model that it stands for.
#include "train/fake_quantize.h"

#include <cmath>

#include "exec/session.h"
#include "ops/gradient.h"
#include "quant/quantized.h"
#include "train/differentiate.h"
#include "train/tiny.h"

namespace qtool {
namespace {

using test::Build;
using test::random_tensor;
using test::tiny_classifier;

/// y = FakeQuantize(x, s, z) on the grid 0..3; the loss is the sum of y * w.
struct OneGrid {
  Graph graph;
  ValueId x, s, z, y, loss;

  OneGrid(const Shape& shape, const Shape& scales, const Tensor& weights) {
    Build b;
    b.graph.model.opsets[kTrainingDomain] = 1;
    x = b.input("x", shape);
    s = b.input("s", scales);
    z = b.input("z", scales);
    const NodeId id = b.node("FakeQuantize", {"x", "s", "z"}, {"y"},
                             {{"lowest", int64_t{0}}, {"highest", int64_t{3}}, {"share", 0.5F}});
    b.graph.set_op(id, {kTrainingDomain, "FakeQuantize"});
    if (!scales.empty()) b.graph.attributes(id).set("axis", int64_t{1});
    b.constant("w", weights.clone());
    b.node("Mul", {"y", "w"}, {"product"});
    b.node("ReduceSum", {"product"}, {"loss"}, {{"keepdims", int64_t{0}}});
    y = b.value("y");
    loss = b.value("loss");
    graph = b.graph;
  }

  std::vector<std::vector<double>> run(const TensorMap& feeds, Backend backend) const {
    const std::array<ValueId, 3> wanted{x, s, z};
    Differentiated made = differentiate(graph, training_ops(), loss, wanted);
    made.graph.add_output(y);
    std::vector<ValueId> outputs{y};
    for (const ValueId id : wanted) {
      outputs.push_back(made.gradient_of.at(id));
      made.graph.add_output(outputs.back());
    }
    Session session(made.graph, training_ops(), {.backend = backend});
    const TensorMap results = session.run(feeds);
    std::vector<std::vector<double>> all;
    for (const ValueId id : outputs) {
      all.push_back(to_doubles(results.at(made.graph.value(id).name)));
    }
    return all;
  }
};

TensorMap feeds_of(Tensor x, Tensor s, Tensor z) {
  TensorMap feeds;
  feeds.emplace("x", std::move(x));
  feeds.emplace("s", std::move(s));
  feeds.emplace("z", std::move(z));
  return feeds;
}

TEST_CASE("FakeQuantize by hand: rounding, ties, both ends, and LSQ's gradients") {
  // Scale 1/2, zero point 0.8 (1): real values -0.5, 0, 0.5, 1; t = x / s.
  const std::vector<float> x{-1, 0.2F, 0.25F, 0.75F, 1.6F, 9};
  const std::vector<double> w{1, 2, 3, 4, 5, 6};
  const Tensor weights = Tensor::of<float>({6}, {1, 2, 3, 4, 5, 6});
  const OneGrid grid({6}, {}, weights);
  for (const Backend backend : {Backend::reference, Backend::onednn}) {
    const auto got = grid.run(
        feeds_of(Tensor::of<float>({6}, x), Tensor::scalar(0.5F), Tensor::scalar(0.8F)), backend);
    CHECK(got[0] == std::vector<double>{-0.5, 0, 0, 1, 1, 1});  // 0.5 and 1.5 to even
    CHECK(got[1] == std::vector<double>{0, 2, 3, 4, 0, 0});
    // Equation 3: the grid's ends outside, round(t) - t inside; times the share.
    const double scale =
        w[0] * -1 + w[1] * (0 - 0.4) + w[2] * (0 - 0.5) + w[3] * (2 - 1.5) + w[4] * 2 + w[5] * 2;
    CHECK(got[2][0] == Approx(0.5 * scale));
    CHECK(got[3][0] == Approx(0.5 * -0.5 * (w[0] + w[4] + w[5])));
  }
}

TEST_CASE("PACT's and EWGS's gradients by hand, and the kernels against the reference") {
  // As above: t is -2, 0.4, 0.5, 1.5, 3.2, 18, the grid -1 to 2.
  const Tensor x = Tensor::of<float>({6}, {-1, 0.2F, 0.25F, 0.75F, 1.6F, 9});
  const Tensor weights = Tensor::of<float>({6}, {1, 2, -3, 4, 5, 6});
  const auto run = [&](const char* name, Attribute value, Backend backend) {
    OneGrid grid({6}, {}, weights);
    grid.graph.attributes(grid.graph.value(grid.y).producer).set(name, std::move(value));
    return grid.run(feeds_of(x.clone(), Tensor::scalar(0.5F), Tensor::scalar(0.8F)), backend);
  };
  for (const Backend backend : {Backend::reference, Backend::onednn}) {
    const auto pact = run("outside_only", int64_t{1}, backend);
    CHECK(pact[1] == std::vector<double>{0, 2, -3, 4, 0, 0});
    CHECK(pact[2][0] == Approx(0.5 * (1 * -1 + 5 * 2 + 6 * 2)));
    const auto ewgs = run("steer", 0.2F, backend);
    // 2 (1 + 0.2 (0.4 - 0)), -3 (1 - 0.2 (0.5 - 0)), 4 (1 + 0.2 (1.5 - 2))
    const std::vector<double> expected{0, 2.16, -2.7, 3.6, 0, 0};
    for (size_t i = 0; i < 6; ++i) CHECK(ewgs[1][i] == Approx(expected[i]));
    CHECK(ewgs[2][0] == Approx(0.5 * (-1 + 2 * -0.4 + -3 * -0.5 + 4 * 0.5 + 5 * 2 + 6 * 2)));
  }
  const Shape shape{3, 5, 7, 11};
  OneGrid grid(shape, {5}, random_tensor(shape, 5));
  Attributes& attributes = grid.graph.attributes(grid.graph.value(grid.y).producer);
  attributes.set("outside_only", int64_t{1});
  attributes.set("steer", 0.5F);
  const auto both = [&](Backend backend) {
    return grid.run(
        feeds_of(random_tensor(shape, 6), Tensor::of<float>({5}, {0.1F, 0.2F, 0.5F, 1, 3}),
                 Tensor::of<float>({5}, {0, 1, 1.4F, 2.6F, 3})),
        backend);
  };
  const auto slow = both(Backend::reference);
  const auto fast = both(Backend::onednn);
  for (size_t i = 0; i < slow[1].size(); ++i) CHECK(fast[1][i] == Approx(slow[1][i]).margin(1e-5));
  for (size_t c = 0; c < 5; ++c) CHECK(fast[2][c] == Approx(slow[2][c]).margin(1e-4));
}

TEST_CASE("PowerOfTwo by hand; its gradient is as if the exponent were not rounded") {
  Build b;
  b.graph.model.opsets[kTrainingDomain] = 1;
  const ValueId s = b.input("s", {4});
  b.graph.set_op(b.node("PowerOfTwo", {"s"}, {"y"}), {kTrainingDomain, "PowerOfTwo"});
  b.constant("w", {4}, {1, 2, 3, 4});
  b.node("Mul", {"y", "w"}, {"product"});
  b.node("ReduceSum", {"product"}, {"loss"}, {{"keepdims", int64_t{0}}});
  Differentiated made = differentiate(b.graph, training_ops(), b.value("loss"), std::array{s});
  made.graph.add_output(b.value("y"));
  made.graph.add_output(made.gradient_of.at(s));
  TensorMap feeds;
  feeds.emplace("s", Tensor::of<float>({4}, {0.25F, 0.35F, 0.36F, 3}));  // 2^-1.5 is 0.3536
  const TensorMap results = test::run_references(made.graph, feeds);
  CHECK(to_floats(results.at("y")) == std::vector<float>{0.25F, 0.25F, 0.5F, 4});
  const auto gradient = to_floats(results.at(made.graph.value(made.gradient_of.at(s)).name));
  CHECK(gradient[0] == 1);
  CHECK(gradient[1] == Approx(2 * 0.25 / 0.35));
  CHECK(gradient[3] == Approx(4 * 4.0 / 3));
}

TEST_CASE("where FakeQuantize saturates its scale's gradient is the derivative") {
  const Tensor weights = random_tensor({40}, 3);
  const OneGrid grid({40}, {}, weights);
  Tensor x = random_tensor({40}, 4);
  for (float& element : x.data<float>()) element += element > 0 ? 5.0F : -5.0F;
  const auto loss_at = [&](float scale) {
    const auto got = grid.run(feeds_of(x.clone(), Tensor::scalar(scale), Tensor::scalar(1.0F)),
                              Backend::reference);
    double loss = 0;
    for (size_t i = 0; i < 40; ++i) {
      loss += got[0][i] * static_cast<double>(weights.data<float>()[i]);
    }
    return loss;
  };
  const auto got =
      grid.run(feeds_of(x.clone(), Tensor::scalar(0.5F), Tensor::scalar(1.0F)), Backend::onednn);
  const double slope = (loss_at(0.5F + 0x1p-6F) - loss_at(0.5F - 0x1p-6F)) / 0x1p-5;
  CHECK(got[2][0] == Approx(0.5 * slope).epsilon(1e-5));
}

TEST_CASE("a scale a channel: the fast kernel and the reference agree") {
  const Shape shape{3, 5, 7, 11};
  const OneGrid grid(shape, {5}, random_tensor(shape, 5));
  const auto feeds = [&] {
    return feeds_of(random_tensor(shape, 6), Tensor::of<float>({5}, {0.1F, 0.2F, 0.5F, 1, 3}),
                    Tensor::of<float>({5}, {0, 1, 1.4F, 2.6F, 3}));
  };
  const auto slow = grid.run(feeds(), Backend::reference);
  const auto fast = grid.run(feeds(), Backend::onednn);
  CHECK(fast[0] == slow[0]);
  CHECK(fast[1] == slow[1]);
  for (size_t c = 0; c < 5; ++c) {
    CHECK(fast[2][c] == Approx(slow[2][c]).margin(1e-4));
    CHECK(fast[3][c] == Approx(slow[3][c]).margin(1e-4));
  }
}

TEST_CASE("RoundBias by hand; its gradient goes straight through") {
  Build b;
  b.graph.model.opsets[kTrainingDomain] = 1;
  const ValueId bias = b.input("b", {3});
  b.constant("input_scale", {}, {0.5F});
  b.constant("weight_scale", {3}, {0.5F, 0.25F, 2});
  const NodeId id = b.node("RoundBias", {"b", "input_scale", "weight_scale"}, {"y"});
  b.graph.set_op(id, {kTrainingDomain, "RoundBias"});
  b.constant("w", {3}, {1, 2, 3});
  b.node("Mul", {"y", "w"}, {"product"});
  b.node("ReduceSum", {"product"}, {"loss"}, {{"keepdims", int64_t{0}}});
  Differentiated made = differentiate(b.graph, training_ops(), b.value("loss"), std::array{bias});
  const ValueId gradient = made.gradient_of.at(bias);
  made.graph.add_output(b.value("y"));
  made.graph.add_output(gradient);
  TensorMap feeds;
  feeds.emplace("b", Tensor::of<float>({3}, {0.7F, -0.1875F, 1000000.3F}));
  const TensorMap results = test::run_references(made.graph, feeds);
  // Units 1/4, 1/8 and 1; -1.5 of them to even.
  CHECK(to_floats(results.at("y")) == std::vector<float>{0.75F, -0.25F, 1000000});
  CHECK(to_floats(results.at(made.graph.value(gradient).name)) == std::vector<float>{1, 2, 3});
}

// ---- the graph ----------------------------------------------------------------------------------

TensorMap images(int64_t count, uint64_t seed) {
  TensorMap feeds;
  feeds.emplace("image", random_tensor({count, 2, 6, 6}, seed));
  return feeds;
}

QuantPlan plan_of(const Graph& graph, const std::string& bits, const std::string& target) {
  Recipe recipe;
  if (!bits.empty()) set_bits(recipe, bits);
  recipe.bias_correction = false;
  return plan_quantization(graph, builtin_ops(), test::calibrated(graph, images(8, 9)),
                           load_target(target), recipe);
}

/// What the graph with FakeQuantize computes.
Tensor trained_form(const QuantizedTraining& training, const TensorMap& feeds) {
  TensorMap all;
  for (const auto& [name, tensor] : feeds) all.emplace(name, tensor.clone());
  for (const Parameter& parameter : training.trainable.parameters) {
    const Graph& graph = training.trainable.graph;
    if (graph.is_input(parameter.id))
      all.emplace(graph.value(parameter.id).name, parameter.value.clone());
  }
  return test::run_references(training.trainable.graph, all).at("logits").clone();
}

Tensor exported_form(const Graph& graph, const QuantPlan& plan, const QuantizedTraining& training,
                     const TensorMap& feeds) {
  Graph result = with_learned_constants(graph, training.trainable.parameters);
  insert_qdq(result, learned_plan(result, builtin_ops(), plan, training));
  REQUIRE(verify(result).empty());
  return test::run_graph(result, feeds).at("logits").clone();
}

TEST_CASE("the graph in training computes what the exported model computes") {
  const Graph graph = tiny_classifier();
  const TensorMap feeds = images(5, 11);
  for (const char* bits : {"", "w4a4", "w3", "w2a2"}) {
    INFO(bits);
    const QuantPlan plan = plan_of(graph, bits, "ort-cpu");
    QuantizedTraining training =
        insert_fake_quant(trainable(graph, training_ops()), training_ops(), plan);
    CHECK(verify(training.trainable.graph).empty());
    CHECK(training.grids.size() == plan.placements.size());
    CHECK(test::relative_difference(trained_form(training, feeds),
                                    exported_form(graph, plan, training, feeds)) < 1e-5);
    // As if after some training: all parameters elsewhere, zero points between codes.
    for (Parameter& parameter : training.trainable.parameters) {
      Rng rng(static_cast<uint64_t>(parameter.id));
      const bool zero = parameter.kind == Parameter::Kind::zero_point;
      for (float& v : parameter.value.data<float>()) {
        const float moved = zero ? v + rng.uniform() : v * (0.8F + 0.4F * rng.uniform());
        v = std::clamp(moved, parameter.lowest, parameter.highest);
      }
    }
    CHECK(test::relative_difference(trained_form(training, feeds),
                                    exported_form(graph, plan, training, feeds)) < 1e-5);
  }
}

TEST_CASE("so it does with other quantizers, and with powers of two as scales") {
  const Graph graph = tiny_classifier();
  const TensorMap feeds = images(5, 11);
  for (const char* target : {"ort-cpu", "tidl"}) {
    for (const char* quantizer : {"lsq", "ewgs", "pact", "dorefa"}) {
      INFO(target << " " << quantizer);
      const QuantPlan plan = plan_of(graph, "w4a4", target);
      const bool shifts = std::string(target) == "tidl";
      const GridOptions options{.quantizer = parse_quantizer(quantizer),
                                .power_of_two_activations = shifts,
                                .power_of_two_weights = shifts};
      QuantizedTraining training =
          insert_fake_quant(trainable(graph, training_ops()), training_ops(), plan, options);
      CHECK(verify(training.trainable.graph).empty());
      // DoReFa's weights begin as they are in the float model, but for rounding.
      const Graph begun = with_learned_constants(graph, training.trainable.parameters);
      for (const char* name : {"w1", "w2", "w4"}) {
        const auto before = to_floats(*graph.constant(*graph.find_value(name)));
        const auto after = to_floats(*begun.constant(*begun.find_value(name)));
        for (size_t i = 0; i < before.size(); ++i)
          CHECK(after[i] == Approx(before[i]).margin(1e-6));
      }
      bool learned = false;
      for (Parameter& parameter : training.trainable.parameters) {
        if (!training.trainable.graph.is_input(parameter.id)) continue;
        Rng rng(static_cast<uint64_t>(parameter.id));
        learned = learned || parameter.kind == Parameter::Kind::scale;
        for (float& v : parameter.value.data<float>()) {
          v = std::clamp(v * (0.6F + 0.8F * rng.uniform()), parameter.lowest, parameter.highest);
        }
      }
      CHECK(learned == (std::string(quantizer) != "dorefa"));
      CHECK(test::relative_difference(trained_form(training, feeds),
                                      exported_form(graph, plan, training, feeds)) < 1e-5);
      const QuantPlan made =
          learned_plan(with_learned_constants(graph, training.trainable.parameters), builtin_ops(),
                       plan, training);
      for (const Placement& placement : made.placements) {
        int exponent = 0;
        for (const float scale : placement.params.scale) {
          CHECK((!shifts || std::frexp(scale, &exponent) == 0.5F));
        }
      }
    }
  }
}

TEST_CASE("a scale stays so small that the grid implies the Clip that went") {
  const Graph graph = tiny_classifier();
  const QuantPlan plan = plan_of(graph, "w4a4", "ort-cpu");
  REQUIRE(plan.removed.size() == 2);  // Relu and Clip
  const QuantizedTraining training =
      insert_fake_quant(trainable(graph, training_ops()), training_ops(), plan);
  bool found = false;
  for (const LearnedGrid& grid : training.grids) {
    const Placement& placement = plan.placements[grid.placement];
    if (graph.value(placement.value).name != "r2") continue;
    found = true;
    const Parameter& scale = training.trainable.parameters[grid.scale];
    CHECK(15 * scale.highest <= 6);
    CHECK(15 * std::nextafter(scale.highest, 1.0F) > 6);
    CHECK(!grid.zero_point);
  }
  CHECK(found);
}

TEST_CASE("weights and biases are parameters, but those of frozen nodes") {
  const Graph graph = tiny_classifier();
  const TrainableGraph made =
      trainable(graph, training_ops(), [&](NodeId id) { return graph.node(id).name == "first"; });
  std::vector<std::string> names;
  for (const Parameter& parameter : made.parameters) {
    names.push_back(parameter.name);
    CHECK(made.graph.is_input(parameter.id));
    CHECK((parameter.kind == Parameter::Kind::bias) == parameter.name.starts_with("b"));
  }
  CHECK(names == std::vector<std::string>{"w2", "b2", "w3", "w4", "b4"});
  CHECK(made.graph.constant(*graph.find_value("w1")) != nullptr);
}

}  // namespace
}  // namespace qtool
