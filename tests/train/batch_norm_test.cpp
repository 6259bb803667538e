// SPDX-License-Identifier: Apache-2.0
// Batch norms that train as one with their layer, against numbers worked out by hand, inference
// with a batch's own statistics, and central differences.
#include "train/batch_norm.h"

#include <cmath>

#include "passes/passes.h"
#include "quant/quantized.h"
#include "train/tiny.h"
#include "train/trainer.h"

namespace qtool {
namespace {

using test::Bars;
using test::Build;
using test::random_tensor;

Graph with_folds(const Graph& graph) {
  Graph result = graph;
  run_pipeline(result, {{fold_batch_norm(), "as before training"}}, {builtin_ops(), nullptr});
  return result;
}

void add_norm(Build& b, const std::string& from, const std::string& to, int64_t channels,
              uint64_t seed) {
  const auto numbers = [&](const char* what, float low, uint64_t salt) {
    Tensor tensor(DType::float32, {channels});
    Rng rng(seed + salt);
    for (float& v : tensor.data<float>()) v = low + rng.uniform();
    b.constant(to + what, std::move(tensor));
    return to + what;
  };
  const std::string gamma = numbers("_gamma", 0.7F, 1);
  const std::string beta = numbers("_beta", -0.5F, 2);
  const std::string mean = numbers("_mean", -0.5F, 3);
  b.node("BatchNormalization", {from, gamma, beta, mean, numbers("_variance", 0.5F, 4)}, {to},
         {{"epsilon", 0.01F}});
}

/// [2,6,6] to three classes: a Conv with a bias, a depthwise one without, two Gemm that differ in
/// transB; a batch norm behind each but the last.
Graph normed_classifier(const char* activation) {
  Build b;
  b.graph.set_type(
      b.input("image", {2, 2, 6, 6}),
      TensorType(DType::float32, std::vector<Dim>{{{}, "N"}, {2, {}}, {6, {}}, {6, {}}}));
  b.random("w1", {4, 2, 3, 3}, 1);
  b.random("b1", {4}, 2);
  b.random("w2", {4, 1, 3, 3}, 3);
  b.random("w3", {4, 5}, 4);
  b.random("b3", {5}, 5);
  b.random("w4", {3, 5}, 6);
  b.random("b4", {3}, 7);
  b.node("Conv", {"image", "w1", "b1"}, {"c1"});
  add_norm(b, "c1", "n1", 4, 10);
  b.node(activation, {"n1"}, {"a1"});
  b.node("Conv", {"a1", "w2"}, {"c2"}, {{"group", int64_t{4}}});
  add_norm(b, "c2", "n2", 4, 20);
  b.node(activation, {"n2"}, {"a2"});
  b.node("GlobalAveragePool", {"a2"}, {"g"});
  b.node("Flatten", {"g"}, {"f"});
  b.node("Gemm", {"f", "w3", "b3"}, {"c3"});
  add_norm(b, "c3", "n3", 5, 30);
  b.node(activation, {"n3"}, {"a3"});
  b.node("Gemm", {"a3", "w4", "b4"}, {"logits"}, {{"transB", int64_t{1}}});
  b.output("logits");
  return b.graph;
}

QuantizedTraining in_training(const Graph& unfolded, Statistics statistics) {
  const Graph folded = with_folds(unfolded);
  QuantizedTraining training{trainable(folded, training_ops()), {}};
  train_batch_norms(training, normed_layers(unfolded, folded), statistics);
  REQUIRE(verify(training.trainable.graph).empty());
  return training;
}

TensorMap fed(const QuantizedTraining& training, const TensorMap& feeds) {
  TensorMap all;
  for (const auto& [name, tensor] : feeds) all.emplace(name, tensor.clone());
  for (const Parameter& parameter : training.trainable.parameters) {
    const Graph& graph = training.trainable.graph;
    if (graph.is_input(parameter.id))
      all.emplace(graph.value(parameter.id).name, parameter.value.clone());
  }
  return all;
}

std::vector<float> outputs(const QuantizedTraining& training, const TensorMap& feeds) {
  const TensorMap results = test::run_references(training.trainable.graph, fed(training, feeds));
  return to_floats(results.begin()->second);
}

/// Mean and variance by channel, in double.
std::pair<std::vector<float>, std::vector<float>> statistics_of(const Tensor& x) {
  const auto channels = static_cast<size_t>(x.shape()[1]);
  const size_t inner = static_cast<size_t>(x.size()) / channels / static_cast<size_t>(x.shape()[0]);
  const std::vector<float> values = to_floats(x);
  const double count = static_cast<double>(values.size()) / static_cast<double>(channels);
  std::vector<double> sums(channels, 0.0);
  std::vector<double> squares(channels, 0.0);
  for (size_t i = 0; i < values.size(); ++i) {
    const auto v = static_cast<double>(values[i]);
    sums[i / inner % channels] += v;
    squares[i / inner % channels] += v * v;
  }
  std::pair<std::vector<float>, std::vector<float>> result;
  for (size_t c = 0; c < channels; ++c) {
    const double mean = sums[c] / count;
    result.first.push_back(static_cast<float>(mean));
    result.second.push_back(static_cast<float>(squares[c] / count - mean * mean));
  }
  return result;
}

TEST_CASE("a batch norm in training, worked out by hand") {
  Build b;
  b.input("x", {2, 1, 1, 2});
  b.constant("w", {1, 1, 1, 1}, {2});
  b.constant("b", {1}, {5});
  b.constant("gamma", {1}, {3});
  b.constant("beta", {1}, {1});
  b.constant("mean", {1}, {7});
  b.constant("variance", {1}, {14});
  b.node("Conv", {"x", "w", "b"}, {"c"});
  b.node("BatchNormalization", {"c", "gamma", "beta", "mean", "variance"}, {"y"},
         {{"epsilon", 2.0F}});
  b.output("y");
  TensorMap feeds;
  feeds.emplace("x", Tensor::of<float>({2, 1, 1, 2}, {1, 2, 3, 6}));
  // x w is 2, 4, 6, 12: mean 6, variance 14; with epsilon a deviation of 4. The bias is of no
  // avail.
  CHECK(outputs(in_training(b.graph, Statistics::batch), feeds) ==
        std::vector<float>{-2, -0.5F, 1, 5.5F});
  // Running statistics are those of x w + 5.
  const QuantizedTraining running = in_training(b.graph, Statistics::running);
  CHECK(outputs(running, feeds) == std::vector<float>{1, 2.5F, 4, 8.5F});
  const Graph exported = with_learned_constants(with_folds(b.graph), running.trainable.parameters,
                                                running.trainable.norms);
  const Node& conv = exported.node(exported.nodes()[0]);
  CHECK(to_floats(*exported.constant(conv.inputs[1])) == std::vector<float>{1.5F});
  CHECK(to_floats(*exported.constant(conv.inputs[2])) == std::vector<float>{-0.5F});
}

TEST_CASE("with running statistics the graph in training computes what the model computes") {
  const Graph graph = normed_classifier("Relu");
  TensorMap feeds;
  feeds.emplace("image", random_tensor({5, 2, 6, 6}, 8));
  QuantizedTraining training = in_training(graph, Statistics::running);
  CHECK(training.trainable.norms.size() == 3);
  const Tensor expected = test::run_graph(graph, feeds).at("logits").clone();
  const Tensor got = Tensor::of<float>(expected.shape(), outputs(training, feeds));
  CHECK(test::relative_difference(got, expected) < 1e-5);
  for (Parameter& parameter : training.trainable.parameters) {
    Rng rng(static_cast<uint64_t>(parameter.id));
    for (float& v : parameter.value.data<float>()) v *= 0.8F + 0.4F * rng.uniform();
  }
  const Graph exported = with_learned_constants(with_folds(graph), training.trainable.parameters,
                                                training.trainable.norms);
  const Tensor moved = Tensor::of<float>(expected.shape(), outputs(training, feeds));
  CHECK(test::relative_difference(moved, test::run_graph(exported, feeds).at("logits")) < 1e-5);
  CHECK(test::relative_difference(moved, expected) > 1e-2);
}

TEST_CASE("with the batch's statistics it is a batch norm that has these") {
  Graph graph = normed_classifier("Relu");
  TensorMap feeds;
  feeds.emplace("image", random_tensor({5, 2, 6, 6}, 8));
  const QuantizedTraining training = in_training(graph, Statistics::batch);
  for (const char* layer : {"1", "2", "3"}) {  // each changes what comes behind it
    const TensorMap values = test::run_graph(graph, feeds);
    const auto [mean, variance] = statistics_of(values.at(std::string("c") + layer));
    const Shape shape{static_cast<int64_t>(mean.size())};
    const auto set = [&](const char* what, const std::vector<float>& numbers) {
      graph.set_constant(*graph.find_value(std::string("n") + layer + what),
                         make_constant(Tensor::of<float>(shape, numbers)));
    };
    set("_mean", mean);
    set("_variance", variance);
  }
  const Tensor expected = test::run_graph(graph, feeds).at("logits").clone();
  const Tensor got = Tensor::of<float>(expected.shape(), outputs(training, feeds));
  CHECK(test::relative_difference(got, expected) < 1e-4);
}

/// A training of normed_classifier, in float or with grids.
struct Run {
  Graph graph;
  Graph folded;
  QuantPlan plan;
  QuantizedTraining training;
  std::unique_ptr<TrainingStep> step;
  TrainOptions options;
  Bars data{120};

  Run(const char* activation, const std::string& bits) : graph(normed_classifier(activation)) {
    folded = with_folds(graph);
    if (!bits.empty()) {
      TensorMap images;
      images.emplace("image", random_tensor({8, 2, 6, 6}, 9));
      Recipe recipe;
      set_bits(recipe, bits);
      recipe.bias_correction = false;
      recipe.edges_too = true;
      plan = plan_quantization(folded, builtin_ops(), test::calibrated(folded, images),
                               load_target("ort-cpu"), recipe);
    }
    enter(Statistics::batch);
    options.batch = 40;
    options.rate = 0.02;
    options.epochs = 1;
  }
  void enter(Statistics statistics) {
    training = insert_fake_quant(trainable(folded, training_ops()), training_ops(), plan);
    train_batch_norms(training, normed_layers(graph, folded), statistics);
    REQUIRE(verify(training.trainable.graph).empty());
    Graph forward = training.trainable.graph;
    const AttachedLoss loss = attach_loss(forward, {forward.outputs()[0], {}, {}}, {});
    step = std::make_unique<TrainingStep>(forward, loss, parameters(), nullptr,
                                          training.trainable.norms);
  }
  std::vector<Parameter>& parameters() { return training.trainable.parameters; }
  std::vector<double> go() {
    TrainState state{0, Optimizer(options.optimizer, parameters()), {}, 0, {}, {}};
    TrainHooks hooks;
    hooks.feeds = [](Batch& batch) { return std::move(batch.inputs); };
    train(parameters(), *step, state, data, test::all_of(data), {}, options, hooks);
    std::vector<double> losses;
    for (const EpochResult& epoch : state.history) losses.push_back(epoch.loss);
    return losses;
  }
  double loss_of(size_t samples) {
    Order order = test::all_of(data);
    order.resize(samples);
    const Batch batch = make_batch(data, order);
    return step->run(batch.inputs, batch.labels, parameters());
  }
};

TEST_CASE("gradients of layers with their batch norms agree with central differences") {
  Run run("Tanh", {});
  run.loss_of(20);  // one shard of 20: a rest of four has no statistics of its own
  std::vector<std::vector<float>> gradients;
  for (const Tensor& gradient : run.step->gradients()) {
    const bool any = gradient.dtype() != DType::undefined;
    gradients.push_back(any ? to_floats(gradient) : std::vector<float>{});
  }
  size_t compared = 0;
  for (size_t p = 0; p < gradients.size(); ++p) {
    INFO(run.parameters()[p].name);
    const bool statistic = run.parameters()[p].kind == Parameter::Kind::statistic;
    CHECK(gradients[p].empty() == statistic);
    for (size_t i = 0; i < gradients[p].size(); i += 3) {
      float& element = run.parameters()[p].value.data<float>()[i];
      const float kept = element;
      constexpr float kStep = 1.0F / 128;
      element = kept + kStep;
      const double above = run.loss_of(20);
      element = kept - kStep;
      const double below = run.loss_of(20);
      element = kept;
      const double measured = (above - below) / (2 * static_cast<double>(kStep));
      CHECK(static_cast<double>(gradients[p][i]) == Approx(measured).margin(5e-4).epsilon(5e-3));
      ++compared;
    }
  }
  CHECK(compared > 50);
}

TEST_CASE("running statistics follow those of the whole batch; measured, they are all samples'") {
  Run run("Relu", {});
  const TrainedNorm& norm = run.training.trainable.norms.at(0);
  const float before = run.parameters()[norm.mean].value.data<float>()[1];
  const float spread = run.parameters()[norm.variance].value.data<float>()[1];
  run.options.batch = 120;
  run.options.rate = 0;
  run.go();
  const Batch all = make_batch(run.data, test::all_of(run.data));
  Graph convolution = run.graph;
  convolution.set_constant(*convolution.find_value("b1"),
                           make_constant(Tensor(DType::float32, {4})));
  const auto [mean, variance] = statistics_of(test::run_graph(convolution, all.inputs).at("c1"));
  const auto after = [&](size_t p) { return run.parameters()[p].value.data<float>()[1]; };
  CHECK(after(norm.mean) == Approx(0.9F * before + 0.1F * mean[1]).epsilon(1e-4));
  CHECK(after(norm.variance) == Approx(0.9F * spread + 0.1F * variance[1]).epsilon(1e-4));
  StatisticsMean measured;
  for (const size_t first : {0, 40, 80}) {
    Order order;
    for (size_t i = first; i < first + 40; ++i) order.push_back(i);
    const Batch part = make_batch(run.data, order);
    run.step->run(part.inputs, part.labels, run.parameters());
    measured.add(*run.step, 40);
  }
  measured.put(run.parameters(), run.training.trainable.norms);
  CHECK(after(norm.mean) == Approx(mean[1]).epsilon(1e-4));
  CHECK(after(norm.variance) == Approx(variance[1]).epsilon(1e-4));
}

TEST_CASE("with grids the loss falls, and what is exported is what was trained") {
  Run run("Relu", "w4a4");
  run.options.epochs = 25;
  const std::vector<double> losses = run.go();
  INFO(losses.front() << " to " << losses.back());
  CHECK(losses.back() < 0.6 * losses.front());
  const std::vector<Parameter> learned = std::move(run.parameters());
  run.enter(Statistics::running);
  for (size_t p = 0; p < learned.size(); ++p) {
    CHECK(run.parameters()[p].name == learned[p].name);
    run.parameters()[p].value = learned[p].value.clone();
  }
  TensorMap feeds;
  feeds.emplace("image", random_tensor({5, 2, 6, 6}, 8));
  Graph exported =
      with_learned_constants(run.folded, run.parameters(), run.training.trainable.norms);
  insert_qdq(exported, learned_plan(exported, builtin_ops(), run.plan, run.training));
  const Tensor expected = test::run_graph(exported, feeds).at("logits").clone();
  const Tensor got = Tensor::of<float>(expected.shape(), outputs(run.training, feeds));
  CHECK(test::relative_difference(got, expected) < 1e-5);
  // With grids that stay, the rest still learns.
  run.options.epochs = 2;
  run.options.freeze_grids_after = 0;
  run.go();
  for (size_t p = 0; p < learned.size(); ++p) {
    const Parameter::Kind kind = learned[p].kind;
    const bool same = to_floats(run.parameters()[p].value) == to_floats(learned[p].value);
    INFO(learned[p].name);
    CHECK(same == (kind == Parameter::Kind::scale || kind == Parameter::Kind::zero_point ||
                   kind == Parameter::Kind::statistic));
  }
}

TEST_CASE("only layers whose constants are theirs alone are unfolded") {
  Build b;
  b.input("x", {2, 3, 4, 4});
  b.random("w", {3, 3, 1, 1}, 1);
  b.node("Conv", {"x", "w"}, {"c1"});
  add_norm(b, "c1", "n1", 3, 10);
  b.node("Relu", {"n1"}, {"r"});
  b.node("Conv", {"r", "w"}, {"c2"});
  b.node("Relu", {"c2"}, {"y"});
  b.output("y");
  const Graph folded = with_folds(b.graph);
  // The pass gave the first Conv a copy of the weight that both had.
  CHECK(normed_layers(b.graph, folded).size() == 1);
  CHECK(normed_layers(folded, folded).empty());
  QuantizedTraining frozen{trainable(folded, training_ops(),
                                     [&](NodeId id) { return folded.node(id).op.type == "Conv"; }),
                           {}};
  train_batch_norms(frozen, normed_layers(b.graph, folded), Statistics::batch);
  CHECK(frozen.trainable.norms.empty());
}

}  // namespace
}  // namespace qtool
