// SPDX-License-Identifier: Apache-2.0
// Steps worked out by hand.
#include "train/optimizer.h"

#include <cmath>

#include "quant/quantized.h"
#include "support/parallel.h"

namespace qtool {
namespace {

using test::contains;
using test::message_of;
using Kind = Parameter::Kind;

Parameter parameter(Kind kind, std::vector<float> values) {
  Parameter made;
  made.kind = kind;
  made.name = "p";
  made.value = Tensor::of<float>({static_cast<int64_t>(values.size())}, values);
  return made;
}

Tensor gradient(std::vector<float> values) {
  return Tensor::of<float>({static_cast<int64_t>(values.size())}, values);
}

/// One parameter through steps with these gradients; the values after each.
std::vector<float> path(const OptimizerSpec& spec, Kind kind, std::vector<float> gradients,
                        double rate) {
  std::vector<Parameter> one;
  one.push_back(parameter(kind, {1}));
  Optimizer optimizer(spec, one);
  std::vector<float> values;
  for (const float g : gradients) {
    const std::vector<Tensor> all = [&] {
      std::vector<Tensor> list;
      list.push_back(gradient({g}));
      return list;
    }();
    optimizer.update(one, all, rate);
    values.push_back(one[0].value.data<float>()[0]);
  }
  return values;
}

OptimizerSpec sgd(double momentum, bool nesterov, double decay) {
  OptimizerSpec spec;
  spec.momentum = momentum;
  spec.nesterov = nesterov;
  spec.weight_decay = decay;
  spec.clip_norm = 0;
  return spec;
}

TEST_CASE("SGD, two steps by hand") {
  // g = 0.5 + 0.1 * 1 = 0.6; v = 0.6; 1 - 0.1 * 0.6. Then g = 0.5 + 0.094, v = 0.54 + 0.594.
  const auto heavy = path(sgd(0.9, false, 0.1), Kind::weight, {0.5F, 0.5F}, 0.1);
  CHECK(heavy[0] == Approx(0.94));
  CHECK(heavy[1] == Approx(0.94 - 0.1 * 1.134));
  // Nesterov steps by g + 0.9 v: 0.6 + 0.54; then g = 0.5886, v = 1.1286.
  const auto ahead = path(sgd(0.9, true, 0.1), Kind::weight, {0.5F, 0.5F}, 0.1);
  CHECK(ahead[0] == Approx(0.886));
  CHECK(ahead[1] == Approx(0.886 - 0.1 * (0.5886 + 0.9 * 1.1286)));
  CHECK(path(sgd(0, false, 0), Kind::weight, {2}, 0.25)[0] == Approx(0.5));
}

TEST_CASE("only weights decay") {
  for (const Kind kind : {Kind::bias, Kind::scale, Kind::zero_point}) {
    CHECK(path(sgd(0, false, 0.5), kind, {0}, 1)[0] == 1);
  }
  CHECK(path(sgd(0, false, 0.5), Kind::weight, {0}, 1)[0] == Approx(0.5));
}

TEST_CASE("Adam and AdamW, two steps by hand") {
  OptimizerSpec spec;
  spec.kind = OptimizerSpec::Kind::adam;
  spec.weight_decay = 0;
  spec.clip_norm = 0;
  const auto adam = path(spec, Kind::weight, {0.5F, -0.25F}, 0.1);
  CHECK(adam[0] == Approx(0.9));  // the first step has the length of the rate
  const double first = (0.9 * 0.05 + 0.1 * -0.25) / (1 - 0.81);
  const double second = (0.999 * 0.00025 + 0.001 * 0.0625) / (1 - 0.998001);
  CHECK(adam[1] == Approx(0.9 - 0.1 * first / std::sqrt(second)));
  spec.kind = OptimizerSpec::Kind::adamw;
  spec.weight_decay = 0.5;
  CHECK(path(spec, Kind::weight, {0.5F}, 0.1)[0] == Approx(1 - 0.1 * 0.5 - 0.1));
  CHECK(path(spec, Kind::bias, {0.5F}, 0.1)[0] == Approx(0.9));
}

TEST_CASE("clipping takes the norm of all gradients together") {
  OptimizerSpec spec = sgd(0, false, 0);
  spec.clip_norm = 1;
  std::vector<Parameter> two;
  two.push_back(parameter(Kind::weight, {0}));
  two.push_back(parameter(Kind::bias, {0}));
  two.push_back(parameter(Kind::bias, {7}));
  std::vector<Tensor> gradients;
  gradients.push_back(gradient({3}));
  gradients.push_back(gradient({-4}));
  gradients.emplace_back();
  Optimizer optimizer(spec, two);
  CHECK(optimizer.update(two, gradients, 1) == Approx(5));
  CHECK(two[0].value.data<float>()[0] == Approx(-0.6));
  CHECK(two[1].value.data<float>()[0] == Approx(0.8));
  CHECK(two[2].value.data<float>()[0] == 7);  // without a gradient: left alone
  gradients[0] = gradient({0.3F});
  gradients[1] = gradient({0});
  optimizer.update(two, gradients, 1);
  CHECK(two[0].value.data<float>()[0] == Approx(-0.9));  // a short one is not made longer
}

TEST_CASE("grids have a rate of their own, and stay in their bounds") {
  OptimizerSpec spec = sgd(0, false, 0);
  spec.grid_rate = 0.5;
  CHECK(path(spec, Kind::scale, {1}, 0.1)[0] == Approx(0.95));
  std::vector<Parameter> one;
  one.push_back(parameter(Kind::scale, {1, 1}));
  one[0].lowest = 0.25F;
  one[0].highest = 1.5F;
  std::vector<Tensor> gradients;
  gradients.push_back(gradient({10, -10}));
  Optimizer(spec, one).update(one, gradients, 1);
  CHECK(to_floats(one[0].value) == std::vector<float>{0.25F, 1.5F});
}

TEST_CASE("many elements: the same bits with one and with two threads") {
  for (const auto kind : {OptimizerSpec::Kind::sgd, OptimizerSpec::Kind::adamw}) {
    std::vector<std::vector<float>> results;
    for (const int threads : {1, 2}) {
      set_thread_count(threads);
      OptimizerSpec spec;
      spec.kind = kind;
      std::vector<Parameter> one;
      one.push_back(parameter(Kind::weight, to_floats(test::random_tensor({100000}, 1))));
      std::vector<Tensor> gradients;
      gradients.push_back(test::random_tensor({100000}, 2));
      Optimizer optimizer(spec, one);
      for (int step = 0; step < 3; ++step) optimizer.update(one, gradients, 0.1);
      results.push_back(to_floats(one[0].value));
    }
    set_thread_count(0);
    CHECK(results[0] == results[1]);
  }
}

TEST_CASE("schedules") {
  Schedule schedule{Schedule::Kind::cosine, 0.2, 12, 2};
  CHECK(schedule.at(0) == Approx(0.1));  // warm-up
  CHECK(schedule.at(1) == Approx(0.2));
  CHECK(schedule.at(2) == Approx(0.2));
  CHECK(schedule.at(7) == Approx(0.1));  // half of the way down
  CHECK(schedule.at(11) == Approx(0.1 * (1 + std::cos(M_PI * 0.9))));
  schedule.kind = Schedule::Kind::constant;
  CHECK(schedule.at(11) == Approx(0.2));
  schedule = {Schedule::Kind::step, 1, 9, 0};
  CHECK(schedule.at(2) == Approx(1));
  CHECK(schedule.at(3) == Approx(0.1));
  CHECK(schedule.at(8) == Approx(0.01));
}

TEST_CASE("words for optimizers and schedules") {
  CHECK(parse_optimizer("adamw") == OptimizerSpec::Kind::adamw);
  CHECK(parse_schedule("step") == Schedule::Kind::step);
  CHECK(contains(message_of([] { parse_optimizer("adan"); }, Error::Kind::usage), "\"adan\""));
  CHECK(contains(message_of([] { parse_schedule("linear"); }, Error::Kind::usage), "cosine"));
}

}  // namespace
}  // namespace qtool
