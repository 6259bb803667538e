// SPDX-License-Identifier: Apache-2.0
#include "train/trainer.h"

#include <array>
#include <functional>

#include "ops/gradient.h"
#include "quant/quantized.h"
#include "support/file.h"
#include "support/parallel.h"
#include "tensor/npy.h"
#include "train/checkpoint.h"
#include "train/tiny.h"

namespace qtool {
namespace {

using test::Bars;
using test::contains;
using test::message_of;
using test::values_of;

/// A training of the tiny classifier, from the start: in float, or quantized to `bits`.
struct Run {
  QuantizedTraining training;
  std::unique_ptr<TrainingStep> step;
  std::optional<TrainState> state;
  TrainOptions options;
  Bars data{120};
  std::vector<double> losses;  ///< by step

  explicit Run(const std::string& bits = {}, LossSpec loss = {}) {
    const Graph graph = test::tiny_classifier();
    training.trainable = trainable(graph, training_ops());
    if (!bits.empty()) {
      TensorMap images;
      images.emplace("image", test::random_tensor({8, 2, 6, 6}, 9));
      Recipe recipe;
      set_bits(recipe, bits);
      recipe.bias_correction = false;
      recipe.edges_too = true;
      const QuantPlan plan = plan_quantization(
          graph, builtin_ops(), test::calibrated(graph, images), load_target("ort-cpu"), recipe);
      training = insert_fake_quant(std::move(training.trainable), training_ops(), plan);
    }
    Graph forward = training.trainable.graph;
    const AttachedLoss attached = attach_loss(forward, {forward.outputs()[0], {}, {}}, loss);
    step = std::make_unique<TrainingStep>(forward, attached, parameters(),
                                          std::make_shared<Graph>(graph));
    options.batch = 40;
    options.rate = 0.05;
    options.epochs = 4;
  }
  std::vector<Parameter>& parameters() { return training.trainable.parameters; }

  void begin() {
    state.emplace(TrainState{0, Optimizer(options.optimizer, parameters()), {}, 0, {}, {}});
  }
  void go(const std::function<void(const EpochResult&)>& epoch_done = {}) {
    if (!state) begin();
    TrainHooks hooks;
    hooks.feeds = [](Batch& batch) { return std::move(batch.inputs); };
    hooks.advance = [&](size_t, double loss, double) { losses.push_back(loss); };
    hooks.epoch_done = epoch_done;
    train(parameters(), *step, *state, data, test::all_of(data), {}, options, hooks);
  }
  std::vector<std::vector<float>> values() {
    std::vector<Tensor> all;
    for (const Parameter& parameter : parameters()) all.push_back(parameter.value.clone());
    return values_of(all);
  }
};

Batch first_of(const Dataset& data, size_t count) {
  Order order = test::all_of(data);
  order.resize(count);
  return make_batch(data, order);
}

TEST_CASE("the loss falls, in float and quantized") {
  for (const char* bits : {"", "w8a8", "w4a4", "w3a4"}) {
    INFO(bits);
    Run run(bits);
    run.options.epochs = 25;
    run.go();
    const auto& history = run.state->history;
    REQUIRE(history.size() == 25);
    INFO(history.front().loss << " to " << history.back().loss);
    CHECK(history.front().loss > 0.8);
    CHECK(history.back().loss < 0.5 * history.front().loss);
  }
}

TEST_CASE("without labels: toward the float model") {
  LossSpec loss;
  loss.cross_entropy = 0;
  loss.distillation = 1;
  Run run("w3a4", loss);
  run.options.rate = 0.01;
  run.options.epochs = 20;
  run.go();
  CHECK(run.state->history.back().loss < 0.75 * run.state->history.front().loss);
}

TEST_CASE("scales and zero points learn as well") {
  Run run("w4a4");
  const auto before = run.values();
  run.go();
  const auto after = run.values();
  size_t moved_zero_points = 0;
  for (size_t p = 0; p < before.size(); ++p) {
    INFO(run.parameters()[p].name);
    if (run.parameters()[p].kind == Parameter::Kind::zero_point) {
      moved_zero_points += before[p] != after[p] ? 1 : 0;  // where something lies beyond the grid
    } else {
      CHECK(before[p] != after[p]);
    }
  }
  CHECK(moved_zero_points > 0);
}

TEST_CASE("equal seeds give equal bits, with any number of threads") {
  std::vector<std::vector<std::vector<float>>> results;
  for (const int threads : {1, 2, 1, 3}) {
    set_thread_count(threads);
    Run run("w4a4");
    run.options.augmentation = Augmentation::parse("flip,crop:1");
    run.go();
    results.push_back(run.values());
  }
  set_thread_count(0);
  CHECK(results[0] == results[1]);
  CHECK(results[0] == results[2]);
  CHECK(results[0] == results[3]);
  Run other("w4a4");
  other.options.augmentation = Augmentation::parse("flip,crop:1");
  other.options.seed = 2;
  other.go();
  CHECK(other.values() != results[0]);
}

TEST_CASE("the loss of a batch is the mean over its samples, however many") {
  Run run("w8a8");
  const auto loss_of = [&](size_t count) {
    const Batch batch = first_of(run.data, count);
    return run.step->run(batch.inputs, batch.labels, run.parameters());
  };
  // 16 and 21 samples more: 37 = 16 + 16 + 5 in shards.
  const double sixteen = loss_of(16);
  const double all = loss_of(37);
  const Batch batch = make_batch(run.data, [] {
    Order order;
    for (size_t i = 16; i < 37; ++i) order.push_back(i);
    return order;
  }());
  const double rest = run.step->run(batch.inputs, batch.labels, run.parameters());
  CHECK(all == Approx((16 * sixteen + 21 * rest) / 37).epsilon(1e-6));
}

TEST_CASE("gradients of whole batches against central differences") {
  Run run;
  const Batch batch = first_of(run.data, 20);
  run.step->run(batch.inputs, batch.labels, run.parameters());
  const auto gradients = [&] {
    std::vector<Tensor> copies;
    for (const Tensor& gradient : run.step->gradients()) copies.push_back(gradient.clone());
    return values_of(copies);
  }();
  for (size_t p = 0; p < run.parameters().size(); ++p) {
    const auto values = run.parameters()[p].value.data<float>();
    for (const size_t i : {size_t{0}, values.size() / 2, values.size() - 1}) {
      const float kept = values[i];
      constexpr float kStep = 0x1p-9F;
      values[i] = kept + kStep;
      const double above = run.step->run(batch.inputs, batch.labels, run.parameters());
      values[i] = kept - kStep;
      const double below = run.step->run(batch.inputs, batch.labels, run.parameters());
      values[i] = kept;
      INFO(run.parameters()[p].name << " " << i);
      CHECK(static_cast<double>(gradients[p][i]) ==
            Approx((above - below) / (2 * static_cast<double>(kStep))).margin(2e-3));
    }
  }
}

TEST_CASE("a training that diverges says where") {
  Run run;
  run.options.rate = 1e30;
  run.options.optimizer.clip_norm = 0;
  const std::string message = message_of([&] { run.go(); }, Error::Kind::input);
  INFO(message);
  CHECK(contains(message, "diverged in epoch 1, step "));
  CHECK(contains(message, "--lr"));
}

TEST_CASE("a label that is no class names the step") {
  class Wrong : public Bars {
   public:
    Wrong() : Bars(40) {}
    Sample get(size_t index) const override {
      Sample sample = Bars::get(index);
      if (index == 39) sample.label = 3;
      return sample;
    }
  };
  Run run;
  run.begin();
  const Wrong data;
  TrainHooks hooks;
  hooks.feeds = [](Batch& batch) { return std::move(batch.inputs); };
  const std::string message = message_of(
      [&] {
        train(run.parameters(), *run.step, *run.state, data, test::all_of(data), {}, run.options,
              hooks);
      },
      Error::Kind::input);
  CHECK(contains(message, "epoch 1, step 1"));
  CHECK(contains(message, "the label 3, but the model has 3 classes"));
}

// ---- checkpoints --------------------------------------------------------------------------------

const Json kIdentity{{"model", "tiny"}, {"epochs", 4}};

TEST_CASE("going on from a checkpoint gives the bits of an uninterrupted training") {
  for (const auto kind : {OptimizerSpec::Kind::sgd, OptimizerSpec::Kind::adamw}) {
    const test::TemporaryFolder folder;
    const auto file = folder / "training.npz";
    const auto fresh = [&] {
      auto run = std::make_unique<Run>("w4a4");
      run->options.optimizer.kind = kind;
      run->options.warm_up = 0.5;
      run->begin();
      return run;
    };
    const auto whole = fresh();
    whole->go();
    const auto cut = fresh();
    struct Killed {};
    const auto kill = [&](const EpochResult& result) {
      write_checkpoint(file, kIdentity, cut->parameters(), *cut->state);
      if (result.epoch == 2) throw Killed();
    };
    CHECK_THROWS_AS(cut->go(kill), Killed);
    const auto resumed = fresh();
    read_checkpoint(file, kIdentity, resumed->parameters(), *resumed->state);
    CHECK(resumed->state->epochs_done == 2);
    resumed->go();
    CHECK(resumed->values() == whole->values());
    REQUIRE(resumed->state->history.size() == 4);
    for (size_t e = 0; e < 4; ++e) {
      CHECK(to_json(resumed->state->history[e]) == to_json(whole->state->history[e]));
    }
    // The same state, the same bytes.
    write_checkpoint(file, kIdentity, resumed->parameters(), *resumed->state);
    write_checkpoint(folder / "other.npz", kIdentity, whole->parameters(), *whole->state);
    CHECK(read_file(file) == read_file(folder / "other.npz"));
  }
}

TEST_CASE("a checkpoint of something else is refused") {
  const test::TemporaryFolder folder;
  const auto file = folder / "training.npz";
  Run run("w4a4");
  run.begin();
  write_checkpoint(file, kIdentity, run.parameters(), *run.state);
  const auto refusal = [&](const std::filesystem::path& path, const Json& identity, Run& into) {
    into.begin();
    return message_of([&] { read_checkpoint(path, identity, into.parameters(), *into.state); },
                      Error::Kind::input);
  };
  Run same("w4a4");
  const std::string other_epochs = refusal(file, {{"model", "tiny"}, {"epochs", 5}}, same);
  CHECK(contains(other_epochs, "epochs 4, this training 5"));
  Run in_float;
  const std::string other_grids = refusal(file, kIdentity, in_float);
  CHECK(contains(other_grids, "training.npz"));
  CHECK(contains(other_grids, "other parameters"));
  CHECK(contains(refusal(folder / "absent.npz", kIdentity, same), "absent.npz"));
  write_file(folder / "text.npz", "no zip");
  CHECK(contains(refusal(folder / "text.npz", kIdentity, same), "text.npz"));
  CHECK(contains(refusal(file, {{"model", "small"}, {"epochs", 4}}, same),
                 "model \"tiny\", this training \"small\""));
  TensorMap later = read_npz(file);
  const auto about = later.at("about").data<uint8_t>();
  std::string text(about.begin(), about.end());
  text.replace(text.find("qtool.checkpoint/1"), 18, "qtool.checkpoint/9");
  std::ranges::copy(text, about.begin());
  write_npz(folder / "later.npz", later);
  CHECK(contains(refusal(folder / "later.npz", kIdentity, same), "qtool.checkpoint/9"));
  const std::string bytes = read_file(file);
  write_file(folder / "cut.npz", bytes.substr(0, bytes.size() / 2));
  CHECK(contains(refusal(folder / "cut.npz", kIdentity, same), "cut.npz"));
}

}  // namespace
}  // namespace qtool
