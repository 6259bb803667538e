// SPDX-License-Identifier: Apache-2.0
#include "train/loss.h"

#include <cmath>

#include "quant/quantized.h"
#include "train/tiny.h"

namespace qtool {
namespace {

using test::Build;
using test::contains;
using test::message_of;

struct Scored {
  Graph graph;
  AttachedLoss attached;
};

/// Scores [2,2] that are fed as they are, or through a Softmax.
Scored scored(const LossSpec& spec, bool softmax = false) {
  Build b;
  b.input("x", {2, 2});
  b.node(softmax ? "Softmax" : "Identity", {"x"}, {"scores"});
  b.output("scores");
  Scored made{b.graph, {}};
  made.attached = attach_loss(
      made.graph, {b.value("scores"), {b.value("scores")}, {{b.value("x"), b.value("x")}}}, spec);
  return made;
}

double loss(const Scored& scored, const std::vector<float>& scores, std::vector<int64_t> labels,
            const std::vector<float>& teacher = {}) {
  TensorMap feeds;
  feeds.emplace("x", Tensor::of<float>({2, 2}, scores));
  if (scored.attached.labels != ValueId::none)
    feeds.emplace("~labels", Tensor::of<int64_t>({2}, labels));
  for (const auto& lesson : scored.attached.teacher)
    feeds.emplace(scored.graph.value(lesson.input).name, Tensor::of<float>({2, 2}, teacher));
  return to_doubles(test::run_references(scored.graph, feeds).begin()->second).at(0);
}

const double kLog3 = std::log(3.0);

TEST_CASE("cross-entropy, by hand") {
  // Probabilities 1/2, 1/2 and 3/4, 1/4.
  const std::vector<float> scores{5, 5, static_cast<float>(kLog3), 0};
  CHECK(loss(scored({}), scores, {1, 0}) == Approx((std::log(2.0) + std::log(4 / 3.0)) / 2));
  LossSpec smooth;
  smooth.label_smoothing = 0.2;  // 0.9 and 0.1
  const double second = -0.9 * std::log(0.75) - 0.1 * std::log(0.25);
  CHECK(loss(scored(smooth), scores, {1, 0}) == Approx((std::log(2.0) + second) / 2));
}

TEST_CASE("a grid in front of the Softmax: the teacher's scores are those of the float graph") {
  Build b;
  const ValueId x = b.input("x", {2, 2});
  b.node("Identity", {"x"}, {"rounded"});  // in the place of FakeQuantize
  b.node("Softmax", {"rounded"}, {"scores"});
  b.output("scores");
  LossSpec spec;
  spec.cross_entropy = 0;
  spec.distillation = 1;
  spec.mean_squared_error = 1;
  LossTargets targets{b.value("scores"), {b.value("scores")}, {}};
  targets.teacher = x;
  const AttachedLoss attached = attach_loss(b.graph, targets, spec);
  REQUIRE(attached.teacher.size() == 2);
  CHECK(attached.teacher[0].value == x);
  CHECK(attached.teacher[1].value == b.value("scores"));
}

TEST_CASE("cross-entropy of mixed samples: each label by its share") {
  LossSpec spec;
  spec.mixed = true;
  const Scored made = scored(spec);
  TensorMap feeds;
  feeds.emplace("x", Tensor::of<float>({2, 2}, {5, 5, static_cast<float>(kLog3), 0}));
  feeds.emplace("~labels", Tensor::of<int64_t>({2}, {1, 0}));
  feeds.emplace("~partners", Tensor::of<int64_t>({2}, {0, 1}));
  feeds.emplace("~share", Tensor::of<float>({2}, {0.75F, 0.75F}));
  const double second = 0.75 * std::log(4 / 3.0) + 0.25 * std::log(4.0);
  CHECK(to_doubles(test::run_references(made.graph, feeds).begin()->second).at(0) ==
        Approx((std::log(2.0) + second) / 2));
}

TEST_CASE("the loss looks in front of a Softmax over the classes") {
  const std::vector<float> scores{5, 5, static_cast<float>(kLog3), 0};
  const Scored behind = scored({}, true);
  CHECK(loss(behind, scores, {1, 0}) == Approx(loss(scored({}), scores, {1, 0})));
  for (const NodeId id : behind.graph.nodes()) CHECK(behind.graph.node(id).op.type != "Softmax");
}

TEST_CASE("distillation and squared error need no labels") {
  LossSpec spec;
  spec.cross_entropy = 0;
  spec.distillation = 1;
  spec.temperature = 2;
  // Teacher 3/4, 1/4 at temperature 2, student 1/2, 1/2; the other sample agrees.
  const std::vector<float> teacher{static_cast<float>(2 * kLog3), 0, 1, 4};
  const double divergence = 0.75 * std::log(1.5) + 0.25 * std::log(0.5);
  const Scored distilled = scored(spec);
  CHECK(distilled.attached.labels == ValueId::none);
  CHECK(loss(distilled, {0, 0, 1, 4}, {}, teacher) == Approx(4 * divergence / 2));
  spec.distillation = 0;
  spec.mean_squared_error = 0.5;
  CHECK(loss(scored(spec), {1, 2, 3, 4}, {}, {1, 2, 3, 0}) == Approx(0.5 * 16 / 4));
}

TEST_CASE("terms are added with their weights") {
  LossSpec both;
  both.cross_entropy = 2;
  both.mean_squared_error = 3;
  CHECK(loss(scored(both), {5, 5, 5, 5}, {1, 0}, {5, 5, 5, 7}) ==
        Approx(2 * std::log(2.0) + 3 * 1.0));
}

TEST_CASE("binary cross-entropy, by hand") {
  LossSpec spec = parse_loss("bce");
  // Probabilities 1/2, 3/4 (label 0) and 1/4, 1/2 (label 1).
  const auto third = static_cast<float>(kLog3);
  const double wanted = -(std::log(0.5) + std::log(0.25) + std::log(0.75) + std::log(0.5)) / 4;
  CHECK(loss(scored(spec), {0, third, -third, 0}, {0, 1}) == Approx(wanted));
  CHECK(contains(message_of(
                     [&] {
                       loss(scored(spec), {0, 0, 0, 0}, {0, 2});
                     },
                     Error::Kind::input),
                 "the label 2"));
}

TEST_CASE("binary cross-entropy of one score: the label is the target") {
  Build b;
  b.input("x", {2, 1});
  b.node("Sigmoid", {"x"}, {"p"});
  b.output("p");
  const AttachedLoss attached = attach_loss(b.graph, {b.value("p"), {}, {}}, parse_loss("bce"));
  CHECK(attached.teacher.empty());
  TensorMap feeds;
  feeds.emplace("x", Tensor::of<float>({2, 1}, {0, static_cast<float>(kLog3)}));
  feeds.emplace("~labels", Tensor::of<int64_t>({2}, {1, 0}));
  const double got = to_doubles(test::run_references(b.graph, feeds).begin()->second).at(0);
  CHECK(got == Approx(-(std::log(0.5) + std::log(0.25)) / 2));  // not of the sigmoid's sigmoid
}

TEST_CASE("absolute error and features, by hand") {
  CHECK(loss(scored(parse_loss("l1:2")), {1, 2, 3, 4}, {}, {1, 0, 3, 5}) == Approx(2 * 3.0 / 4));
  // Mean squared error 5/4 over mean square (1 + 0 + 9 + 25) / 4.
  CHECK(loss(scored(parse_loss("features")), {1, 2, 3, 4}, {}, {1, 0, 3, 5}) == Approx(5.0 / 35));
}

TEST_CASE("losses as text") {
  const LossSpec spec = parse_loss("cross-entropy,distill:0.5,features:2");
  CHECK(spec.cross_entropy == 1);
  CHECK(spec.distillation == 0.5);
  CHECK(spec.features == 2);
  CHECK(spec.mean_squared_error == 0);
  CHECK(parse_loss("mse,l1").labelled() == false);
  for (const char* wrong : {"", "hinge", "mse:", "mse:-1", "mse:0", "mse:x", "mse,,l1"}) {
    INFO(wrong);
    CHECK_THROWS_AS(parse_loss(wrong), Error);
  }
}

TEST_CASE("labels that are no classes are refused") {
  for (const int64_t label : {int64_t{2}, int64_t{-1}}) {
    CHECK(contains(message_of(
                       [&] {
                         loss(scored({}), {0, 0, 0, 0}, {0, label});
                       },
                       Error::Kind::input),
                   "the model has 2 classes"));
  }
}

}  // namespace
}  // namespace qtool
