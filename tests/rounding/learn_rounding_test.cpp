// SPDX-License-Identifier: Apache-2.0
#include "rounding/learn_rounding.h"

#include <cmath>

#include "quant/quantized.h"
#include "support/parallel.h"
#include "train/tiny.h"

namespace qtool {
namespace {

using test::Build;
using test::message_of;
using test::random_tensor;
using test::tiny_classifier;

/// These samples, four at a time, as an input of this name.
FeedSource source_of(const Tensor& samples, const std::string& name) {
  auto first = std::make_shared<int64_t>(0);
  return [&samples, name, first]() -> std::optional<FeedBatch> {
    const int64_t count = std::min<int64_t>(4, samples.shape()[0] - *first);
    if (count <= 0) return std::nullopt;
    Shape shape = samples.shape();
    const auto row = static_cast<size_t>(samples.size() / shape[0]);
    shape[0] = count;
    FeedBatch batch;
    batch.inputs.emplace(name, Tensor::of<float>(shape, samples.data<float>().subspan(
                                                            static_cast<size_t>(*first) * row,
                                                            static_cast<size_t>(count) * row)));
    batch.ids.resize(static_cast<size_t>(count));
    *first += count;
    return batch;
  };
}

TEST_CASE("AdaRound by hand: two weights of 0.4 that always add up become 0 and 1") {
  // y = 0.4 x + 0.45 x: to nearest both become 0 and y is lost; 0 and 1 leave an error of 0.15 x.
  Build b;
  b.graph.set_type(b.input("x", {8, 2}),
                   TensorType(DType::float32, std::vector<Dim>{{{}, "N"}, {2, {}}}));
  b.constant("w", {1, 2}, {0.4F, 0.45F});
  b.node("Gemm", {"x", "w"}, {"y"}, {{"transB", int64_t{1}}}, "layer");
  b.output("y");
  Tensor samples(DType::float32, {32, 2});
  for (int i = 0; i < 64; ++i)
    samples.data<float>()[static_cast<size_t>(i)] = static_cast<float>(i / 2 % 8 + 1) / 8;
  test::Planned planned(b.graph, test::ranges({{"x", {0, 1}}, {"y", {0, 1}}}));
  for (Placement& placement : planned.plan.placements) {
    if (placement.kind == Placement::Kind::constant)
      placement.params = checked_params({8, true, true}, {1}, {0});
  }
  RoundingOptions options;
  options.training.iterations = 500;
  const RoundedModel learned =
      learn_rounding(b.graph, planned.plan, source_of(samples, "x"), 32, options);
  CHECK(to_floats(*learned.graph.constant(b.value("w"))) == std::vector<float>{0, 1});
  CHECK(learned.notes.size() == 1);
}

TEST_CASE("kept means: rounding does not move what a layer gives in the mean") {
  Build b;
  b.graph.set_type(b.input("x", {1, 4}),
                   TensorType(DType::float32, std::vector<Dim>{{{}, "N"}, {4, {}}}));
  b.random("w", {3, 4}, 1);
  b.random("bias", {3}, 2);
  b.node("Gemm", {"x", "w", "bias"}, {"y"}, {{"transB", int64_t{1}}}, "layer");
  b.output("y");
  Tensor samples = random_tensor({40, 4}, 3);
  for (float& x : samples.data<float>()) x = std::abs(x) + 1;
  Recipe recipe;
  set_bits(recipe, "w3");
  recipe.edges_too = true;
  const QuantPlan plan =
      test::Planned(b.graph, test::ranges({{"x", {0, 4}}, {"y", {-20, 20}}}), recipe).plan;
  const auto means = [&](const Graph& graph) {
    TensorMap feeds;
    feeds.emplace("x", samples.clone());
    const auto y = to_doubles(test::run_graph(graph, feeds).at("y"));
    std::vector<double> sums(3, 0);
    for (size_t i = 0; i < y.size(); ++i) sums[i % 3] += y[i] / 40;
    return sums;
  };
  const auto moved = [&](bool keep) {
    RoundingOptions options;
    options.learning = Learning::nearest;
    options.search_scales = true;
    options.keep_means = keep;
    const RoundedModel learned =
        learn_rounding(b.graph, plan, source_of(samples, "x"), 40, options);
    const auto wanted = means(b.graph);
    const auto found = means(learned.graph);
    double largest = 0;
    for (size_t c = 0; c < 3; ++c) largest = std::max(largest, std::abs(found[c] - wanted[c]));
    return largest;
  };
  CHECK(moved(false) > 0.03);
  CHECK(moved(true) < 0.01);  // what the inputs' own rounding leaves
}

/// Two products of tokens, between which `turned` counts the tokens in front of the samples.
Graph products(bool turned) {
  Build b;
  b.graph.set_type(b.input("x", {1, 5, 6}),
                   TensorType(DType::float32, std::vector<Dim>{{{}, "N"}, {5, {}}, {6, {}}}));
  b.random("w", {6, 7}, 1);
  b.random("v", {7, 3}, 2);
  if (turned) b.node("Transpose", {"x"}, {"xt"}, {{"perm", std::vector<int64_t>{1, 0, 2}}});
  b.node("MatMul", {turned ? "xt" : "x", "w"}, {"h"}, {}, "first");
  b.node("MatMul", {"h", "v"}, {turned ? "yt" : "y"}, {}, "second");
  if (turned) b.node("Transpose", {"yt"}, {"y"}, {{"perm", std::vector<int64_t>{1, 0, 2}}});
  b.output("y");
  return std::move(b.graph);
}

TEST_CASE("tensors that do not count the samples in front: the same codes, many at a time or one") {
  const Tensor samples = random_tensor({20, 5, 6}, 3);
  const auto learned = [&](bool turned, Learning learning, size_t batch) {
    const Graph graph = products(turned);
    TensorMap feeds;
    feeds.emplace("x", random_tensor({2, 5, 6}, 6));
    Recipe recipe;
    set_bits(recipe, "w3");
    recipe.edges_too = true;
    const QuantPlan plan = test::Planned(graph, test::calibrated(graph, feeds), recipe).plan;
    RoundingOptions options;
    options.learning = learning;
    options.batch = batch;
    options.training.batch = batch;
    options.training.iterations = 40;
    return learn_rounding(graph, plan, source_of(samples, "x"), 20, options);
  };
  const auto constant = [](const RoundedModel& model, const char* name) {
    return to_floats(*model.graph.constant(*model.graph.find_value(name)));
  };
  const RoundedModel plain = learned(false, Learning::second_moments, kLeadBatch);
  for (const bool turned : {false, true}) {
    for (const size_t batch : {size_t{1}, kLeadBatch}) {
      CAPTURE(turned, batch);
      const RoundedModel model = learned(turned, Learning::second_moments, batch);
      CHECK(constant(model, "w") == constant(plain, "w"));
      CHECK(constant(model, "v") == constant(plain, "v"));
    }
  }
  const RoundedModel turned = learned(true, Learning::reconstruction, 8);
  CHECK(turned.notes.size() >= 1);
}

/// The classifier at 3 bits, and samples for it.
struct Narrow {
  Graph graph = tiny_classifier();
  Tensor samples = random_tensor({48, 2, 6, 6}, 5);
  QuantPlan plan;

  Narrow() {
    TensorMap feeds;
    feeds.emplace("image", random_tensor({2, 2, 6, 6}, 6));
    Recipe recipe;
    set_bits(recipe, "w3a3");
    recipe.edges_too = true;
    plan = test::Planned(graph, test::calibrated(graph, feeds), recipe).plan;
  }
  RoundedModel learned(Granularity granularity, bool drop, uint64_t memory = 1 << 20) const {
    RoundingOptions options;
    options.granularity = granularity;
    options.learn_scales = granularity == Granularity::block;
    options.training.iterations = 150;
    options.training.batch = 16;
    options.training.drop = drop;
    options.memory = memory;
    return learn_rounding(graph, plan, source_of(samples, "image"), 48, options);
  }
  /// Mean squared error of the deployed model's logits over their power.
  double error(const Graph& weights, const QuantPlan& of) const {
    Graph quantized = weights;
    insert_qdq(quantized, of);
    double sum = 0;
    double power = 0;
    for (const uint64_t seed : {11, 12, 13, 14, 15, 16}) {
      TensorMap feeds;
      feeds.emplace("image", random_tensor({2, 2, 6, 6}, seed));
      const auto wanted = to_doubles(test::run_graph(graph, feeds).at("logits"));
      const auto got = to_doubles(test::run_graph(quantized, feeds).at("logits"));
      for (size_t i = 0; i < got.size(); ++i) {
        sum += (got[i] - wanted[i]) * (got[i] - wanted[i]);
        power += wanted[i] * wanted[i];
      }
    }
    return sum / power;
  }
};

void check_same(const RoundedModel& a, const RoundedModel& b) {
  for (const ValueId id : a.graph.values()) {
    if (const Constant constant = a.graph.constant(id))
      CHECK(constant->equals(*b.graph.constant(id)));
  }
  CHECK(to_json(a.plan, a.graph) == to_json(b.plan, b.graph));
}

TEST_CASE("learned rounding loses less than rounding to nearest, on samples that it has not seen") {
  const Narrow narrow;
  const double nearest = narrow.error(narrow.graph, narrow.plan);
  for (const auto granularity : {Granularity::layer, Granularity::block}) {
    const RoundedModel learned = narrow.learned(granularity, false);
    CHECK(narrow.error(learned.graph, learned.plan) < 0.8 * nearest);
  }
  const RoundedModel dropped = narrow.learned(Granularity::block, true);
  CHECK(narrow.error(dropped.graph, dropped.plan) < 0.8 * nearest);
}

TEST_CASE("GPTQ loses less than rounding to nearest, and measured biases less again") {
  const Narrow narrow;
  const double nearest = narrow.error(narrow.graph, narrow.plan);
  const auto solved = [&](Learning learning, bool biases) {
    RoundingOptions options;
    options.learning = learning;
    options.measure_bias = biases;
    const RoundedModel learned =
        learn_rounding(narrow.graph, narrow.plan, source_of(narrow.samples, "image"), 48, options);
    return narrow.error(learned.graph, learned.plan);
  };
  CHECK(solved(Learning::second_moments, true) < nearest);
  CHECK(solved(Learning::nearest, true) < nearest);
}

TEST_CASE("SeqMSE and AdaQuant choose scales too, and what is written lies on them") {
  const Narrow narrow;
  const double nearest = narrow.error(narrow.graph, narrow.plan);
  for (const bool adaquant : {false, true}) {
    RoundingOptions options;
    options.learning = adaquant ? Learning::reconstruction : Learning::nearest;
    options.search_scales = !adaquant;
    options.learn_scales = adaquant;
    options.training.adaquant = adaquant;
    options.training.iterations = 150;
    options.training.batch = 16;
    const RoundedModel learned =
        learn_rounding(narrow.graph, narrow.plan, source_of(narrow.samples, "image"), 48, options);
    INFO(adaquant);
    CHECK(narrow.error(learned.graph, learned.plan) < (adaquant ? 0.8 : 1.0) * nearest);
    size_t changed = 0;
    for (size_t p = 0; p < learned.plan.placements.size(); ++p) {
      const Placement& placement = learned.plan.placements[p];
      if (placement.kind != Placement::Kind::constant) continue;
      const Tensor& after = *learned.graph.constant(placement.value);
      CHECK(after.equals(fake_quantize(after, placement.params)));
      changed += placement.params.scale != narrow.plan.placements[p].params.scale ? 1 : 0;
    }
    CHECK(changed == 4);
  }
}

TEST_CASE("a measured bias takes off the mean error of its channel") {
  Build b;
  b.graph.set_type(b.input("x", {8, 2}),
                   TensorType(DType::float32, std::vector<Dim>{{{}, "N"}, {2, {}}}));
  b.constant("w", {1, 2}, {0.4F, 1});
  b.constant("b", {1}, {0.5F});
  b.node("Gemm", {"x", "w", "b"}, {"y"}, {{"transB", int64_t{1}}}, "layer");
  b.output("y");
  const Tensor samples = Tensor::of<float>({4, 2}, {0, 0, 1, 0, 0, 1, 1, 1});
  test::Planned planned(b.graph, test::ranges({{"x", {0, 1}}, {"y", {0, 3}}}));
  for (Placement& placement : planned.plan.placements) {
    if (placement.kind == Placement::Kind::constant)
      placement.params = checked_params({8, true, true}, {1}, {0});
    if (placement.kind == Placement::Kind::activation)
      placement.params = checked_params({8, false, false}, {1.0F / 128}, {0});
  }
  RoundingOptions options;
  options.learning = Learning::nearest;
  options.measure_bias = true;
  // Weights become 0 and 1: 0.4 of the first input is lost, which is 1 half of the time.
  const RoundedModel learned =
      learn_rounding(b.graph, planned.plan, source_of(samples, "x"), 4, options);
  CHECK(to_floats(*learned.graph.constant(b.value("b")))[0] == Approx(0.7).margin(0.01));
}

TEST_CASE("learned weights lie on the plan's grids, one code from the float ones") {
  const Narrow narrow;
  const RoundedModel learned = narrow.learned(Granularity::layer, false);
  size_t weights = 0;
  for (const Placement& placement : learned.plan.placements) {
    if (placement.kind != Placement::Kind::constant) continue;
    const Tensor& after = *learned.graph.constant(placement.value);
    CHECK(after.equals(fake_quantize(after, placement.params)));
    const Tensor nearest = fake_quantize(*narrow.graph.constant(placement.value), placement.params);
    const auto a = after.data<float>();
    for (size_t i = 0; i < a.size(); ++i) {
      const size_t channel = i / (a.size() / placement.params.scale.size());
      CHECK(std::abs(a[i] - nearest.data<float>()[i]) <= 1.001F * placement.params.scale[channel]);
    }
    ++weights;
  }
  CHECK(weights == 4);
}

TEST_CASE("the same bits with one thread and two, from memory and from files") {
  const Narrow narrow;
  const int before = thread_count();
  set_thread_count(1);
  const RoundedModel one = narrow.learned(Granularity::block, true);
  set_thread_count(2);
  const RoundedModel two = narrow.learned(Granularity::block, true, 0);
  set_thread_count(before);
  check_same(one, two);
}

TEST_CASE("what cannot be learned is said") {
  const Narrow narrow;
  const auto none = []() -> std::optional<FeedBatch> { return std::nullopt; };
  CHECK(test::contains(message_of([&] { learn_rounding(narrow.graph, narrow.plan, none, 0, {}); },
                                  Error::Kind::input),
                       "no samples"));
  QuantPlan bare = narrow.plan;
  std::erase_if(bare.placements, [](const Placement& placement) {
    return placement.kind == Placement::Kind::constant;
  });
  bare.biases.clear();
  CHECK(test::contains(
      message_of(
          [&] { learn_rounding(narrow.graph, bare, source_of(narrow.samples, "image"), 48, {}); },
          Error::Kind::unsupported),
      "no weight is quantized"));
}

}  // namespace
}  // namespace qtool
