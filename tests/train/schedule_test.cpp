// SPDX-License-Identifier: Apache-2.0
// What the trainer does besides steps: running averages, accumulated gradients, early ends, stages.
#include "ops/gradient.h"
#include "quant/quantized.h"
#include "support/file.h"
#include "train/checkpoint.h"
#include "train/progressive.h"
#include "train/tiny.h"

namespace qtool {
namespace {

using test::Bars;
using test::contains;
using test::message_of;
using test::values_of;

using Values = std::vector<std::vector<float>>;

/// The tiny classifier, quantized to `bits`, in training.
struct Run {
  Graph graph = test::tiny_classifier();
  QuantPlan plan;
  QuantizedTraining training;
  std::unique_ptr<TrainingStep> step;
  std::optional<TrainState> state;
  TrainOptions options;
  Bars data{96};
  std::function<std::optional<double>()> validate;
  std::function<void()> after_step = [] {};

  explicit Run(const std::string& bits = "w4a4") {
    options.batch = 32;
    options.rate = 0.05;
    options.epochs = 3;
    enter(bits);
    state.emplace(TrainState{0, Optimizer(options.optimizer, parameters()), {}, 0, {}, {}});
  }

  void enter(const std::string& bits) {
    TensorMap images;
    images.emplace("image", test::random_tensor({8, 2, 6, 6}, 9));
    Recipe recipe;
    set_bits(recipe, bits);
    recipe.bias_correction = false;
    recipe.edges_too = true;
    plan = plan_quantization(graph, builtin_ops(), test::calibrated(graph, images),
                             load_target("ort-cpu"), recipe);
    training = insert_fake_quant(trainable(graph, training_ops()), training_ops(), plan);
    Graph forward = training.trainable.graph;
    const AttachedLoss attached = attach_loss(forward, {forward.outputs()[0], {}, {}}, {});
    step = std::make_unique<TrainingStep>(forward, attached, parameters(), nullptr);
  }

  std::vector<Parameter>& parameters() { return training.trainable.parameters; }

  TrainEnd go(int until = 0) {
    TrainHooks hooks;
    hooks.feeds = [](Batch& batch) { return std::move(batch.inputs); };
    hooks.validate = validate;
    hooks.advance = [&](size_t, double, double) { after_step(); };
    return train(parameters(), *step, *state, data, test::all_of(data), {}, options, hooks, until);
  }

  Values values() {
    std::vector<Tensor> all;
    for (const Parameter& parameter : parameters()) all.push_back(parameter.value.clone());
    return values_of(all);
  }
};

TEST_CASE("the running average: 0.9 of the old, less in the first steps") {
  Run run;
  run.options.average = 0.9;
  Values expected = run.values();
  int steps = 0;
  run.after_step = [&] {
    const Values now = run.values();
    if (++steps == 1) expected = now;  // it begins with what the first step made
    const double keep = std::min(0.9, (1.0 + steps) / (10.0 + steps));
    for (size_t p = 0; p < now.size(); ++p) {
      for (size_t i = 0; i < now[p].size(); ++i) {
        const double mixed = keep * static_cast<double>(expected[p][i]) +
                             (1 - keep) * static_cast<double>(now[p][i]);
        expected[p][i] = static_cast<float>(mixed);
      }
    }
  };
  run.go();
  REQUIRE(steps == 9);
  const Values last = run.values();
  {
    const Averaged averaged(run.parameters(), *run.state);
    const Values average = run.values();
    CHECK(average != last);
    for (size_t p = 0; p < average.size(); ++p) {
      for (size_t i = 0; i < average[p].size(); ++i) {
        CHECK(average[p][i] == Approx(expected[p][i]).margin(1e-5));
      }
    }
  }
  CHECK(run.values() == last);
}

TEST_CASE("what is validated and kept as the best is the average; training itself is as without") {
  Run with;
  Run without;
  with.options.average = 0.9;
  Values seen;
  with.validate = [&]() -> std::optional<double> {
    seen = with.values();
    return with.state->epochs_done == 1 ? 0.5 : 0.4;
  };
  with.go();
  without.go();
  CHECK(with.values() == without.values());
  CHECK(seen != with.values());
  CHECK(with.state->best_epoch == 1);
  CHECK(values_of(with.state->best) != seen);
}

TEST_CASE("the average goes on from a checkpoint") {
  const test::TemporaryFolder folder;
  Run whole;
  whole.options.average = 0.9;
  whole.go();
  Run cut;
  cut.options.average = 0.9;
  cut.go(2);
  write_checkpoint(folder / "c.npz", {}, cut.parameters(), *cut.state);
  CHECK(epochs_in_checkpoint(folder / "c.npz") == 2);
  Run resumed;
  resumed.options.average = 0.9;
  read_checkpoint(folder / "c.npz", {}, resumed.parameters(), *resumed.state);
  resumed.go();
  CHECK(values_of(resumed.state->average) == values_of(whole.state->average));
  CHECK(resumed.values() == whole.values());
}

TEST_CASE("two batches that make one step give what one batch of both gives") {
  Run one;
  Run two;
  two.options.batch = 16;
  two.options.accumulate = 2;
  one.options.epochs = two.options.epochs = 1;
  one.go();
  two.go();
  CHECK(one.state->optimizer.steps() == 3);
  CHECK(two.state->optimizer.steps() == 3);
  const Values a = one.values();
  const Values b = two.values();
  for (size_t p = 0; p < a.size(); ++p) {
    for (size_t i = 0; i < a[p].size(); ++i) CHECK(a[p][i] == Approx(b[p][i]).margin(1e-5));
  }
}

TEST_CASE("what is left at the end of an epoch makes a step as well") {
  Run run;
  run.options.batch = 40;  // 40, 40, 16
  run.options.accumulate = 2;
  run.options.epochs = 2;
  run.go();
  CHECK(run.state->optimizer.steps() == 4);
}

TEST_CASE("an early end: so many epochs without a better accuracy") {
  Run run;
  run.options.epochs = 20;
  run.options.patience = 3;
  const std::vector<double> accuracies{0.1, 0.5, 0.4, 0.5, 0.3, 0.9};
  run.validate = [&] {
    return std::optional(accuracies.at(static_cast<size_t>(run.state->epochs_done) - 1));
  };
  CHECK(run.go() == TrainEnd::patience);
  CHECK(run.state->epochs_done == 5);
  CHECK(run.state->best_epoch == 2);
}

TEST_CASE("an end when the time is over, with the rate at its least") {
  Run run;
  run.options.epochs = 100000;
  run.options.seconds = 0.2;
  run.options.start = std::chrono::steady_clock::now();
  CHECK(run.go() == TrainEnd::time);
  CHECK(run.state->epochs_done < 100000);
  Run past;
  past.options.seconds = 1;
  past.options.start = std::chrono::steady_clock::now() - std::chrono::hours(1);
  CHECK(past.go() == TrainEnd::time);
  CHECK(past.state->epochs_done == 1);
  CHECK(past.state->history[0].rate < 0.01);
}

TEST_CASE("stages as text") {
  const auto stages = parse_stages("w4a4:2,w3a3:3", 9);
  REQUIRE(stages.size() == 3);
  CHECK(stages[0].bits == "w4a4");
  CHECK(stages[1].until == 5);
  CHECK(stages[2].bits.empty());
  CHECK(stages[2].until == 9);
  CHECK(stage_of(stages, 0) == 0);
  CHECK(stage_of(stages, 2) == 0);
  CHECK(stage_of(stages, 3) == 1);
  CHECK(stage_of(stages, 6) == 2);
  CHECK(parse_stages("", 4).size() == 1);
  for (const char* wrong : {"w4a4", "w4a4:", "w4a4:0", "w4a4:x", "w9a4:1", ":2", "w4a4:2,", ","}) {
    INFO(wrong);
    CHECK_THROWS_AS(parse_stages(wrong, 9), Error);
  }
  CHECK(contains(message_of([] { parse_stages("w4a4:4,w3a3:5", 9); }, Error::Kind::usage),
                 "9 epochs of 9"));
}

TEST_CASE("a stage goes on with the weights, and with scales moved as far as they were") {
  Run run("w4a4");
  run.go(2);
  const QuantizedTraining before = std::move(run.training);
  const QuantPlan plan = run.plan;
  run.enter("w2a2");
  std::vector<Tensor> planned;
  for (const Parameter& parameter : run.parameters()) planned.push_back(parameter.value.clone());
  carry_over(before, plan, run.training, *run.state, run.options.optimizer);
  size_t scales = 0;
  for (const LearnedGrid& grid : before.grids) {
    const Parameter& old = before.trainable.parameters[grid.scale];
    for (size_t p = 0; p < run.parameters().size(); ++p) {
      const Parameter& now = run.parameters()[p];
      if (now.name != old.name) continue;
      ++scales;
      const double factor = static_cast<double>(old.value.data<float>()[0]) /
                            static_cast<double>(plan.placements[grid.placement].params.scale[0]);
      const double begun = static_cast<double>(planned[p].data<float>()[0]) * factor;
      CHECK(static_cast<double>(now.value.data<float>()[0]) ==
            Approx(std::min(begun, static_cast<double>(now.highest))));
    }
  }
  CHECK(scales >= 5);
  size_t weights = 0;
  for (const Parameter& now : run.parameters()) {
    for (const Parameter& old : before.trainable.parameters) {
      if (now.name != old.name || now.kind != Parameter::Kind::weight) continue;
      ++weights;
      CHECK(to_floats(now.value) == to_floats(old.value));
    }
  }
  CHECK(weights == 4);
  CHECK(run.state->optimizer.steps() == 6);
  CHECK(run.state->best_epoch == 0);
  run.go();
  CHECK(run.state->epochs_done == 3);
}

}  // namespace
}  // namespace qtool
